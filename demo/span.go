package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"millrace/demo/traffic"
)

// span is a stretch of time, without its end.
type span struct{ since, until time.Time }

// bucket is the stretch of time that the charts count by. The dashboard has a
// minute or an hour; a demo is young.
func (s span) bucket() bucket {
	for _, b := range buckets {
		if s.until.Sub(s.since) <= b.most {
			return b
		}
	}
	return buckets[len(buckets)-1]
}

// bucket is cut from the text of a time: its first characters, and zeros.
type bucket struct {
	width, most time.Duration // most: of a span that is shown in such
	characters  string
	zeros       string
}

var buckets = []bucket{
	{10 * time.Second, 20 * time.Minute, "18", "0"},
	{time.Minute, 4 * time.Hour, "17", "00"},
	{10 * time.Minute, longest, "15", "0:00"},
}

// longest is the longest span that may be asked for.
const longest = 31 * 24 * time.Hour

// settled is how long a bucket has had to become complete before it is shown:
// half a bucket would look like a drop.
const settled = 3 * time.Second

// timeRange is what somebody chose to look at. It is comparable.
type timeRange struct {
	minutes int  // the last so many, or
	day     bool // since midnight, or
	span         // from a moment to another
}

// span is the range as of now, but nothing before the oldest row, if there is
// one. A range that ends now ends with a whole bucket.
func (r timeRange) at(now, oldest time.Time) span {
	s := r.span
	now = now.Add(-settled)
	switch local := now.In(traffic.Zone); {
	case r.day:
		s = span{time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, traffic.Zone), now}
	case r.minutes > 0:
		s = span{now.Add(-time.Duration(r.minutes) * time.Minute), now}
	}
	if oldest.After(s.since) && oldest.Before(s.until) {
		s.since = oldest
	}
	if r.span == (span{}) {
		width := s.bucket().width
		s = span{s.since.Truncate(width), s.until.Truncate(width)}
	}
	return s
}

// parseRange reads minutes=N, day=today, or from= and to= in the form of
// 2006-01-02T15:04, with or without seconds, in the zone of the table.
func parseRange(form url.Values) (timeRange, error) {
	if form.Get("day") == "today" {
		return timeRange{day: true}, nil
	}
	if text := form.Get("minutes"); text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || minutes < 1 || minutes > 24*60 {
			return timeRange{}, errors.New("minutes must be 1 to 1440")
		}
		return timeRange{minutes: minutes}, nil
	}
	since, err := parseMoment(form, "from")
	if err != nil {
		return timeRange{}, err
	}
	until, err := parseMoment(form, "to")
	if err != nil {
		return timeRange{}, err
	}
	if d := until.Sub(since); d <= 0 || d > longest {
		return timeRange{}, errors.New("to must be after from, and at most 31 days")
	}
	return timeRange{span: span{since, until}}, nil
}

func parseMoment(form url.Values, key string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(layout, form.Get(key), traffic.Zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s must be a time like 2026-08-21T17:15, in Korea", key)
}

// sqlTime is the form of a DATETIME literal, in the zone of kst_time.
func sqlTime(t time.Time) string { return t.In(traffic.Zone).Format("2006-01-02 15:04:05") }
