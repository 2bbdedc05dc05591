package starrockstest

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// kernel computes one call; the arguments are cast to the parameters' kinds
// and none is NULL.
type kernel func(args []value) value

// function is a StarRocks scalar function, used by generated columns and by
// queries alike, so that both give the same answer.
type function struct {
	name      string
	params    []kind
	variadic  bool // the last parameter repeats
	optional  int  // how many of the last parameters may be missing
	result    kind
	queryOnly bool
	// bind prepares a kernel from the arguments that are literals, so that a
	// zone, path or pattern is parsed once and not for each row.
	bind func(known []*value) kernel
}

func (f *function) checkArity(n int) error {
	if n < len(f.params)-f.optional || n > len(f.params) && !f.variadic {
		return fmt.Errorf("No matching function with signature: %s with %d arguments", f.name, n)
	}
	return nil
}

// apply casts, passes NULL through and calls.
func (f *function) apply(call kernel, args []value) value {
	for i := range args {
		want := f.params[min(i, len(f.params)-1)]
		if args[i] = args[i].cast(want); args[i].null {
			return nullOf(f.result)
		}
	}
	return call(args)
}

func plain(k kernel) func([]*value) kernel { return func([]*value) kernel { return k } }

// functions is the one table of functions this server computes itself.
var functions = map[string]*function{}

func init() {
	str, dt, num, js := kindString, kindDatetime, kindBigInt, kindJSON
	for _, f := range []*function{
		{name: "convert_tz", params: []kind{dt, str, str}, result: dt, bind: bindConvertTZ},
		{name: "date_trunc", params: []kind{str, dt}, result: dt, bind: bindDateTrunc},
		{name: "time_slice", params: []kind{dt, num, str, str}, optional: 1, result: dt, queryOnly: true, bind: plain(timeSlice)},
		{name: "split_part", params: []kind{str, str, num}, result: str, bind: plain(splitPart)},
		{name: "regexp_extract", params: []kind{str, str, num}, result: str, bind: bindPattern(regexpExtract)},
		{name: "regexp", params: []kind{str, str}, result: kindBoolean, queryOnly: true, bind: bindPattern(regexpMatch)},
		{name: "like", params: []kind{str, str}, result: kindBoolean, queryOnly: true, bind: bindLike},
		{name: "equals", params: []kind{str, str}, result: kindBoolean, queryOnly: true, bind: plain(func(a []value) value { return truth(a[0].s == a[1].s) })},
		{name: "json_query", params: []kind{js, str}, result: js, bind: bindPath(jsonQuery)},
		{name: "get_json_string", params: []kind{js, str}, result: str, bind: bindPath(getJSON(kindString))},
		{name: "get_json_object", params: []kind{js, str}, result: str, bind: bindPath(getJSON(kindString))},
		{name: "get_json_int", params: []kind{js, str}, result: num, bind: bindPath(getJSON(kindBigInt))},
		{name: "get_json_double", params: []kind{js, str}, result: kindDouble, bind: bindPath(getJSON(kindDouble))},
		{name: "parse_json", params: []kind{str}, result: js, bind: plain(parseJSONKernel)},
		{name: "years_add", params: []kind{dt, num}, result: dt, bind: addMonths(12)},
		{name: "months_add", params: []kind{dt, num}, result: dt, bind: addMonths(1)},
		{name: "days_add", params: []kind{dt, num}, result: dt, bind: addMicros(microsPerDay)},
		{name: "hours_add", params: []kind{dt, num}, result: dt, bind: addMicros(3600 * microsPerSecond)},
		{name: "minutes_add", params: []kind{dt, num}, result: dt, bind: addMicros(60 * microsPerSecond)},
		{name: "seconds_add", params: []kind{dt, num}, result: dt, bind: addMicros(microsPerSecond)},
		{name: "hours_sub", params: []kind{dt, num}, result: dt, bind: addMicros(-3600 * microsPerSecond)},
		{name: "days_sub", params: []kind{dt, num}, result: dt, bind: addMicros(-microsPerDay)},
		{name: "to_date", params: []kind{dt}, result: kindDate, bind: plain(func(a []value) value { return a[0].cast(kindDate) })},
	} {
		functions[f.name] = f
	}
	// In a generated column these are ours; in a query the engine's own serve.
	for name, to := range map[string]func(string) string{"lower": strings.ToLower, "upper": strings.ToUpper, "trim": strings.TrimSpace} {
		functions[name] = &function{name: name, params: []kind{str}, result: str,
			bind: plain(func(a []value) value { return textValue(to(a[0].s)) })}
	}
	functions["concat"] = &function{name: "concat", params: []kind{str}, variadic: true, result: str, bind: plain(func(a []value) value {
		var b strings.Builder
		for _, v := range a {
			b.WriteString(v.s)
		}
		return textValue(b.String())
	})}
}

