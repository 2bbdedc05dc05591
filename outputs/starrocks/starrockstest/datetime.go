package starrockstest

import (
	"fmt"
	"time"
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond
)

// parseDatetime reads a DATETIME the way the backend does (types/time_types.cpp
// and types/timestamp_value.cpp): positional fields, at most six fraction
// digits, and everything after them ignored. A zone offset is therefore
// dropped without an error and "t" instead of "T" loses the time of day. The
// result is microseconds of wall clock since 1970; ok is false for what the
// server would turn into NULL.
func parseDatetime[S string | []byte](s S) (micros int64, ok bool) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	if i == len(s) || !isDigit(s[i]) {
		return 0, false
	}
	f := datetimeFields{yearLen: 4}
	run := i
	for run < len(s) && (isDigit(s[run]) || s[run] == 'T') {
		run++
	}
	if run == len(s) || s[run] == '.' { // 20240501123456: widths, no separators
		f.packed = true
		if n := run - i; n != 4 && n != 8 && n < 14 {
			f.yearLen = 2
		}
	}
	if !scanFields(s, i, &f) {
		return 0, false
	}
	return f.micros()
}

type datetimeFields struct {
	val     [7]int // year, month, day, hour, minute, second, fraction
	n       int
	yearLen int
	fracLen int
	packed  bool
}

func scanFields[S string | []byte](s S, i int, f *datetimeFields) bool {
	width := f.yearLen
	for i < len(s) && isDigit(s[i]) && f.n < 7 {
		start, v := i, 0
		free := !f.packed && f.n != 6 // fields end at a separator, not at a width
		for ; i < len(s) && isDigit(s[i]) && (free || i-start < width); i++ {
			if v = v*10 + int(s[i]-'0'); v > 999_999 {
				return false
			}
		}
		f.val[f.n], width = v, 2
		if f.n == 6 {
			f.fracLen = i - start
		}
		f.n++
		if i == len(s) {
			return true
		}
		switch {
		case f.n == 3 && s[i] == 'T':
			i++
		case f.n == 6:
			if isDigit(s[i]) {
				return true
			}
			if s[i] == '.' {
				i++
				width = 6
			}
		default:
			var fine bool
			if i, fine = skipSeparators(s, i, f.n == 3 || f.n == 7); !fine {
				return false
			}
		}
	}
	return true
}

func skipSeparators[S string | []byte](s S, i int, space bool) (int, bool) {
	for i < len(s) && (isSpace(s[i]) || isPunct(s[i])) {
		if isSpace(s[i]) && !space {
			return i, false
		}
		i++
	}
	return i, true
}

func (f *datetimeFields) micros() (int64, bool) {
	if f.n < 3 {
		return 0, false
	}
	year, frac := f.val[0], f.val[6]
	if f.yearLen == 2 {
		if year < 70 {
			year += 2000
		} else {
			year += 1900
		}
	}
	for n := f.fracLen; f.n == 7 && n < 6; n++ {
		frac *= 10
	}
	month, day := f.val[1], f.val[2]
	if year > 9999 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		f.val[3] > 23 || f.val[4] > 59 || f.val[5] > 59 {
		return 0, false
	}
	sec := daysSince1970(year, month, day)*86400 + int64(f.val[3]*3600+f.val[4]*60+f.val[5])
	return sec*microsPerSecond + int64(frac), true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts days of the proleptic Gregorian calendar, starting the
// year in March so that the leap day comes last.
func daysSince1970(year, month, day int) int64 {
	y, m := int64(year), int64(month)
	if m <= 2 {
		y--
		m += 12
	}
	return 365*y + floorDiv(y, 4) - floorDiv(y, 100) + floorDiv(y, 400) + (153*(m-3)+2)/5 + int64(day) - 719469
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
func isPunct(c byte) bool {
	return c >= '!' && c <= '/' || c >= ':' && c <= '@' || c >= '[' && c <= '`' || c >= '{' && c <= '~'
}

// formatDatetime prints a DATETIME as the MySQL protocol of the server does:
// the fraction only when there is one.
func formatDatetime(micros int64) string {
	t := datetimeTime(micros)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02 15:04:05")
	}
	return t.Format("2006-01-02 15:04:05.000000")
}

func formatDate(days int64) string { return datetimeTime(days * microsPerDay).Format("2006-01-02") }

// datetimeTime carries a wall clock in a time.Time whose zone says UTC.
func datetimeTime(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func datetimeMicros(t time.Time) int64 {
	if t.Location() == time.UTC {
		return t.UnixMicro()
	}
	sec := daysSince1970(t.Year(), int(t.Month()), t.Day())*86400 + int64(t.Hour()*3600+t.Minute()*60+t.Second())
	return sec*microsPerSecond + int64(t.Nanosecond()/1000)
}

// zone is a time zone of convert_tz.
type zone = *time.Location

// parseZone accepts an IANA name or an offset such as +09:00, as convert_tz
// does.
func parseZone(name string) (zone, error) {
	var h, m int
	if len(name) == 6 && (name[0] == '+' || name[0] == '-') {
		if _, err := fmt.Sscanf(name[1:], "%02d:%02d", &h, &m); err == nil && h <= 14 && m < 60 {
			sec := h*3600 + m*60
			if name[0] == '-' {
				sec = -sec
			}
			return time.FixedZone(name, sec), nil
		}
	}
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("parse time zone %q: not a known zone", name)
	}
	return time.LoadLocation(name)
}

// convertZone moves a wall clock from one zone to another.
func convertZone(micros int64, from, to zone) int64 {
	t := datetimeTime(micros)
	if from != time.UTC {
		t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), from)
	}
	_, offset := t.In(to).Zone()
	return t.UnixMicro() + int64(offset)*microsPerSecond
}

// truncDatetime is date_trunc(unit, t).
func truncDatetime(unit string, micros int64) (int64, bool) {
	if step := unitMicros[unit]; step != 0 && unit != "week" {
		return floorDiv(micros, step) * step, true
	}
	t := datetimeTime(micros)
	year, month, day := t.Year(), int(t.Month()), t.Day()
	switch unit {
	case "week":
		back := (int(t.Weekday()) + 6) % 7
		return (daysSince1970(year, month, day) - int64(back)) * microsPerDay, true
	case "month":
		return daysSince1970(year, month, 1) * microsPerDay, true
	case "quarter":
		return daysSince1970(year, (month-1)/3*3+1, 1) * microsPerDay, true
	case "year":
		return daysSince1970(year, 1, 1) * microsPerDay, true
	}
	return 0, false
}
