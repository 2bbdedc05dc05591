package main

import (
	"net/url"
	"testing"
	"time"

	"millrace/demo/traffic"
)

func TestRanges(t *testing.T) {
	now := time.Date(2026, 8, 21, 17, 15, 32, 0, traffic.Zone)
	for _, c := range []struct{ query, oldest, since, until, zeros string }{
		{"minutes=5", "", "2026-08-21 17:10:20", "2026-08-21 17:15:20", "0"}, // two seconds do not make a bucket complete
		{"minutes=60", "", "2026-08-21 16:15:00", "2026-08-21 17:15:00", "00"},
		{"day=today", "", "2026-08-21 00:00:00", "2026-08-21 17:10:00", "0:00"},
		{"day=today", "2026-08-21 17:01:43", "2026-08-21 17:01:40", "2026-08-21 17:15:20", "0"},
		{"minutes=5", "2026-08-21 17:15:30", "2026-08-21 17:10:20", "2026-08-21 17:15:20", "0"},
		{"from=2026-08-21T15:00&to=2026-08-21T15:10:30", "", "2026-08-21 15:00:00", "2026-08-21 15:10:30", "0"},
		{"from=2026-08-20T15:00&to=2026-08-21T18:00", "2026-08-21 17:10:01", "2026-08-21 17:10:01", "2026-08-21 18:00:00", "00"},
	} {
		form, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		r, err := parseRange(form)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		var oldest time.Time
		if c.oldest != "" {
			if oldest, err = time.ParseInLocation(time.DateTime, c.oldest, traffic.Zone); err != nil {
				t.Fatal(err)
			}
		}
		s := r.at(now, oldest)
		if sqlTime(s.since) != c.since || sqlTime(s.until) != c.until || s.bucket().zeros != c.zeros {
			t.Errorf("%s: %s to %s with %s", c.query, sqlTime(s.since), sqlTime(s.until), s.bucket().zeros)
		}
	}
}

func TestRangesThatAreRefused(t *testing.T) {
	for _, query := range []string{"", "minutes=0", "minutes=x", "minutes=1441", "from=2026-08-21T15:00", "from=noon&to=2026-08-21T15:00",
		"from=2026-08-21T15:00&to=2026-08-21T15:00", "from=2026-08-21T15:00&to=2026-08-21T14:00", "from=2026-01-01T00:00&to=2026-08-21T14:00"} {
		form, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := parseRange(form); err == nil {
			t.Errorf("%q is taken for %+v", query, r)
		}
	}
}
