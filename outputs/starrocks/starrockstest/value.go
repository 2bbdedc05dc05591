package starrockstest

import (
	"math"
	"strconv"
	"strings"
)

// value is one SQL value: i for integers and times, f for floats, s for text
// and JSON (in printed form).
type value struct {
	kind kind
	null bool
	i    int64
	f    float64
	s    string
}

func nullOf(k kind) value { return value{kind: k, null: true} }

func textValue(s string) value { return value{kind: kindString, s: s} }

// text prints the value as the server does when it casts to a string.
func (v value) text() string {
	switch {
	case v.kind == kindJSON:
		return jsonText(v.s)
	case v.kind == kindString:
		return v.s
	case v.kind == kindDatetime:
		return formatDatetime(v.i)
	case v.kind == kindDate:
		return formatDate(v.i)
	case v.kind == kindFloat || v.kind == kindDouble:
		return formatDouble(v.f)
	}
	return strconv.FormatInt(v.i, 10)
}

func formatDouble(f float64) string {
	if math.Abs(f) < 1e15 && (f == 0 || math.Abs(f) >= 1e-5) {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// cast converts v; what does not convert is NULL, as in StarRocks (MySQL would
// give zero).
func (v value) cast(to kind) value {
	if v.null || v.kind == to {
		v.kind = to
		return v
	}
	switch {
	case to == kindString:
		return textValue(v.text())
	case to == kindJSON:
		return v.castJSON()
	case to == kindDatetime || to == kindDate:
		return v.castTime(to)
	case to == kindFloat || to == kindDouble:
		return v.castDouble(to)
	}
	return v.castInteger(to)
}

func (v value) castJSON() value {
	text := v.text()
	if v.kind.isNumber() {
		return value{kind: kindJSON, s: text}
	}
	if start := strings.TrimLeft(text, " \t\r\n"); start != "" && strings.IndexByte(`{["`, start[0]) >= 0 {
		return parseJSONKernel([]value{textValue(text)})
	}
	return value{kind: kindJSON, s: quoteJSON(text)}
}

func (v value) castTime(to kind) value {
	micros, ok := v.i, true
	switch {
	case v.kind == kindDate:
		micros = v.i * microsPerDay
	case v.kind != kindDatetime:
		micros, ok = parseDatetime(v.text())
	}
	if !ok {
		return nullOf(to)
	}
	if to == kindDate {
		micros = floorDiv(micros, microsPerDay)
	}
	return value{kind: to, i: micros}
}

func (v value) castDouble(to kind) value {
	switch {
	case v.kind.isInteger():
		return value{kind: to, f: float64(v.i)}
	case v.kind.isNumber():
		return value{kind: to, f: v.f}
	case v.kind.isTime():
		return value{kind: to, f: float64(v.castInteger(kindBigInt).i)}
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(v.text()), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nullOf(to)
	}
	return value{kind: to, f: f}
}

func (v value) castInteger(to kind) value {
	n, ok := v.i, true
	switch {
	case v.kind == kindFloat || v.kind == kindDouble:
		n, ok = int64(v.f), v.f >= -1<<63 && v.f < 1<<63
	case v.kind == kindDatetime:
		n, _ = strconv.ParseInt(datetimeTime(v.i).Format("20060102150405"), 10, 64)
	case v.kind == kindDate:
		n, _ = strconv.ParseInt(datetimeTime(v.i*microsPerDay).Format("20060102"), 10, 64)
	case v.kind.isText():
		var err error
		n, err = strconv.ParseInt(strings.TrimSpace(v.text()), 10, 64)
		ok = err == nil
	}
	lo, hi := columnType{kind: to}.integerRange()
	if !ok || n < lo || n > hi {
		return nullOf(to)
	}
	return value{kind: to, i: n}
}
