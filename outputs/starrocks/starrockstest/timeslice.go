package starrockstest

import "strings"

// unitMicros are the units of an interval that are always as long.
var unitMicros = map[string]int64{"second": microsPerSecond, "minute": 60 * microsPerSecond, "hour": 3600 * microsPerSecond,
	"day": microsPerDay, "week": 7 * microsPerDay}

// unitMonths are the others.
var unitMonths = map[string]int64{"month": 1, "quarter": 3, "year": 12}

// timeSlice is time_slice(t, INTERVAL n unit [, floor | ceil]) after rewrite
// made texts of its words. Slices are counted from 0001-01-01 00:00:00
// (StarRocks documentation, time_slice).
func timeSlice(a []value) value {
	t, n, unit := a[0].i, a[1].i, strings.ToLower(a[2].s)
	up := len(a) > 3 && strings.EqualFold(a[3].s, "ceil")
	origin := daysSince1970(1, 1, 1) * microsPerDay
	micros, months := unitMicros[unit], unitMonths[unit]
	if n <= 0 || t < origin || micros == 0 && months == 0 {
		return nullOf(kindDatetime)
	}
	if micros != 0 {
		slice := floorDiv(t-origin, n*micros)
		if up {
			slice++
		}
		return value{kind: kindDatetime, i: origin + slice*n*micros}
	}
	at := datetimeTime(t)
	slice := (int64(at.Year()-1)*12 + int64(at.Month()) - 1) / (n * months)
	if up {
		slice++
	}
	month := slice * n * months
	return value{kind: kindDatetime, i: daysSince1970(int(month/12)+1, int(month%12)+1, 1) * microsPerDay}
}

// sliceEdits makes texts of what time_slice's parentheses hold and the engine's
// grammar lacks: INTERVAL n unit, floor and ceil. i is the name's token.
func sliceEdits(tokens []token, i int) (edits []edit) {
	depth := 0
	for j := i + 1; j+2 < len(tokens); j++ {
		t := tokens[j]
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			if depth--; depth == 0 {
				return edits
			}
		case depth > 1:
		case t.is("interval") && tokens[j+2].kind == tokenWord:
			unit := tokens[j+2]
			edits = append(edits, edit{t.from, t.to, ""}, edit{unit.from, unit.to, ", '" + unit.text + "'"})
		case (t.is("floor") || t.is("ceil")) && tokens[j+1].is(")"):
			edits = append(edits, edit{t.from, t.to, "'" + t.text + "'"})
		}
	}
	return edits
}