func bindConvertTZ(known []*value) kernel {
	load := func(i int) zone {
		if known[i] == nil || known[i].null {
			return nil
		}
		z, _ := parseZone(known[i].text())
		return z
	}
	from, to := load(1), load(2)
	if from != nil && to != nil {
		return func(a []value) value { return value{kind: kindDatetime, i: convertZone(a[0].i, from, to)} }
	}
	return func(a []value) value {
		from, err1 := parseZone(a[1].s)
		to, err2 := parseZone(a[2].s)
		if err1 != nil || err2 != nil {
			return nullOf(kindDatetime)
		}
		return value{kind: kindDatetime, i: convertZone(a[0].i, from, to)}
	}
}

func bindDateTrunc(known []*value) kernel {
	if known[0] == nil || known[0].null {
		return dateTrunc
	}
	unit := strings.ToLower(known[0].text())
	step := unitMicros[unit]
	if step == 0 || unit == "week" {
		return dateTrunc
	}
	return func(a []value) value { return value{kind: kindDatetime, i: floorDiv(a[1].i, step) * step} }
}

func dateTrunc(a []value) value {
	micros, ok := truncDatetime(strings.ToLower(a[0].s), a[1].i)
	if !ok {
		return nullOf(kindDatetime)
	}
	return value{kind: kindDatetime, i: micros}
}

// splitPart counts from 1, or from the end when n is negative; a missing part
// is NULL.
func splitPart(a []value) value {
	s, sep, n := a[0].s, a[1].s, int(a[2].i)
	if sep == "" || n == 0 {
		return nullOf(kindString)
	}
	if n < 0 {
		parts := strings.Split(s, sep)
		if -n > len(parts) {
			return nullOf(kindString)
		}
		return textValue(parts[len(parts)+n])
	}
	for ; n > 1; n-- {
		i := strings.Index(s, sep)
		if i < 0 {
			return nullOf(kindString)
		}
		s = s[i+len(sep):]
	}
	part, _, _ := strings.Cut(s, sep)
	return textValue(part)
}

// patterns caches compiled expressions of patterns that are not literals.
var patterns sync.Map

func compile(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re, _ := regexp.Compile(pattern)
	patterns.Store(pattern, re)
	return re
}

func bindPattern(match func(re *regexp.Regexp, a []value) value) func([]*value) kernel {
	return func(known []*value) kernel {
		if known[1] != nil && !known[1].null {
			re := compile(known[1].text())
			return func(a []value) value { return match(re, a) }
		}
		return func(a []value) value { return match(compile(a[1].s), a) }
	}
}

// regexpExtract gives ” when nothing matches (StarRocks documentation,
// regexp_extract).
func regexpExtract(re *regexp.Regexp, a []value) value {
	if re == nil {
		return nullOf(kindString)
	}
	at := re.FindStringSubmatchIndex(a[0].s)
	n := int(a[2].i)
	if at == nil || n < 0 || 2*n+1 >= len(at) || at[2*n] < 0 {
		return textValue("")
	}
	return textValue(a[0].s[at[2*n]:at[2*n+1]])
}

func regexpMatch(re *regexp.Regexp, a []value) value {
	if re == nil {
		return nullOf(kindBoolean)
	}
	return truth(re.MatchString(a[0].s))
}

func bindPath(find func(doc string, steps []pathStep) value) func([]*value) kernel {
	return func(known []*value) kernel {
		var steps []pathStep
		ready := false
		if known[1] != nil && !known[1].null {
			steps, ready = parsePath(known[1].text())
		}
		return func(a []value) value {
			steps, ok := steps, ready
			if !ok {
				steps, ok = parsePath(a[1].s)
			}
			if !ok {
				return nullOf(kindString)
			}
			return find(a[0].s, steps)
		}
	}
}

func jsonQuery(doc string, steps []pathStep) value {
	found, ok := lookup(doc, steps)
	if !ok {
		return nullOf(kindJSON)
	}
	return value{kind: kindJSON, s: found}
}

// getJSON gives the value at a path as the kind asked for; a JSON null is a
// SQL NULL.
func getJSON(to kind) func(string, []pathStep) value {
	return func(doc string, steps []pathStep) value {
		found, ok := lookup(doc, steps)
		if !ok || found == "null" {
			return nullOf(to)
		}
		return value{kind: kindJSON, s: found}.cast(to)
	}
}

func parseJSONKernel(a []value) value {
	printed, ok := parseJSON(a[0].s)
	if !ok {
		return nullOf(kindJSON)
	}
	return value{kind: kindJSON, s: printed}
}

func addMicros(unit int64) func([]*value) kernel {
	return plain(func(a []value) value { return value{kind: kindDatetime, i: a[0].i + a[1].i*unit} })
}

func addMonths(unit int64) func([]*value) kernel {
	return plain(func(a []value) value {
		t := datetimeTime(a[0].i)
		months := int64(t.Year())*12 + int64(t.Month()) - 1 + a[1].i*unit
		year, month := int(floorDiv(months, 12)), int(months-floorDiv(months, 12)*12)+1
		day := min(t.Day(), daysIn(year, month))
		inDay := a[0].i - floorDiv(a[0].i, microsPerDay)*microsPerDay
		return value{kind: kindDatetime, i: daysSince1970(year, month, day)*microsPerDay + inDay}
	})
}
