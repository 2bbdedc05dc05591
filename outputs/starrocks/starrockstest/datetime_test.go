package starrockstest

import "testing"

// The inputs and results are those of the backend's parser (types/time_types.cpp).
func TestParseDatetime(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"2024-05-01 12:34:56", "2024-05-01 12:34:56"},
		{"2024-05-01T12:34:56", "2024-05-01 12:34:56"},
		{"2024/05/01 12:34:56", "2024-05-01 12:34:56"},
		{"20240501123456", "2024-05-01 12:34:56"},
		{"20240501T123456", "2024-05-01 12:34:56"},
		{"2024-05-01 12:34:56.1", "2024-05-01 12:34:56.100000"},
		{"2024-05-01 12:34:56.123", "2024-05-01 12:34:56.123000"},
		{"2024-05-01 12:34:56.123456", "2024-05-01 12:34:56.123456"},
		{"2024-05-01 12:34:56.123456789", "2024-05-01 12:34:56.123456"},
		{"2024-05-01T12:34:56.123456789Z", "2024-05-01 12:34:56.123456"},
		{"2024-05-01T12:34:56Z", "2024-05-01 12:34:56"},
		{"2024-05-01T12:34:56.123456Z", "2024-05-01 12:34:56.123456"},
		{"2024-05-01T12:34:56+09:00", "2024-05-01 12:34:56"}, // nine hours wrong, without an error
		{"2024-05-01T12:34:56.123+09:00", "2024-05-01 12:34:56.123000"},
		{"2024-05-01 12:34:56 +0900", "2024-05-01 12:34:56"},
		{"2024-05-01T12:34:56-05:00", "2024-05-01 12:34:56"},
		{"2024-05-01", "2024-05-01 00:00:00"},
		{"2024-05-01T", "2024-05-01 00:00:00"},
		{"2024-05-01T12:34", "2024-05-01 12:34:00"},
		{"2024-05-01t12:34:56", "2024-05-01 00:00:00"}, // the time of day is lost
		{"2024-05-01x12:34:56", "2024-05-01 00:00:00"},
		{"2024-05-01 12:34:56,123", "2024-05-01 12:34:56"},
		{"  2024-05-01 12:34:56", "2024-05-01 12:34:56"},
		{"1701012345", "2017-01-01 23:45:00"}, // epoch seconds that happen to parse
		{"2024-02-29", "2024-02-29 00:00:00"},
		{"1700000000", ""},
		{"1701012345678", ""},
		{"01/May/2024:12:34:56 +0900", ""},
		{"May 1 2024", ""},
		{"2024-02-30 00:00:00", ""},
		{"2023-02-29", ""},
		{"2024-13-01", ""},
		{"2024-05-01 24:00:00", ""},
		{"2024-05-01 12:60:00", ""},
		{"2024-05-01 12:34:60", ""},
		{"0000-00-00 00:00:00", ""},
		{"", ""}, {" ", ""}, {"-1", ""}, {"2024", ""}, {"2024-05", ""},
	} {
		got := ""
		if micros, ok := parseDatetime(test.in); ok {
			got = formatDatetime(micros)
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.in, got, test.want)
		}
	}
}

func TestDatetimeFunctions(t *testing.T) {
	at, _ := parseDatetime("2026-08-21 17:15:30.217676")
	for _, test := range []struct{ fn, arg, want string }{
		{"date_trunc", "second", "2026-08-21 17:15:30"},
		{"date_trunc", "minute", "2026-08-21 17:15:00"},
		{"date_trunc", "hour", "2026-08-21 17:00:00"},
		{"date_trunc", "day", "2026-08-21 00:00:00"},
		{"date_trunc", "week", "2026-08-17 00:00:00"},
		{"date_trunc", "month", "2026-08-01 00:00:00"},
		{"date_trunc", "quarter", "2026-07-01 00:00:00"},
		{"date_trunc", "year", "2026-01-01 00:00:00"},
	} {
		got, ok := truncDatetime(test.arg, at)
		if !ok || formatDatetime(got) != test.want {
			t.Errorf("%s(%s): got %s, want %s", test.fn, test.arg, formatDatetime(got), test.want)
		}
	}
	for _, test := range []struct{ from, to, want string }{
		{"UTC", "Asia/Seoul", "2026-08-22 02:15:30.217676"},
		{"Asia/Seoul", "UTC", "2026-08-21 08:15:30.217676"},
		{"+09:00", "-05:30", "2026-08-21 02:45:30.217676"},
		{"UTC", "America/New_York", "2026-08-21 13:15:30.217676"},
	} {
		from, err1 := parseZone(test.from)
		to, err2 := parseZone(test.to)
		if err1 != nil || err2 != nil || formatDatetime(convertZone(at, from, to)) != test.want {
			t.Errorf("%s to %s: got %s, want %s", test.from, test.to, formatDatetime(convertZone(at, from, to)), test.want)
		}
	}
}
