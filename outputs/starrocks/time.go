package starrocks

import "time"

// instant is a moment as a DATETIME column can hold it: seconds since 1970 in
// UTC and microseconds within the second.
type instant struct {
	unix  int64
	micro int32
}

func (t instant) time() time.Time { return time.Unix(t.unix, int64(t.micro)*1000) }

// parseTime reads a line's time: RFC 3339 with any offset and any number of
// decimals, of which the first six count. What it does not know itself (a
// comma before the decimals, a one-digit hour) is left to time.Parse; beyond
// that it knows the offset without colon that Fluent's %z writes.
func parseTime(s []byte) (t instant, ok bool) {
	if t, ok = parseRFC3339(s); ok {
		return t, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		// A copy: what time.Parse puts into an error would live on.
		if slow, err := time.Parse(layout, string(s)); err == nil {
			return instant{slow.Unix(), int32(slow.Nanosecond() / 1000)}.inRange()
		}
	}
	return instant{}, false
}

// parseDatetime reads a moment that is written without an offset, in the forms
// that StarRocks stores as written (DATETIME.md): YYYY-MM-DD hh:mm:ss with any
// number of decimals, of which the first six count, with T instead of the
// space, or the date alone.
func parseDatetime(s []byte) (t instant, ok bool) {
	day, clock := s, []byte("T00:00:00")
	if len(s) > len("2006-01-02") {
		day, clock = s[:10], s[10:]
	}
	if clock[0] != 'T' && clock[0] != ' ' {
		return t, false
	}
	utc := make([]byte, 0, 40)
	utc = append(append(append(append(utc, day...), 'T'), clock[1:]...), 'Z')
	return parseRFC3339(utc)
}

// The years a DATETIME column accepts, as bounds in seconds since 1970: from
// 0000-01-01 up to but not including 10000-01-01 (DATETIME.md).
const (
	firstSecond = -62167219200
	lastSecond  = 253402300800
)

func (t instant) inRange() (instant, bool) {
	return t, t.unix >= firstSecond && t.unix < lastSecond
}

func parseRFC3339(s []byte) (t instant, ok bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return t, false
	}
	year := two(s[0:])*100 + two(s[2:])
	month, day := two(s[5:]), two(s[8:])
	hour, minute, second := two(s[11:]), two(s[14:]), two(s[17:])
	// two answers 1<<16 for what is not two digits, which no bound lets pass.
	if year > 9999 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return t, false
	}
	rest, micro, ok := parseDecimals(s[19:])
	if !ok {
		return t, false
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return t, false
	}
	t.unix = dayNumber(year, month, day)*86400 + int64(hour*3600+minute*60+second-offset)
	t.micro = int32(micro)
	return t.inRange()
}

// parseDecimals takes a point and the digits after it, if s begins so.
func parseDecimals(s []byte) (rest []byte, micro int, ok bool) {
	if s[0] != '.' {
		return s, 0, true
	}
	i, scale := 1, 100000
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		micro += int(s[i]-'0') * scale
		scale /= 10
	}
	return s[i:], micro, i > 1
}

// parseOffset reads Z or ±hh:mm, in seconds east.
func parseOffset(s []byte) (offset int, ok bool) {
	if len(s) == 1 {
		return 0, s[0] == 'Z'
	}
	if len(s) != 6 || s[3] != ':' {
		return 0, false
	}
	hours, minutes := two(s[1:]), two(s[4:])
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	offset = hours*3600 + minutes*60
	switch s[0] {
	case '+':
		return offset, true
	case '-':
		return -offset, true
	}
	return 0, false
}

// two is the number that two digits at the beginning of s stand for.
func two(s []byte) int {
	a, b := s[0]-'0', s[1]-'0'
	if a > 9 || b > 9 {
		return 1 << 16
	}
	return int(a)*10 + int(b)
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

// dayNumber counts days since 1970-01-01 in the proleptic Gregorian calendar,
// with years that begin in March, so that the leap day is the last one.
func dayNumber(year, month, day int) int64 {
	y := int64(year)
	m := int64(month) - 3
	if month <= 2 {
		y--
		m += 12
	}
	// 400 years keep the divisions away from negative numbers.
	y += 400
	return y*365 + y/4 - y/100 + y/400 + (153*m+2)/5 + int64(day-1) - daysBefore1970
}

// daysBefore1970 is what dayNumber's sum is at 1970-01-01: 1970 years and the
// 400 added, counted from March.
const daysBefore1970 = 719468 + 146097

// appendDatetime appends t as StarRocks reads a DATETIME without guessing:
// YYYY-MM-DD HH:MM:SS.ffffff. t must be in range.
func appendDatetime(dst []byte, t instant) []byte {
	days := (t.unix - firstSecond) / 86400
	second := int(t.unix - firstSecond - days*86400)
	year, month, day := civil(days)
	dst = appendTwo(dst, year/100)
	dst = appendTwo(dst, year%100)
	dst = append(dst, '-')
	dst = appendTwo(dst, month)
	dst = append(dst, '-')
	dst = appendTwo(dst, day)
	dst = append(dst, ' ')
	dst = appendTwo(dst, second/3600)
	dst = append(dst, ':')
	dst = appendTwo(dst, second/60%60)
	dst = append(dst, ':')
	dst = appendTwo(dst, second%60)
	dst = append(dst, '.')
	micro := int(t.micro)
	dst = appendTwo(dst, micro/10000)
	dst = appendTwo(dst, micro/100%100)
	return appendTwo(dst, micro%100)
}

func appendTwo(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// civil is the date that lies days after 0000-01-01; the inverse of dayNumber.
func civil(days int64) (year, month, day int) {
	// Counted from 0000-03-01, 400 years earlier to stay positive.
	z := days - 60 + 146097
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	y := yoe + era*400 - 400
	if month > 12 {
		month -= 12
		y++
	}
	return int(y), month, day
}
