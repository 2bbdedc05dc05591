package starrocks

import (
	"bytes"
	"testing"
	"time"
)

func TestDatetimeOfLineTime(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"2026-08-21T08:15:30.217676062Z", "2026-08-21 08:15:30.217676"},
		{"2026-08-21T08:15:30Z", "2026-08-21 08:15:30.000000"},
		{"2026-08-21T08:15:30.5Z", "2026-08-21 08:15:30.500000"},
		{"2026-08-21T08:15:30.123456789123Z", "2026-08-21 08:15:30.123456"},
		{"2026-08-21T17:15:30.217676062+09:00", "2026-08-21 08:15:30.217676"},
		{"2026-08-21T03:45:30-04:30", "2026-08-21 08:15:30.000000"},
		{"2026-01-01T00:00:00.000001+00:01", "2025-12-31 23:59:00.000001"},
		{"2024-02-29T23:59:59.999999999-00:01", "2024-03-01 00:00:59.999999"},
		{"2026-08-21T17:15:30.25+0900", "2026-08-21 08:15:30.250000"},
		{"2026-08-21T08:15:30,25Z", "2026-08-21 08:15:30.250000"},
		{"1969-12-31T23:59:59.999999999Z", "1969-12-31 23:59:59.999999"},
		{"0000-01-01T00:00:00Z", "0000-01-01 00:00:00.000000"},
		{"9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59.999999"},
		{"1600-02-29T12:00:00Z", "1600-02-29 12:00:00.000000"},
		{"", ""},
		{"2026-08-21", ""},
		{"2026-08-21 08:15:30Z", ""},
		{"2026-08-21T08:15:30", ""},
		{"2026-08-21t08:15:30z", ""},
		{"2026-02-29T08:15:30Z", ""},
		{"2026-13-01T08:15:30Z", ""},
		{"2026-00-01T08:15:30Z", ""},
		{"2026-08-00T08:15:30Z", ""},
		{"2026-08-21T24:00:00Z", ""},
		{"2026-08-21T23:60:00Z", ""},
		{"2026-08-21T23:59:60Z", ""},
		{"2026-08-21T08:15:30.Z", ""},
		{"2026-08-21T08:15:30+9:00", ""},
		{"2026-08-21T08:15:30Zx", ""},
		{"1701012345", ""},
		{"0000-01-01T00:00:00+00:01", ""},
		{"9999-12-31T23:59:59-00:01", ""},
	} {
		got := ""
		if at, ok := parseTime([]byte(c.in)); ok {
			got = string(appendDatetime(nil, at))
		}
		if got != c.want {
			t.Errorf("datetime of %q = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestDaysOfTenThousandYears(t *testing.T) {
	day := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	var got []byte
	for day.Year() < 10000 {
		want := day.Format("2006-01-02T15:04:05Z")
		at, ok := parseRFC3339([]byte(want))
		if !ok || at.unix != day.Unix() {
			t.Fatalf("%s parsed as %d (%t), want %d", want, at.unix, ok, day.Unix())
		}
		got = appendDatetime(got[:0], at)
		if !bytes.Equal(got[:10], []byte(want[:10])) {
			t.Fatalf("%s printed as %s", want, got)
		}
		day = day.AddDate(0, 0, 13) // meets every day of the year
	}
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{
		"2026-08-21T08:15:30.217676062Z", "2026-08-21T17:15:30+09:00", "0000-01-01T00:00:00Z",
		"9999-12-31T23:59:59.9-23:59", "2024-02-29T00:00:00,1Z", "2026-08-21T1:02:03Z",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		got, ok := parseTime(s)
		want, err := time.Parse(time.RFC3339Nano, string(s))
		if err != nil {
			want, err = time.Parse("2006-01-02T15:04:05.999999999Z0700", string(s))
		}
		want = want.UTC()
		if wantOK := err == nil && want.Year() >= 0 && want.Year() <= 9999; ok != wantOK {
			t.Fatalf("parse %q: ok = %t, want %t (%v)", s, ok, wantOK, err)
		}
		if !ok {
			return
		}
		if text := string(appendDatetime(nil, got)); text != want.Format("2006-01-02 15:04:05.000000") {
			t.Fatalf("parse %q = %s, want %s", s, text, want)
		}
		if !got.time().Equal(want.Truncate(time.Microsecond)) {
			t.Fatalf("parse %q = %s, want %s", s, got.time(), want)
		}
	})
}
