package starrocks

import (
	"fmt"
	"unicode/utf8"

	"millrace/internal/jsonscan"
	"millrace/internal/pipeline"
)

// ellipsis ends a text that was cut.
const ellipsis = "…"

// maxJSON is up to which length of its text a value fits a JSON column for
// certain. The column holds 16 MB (JSON.md) of StarRocks' binary form, and no
// value takes more than four times its text there: 1e9, with its comma 4 bytes,
// takes 9, and 4 of an index.
const maxJSON = 4 << 20

// value writes a value as t's type takes it. What makes the record no row goes
// to e.refused.
func (e *encoder) value(dst []byte, t *target, m *jsonscan.Member) (out []byte, cut bool) {
	switch t.kind {
	case textColumn:
		return e.appendText(dst, t, m)
	case datetimeColumn:
		return e.appendTime(dst, t, m), false
	case jsonColumn:
		if m.Extreme || len(m.Value) > maxJSON {
			e.refused = fmt.Errorf("the column %s is JSON, which holds no number beyond 64 bits or a double's range, and no value longer than %d MiB", t.name, maxJSON>>20)
		}
	}
	return append(dst, m.Value...), false
}

// appendText writes what a text column shows, cut to its length. StarRocks
// counts the bytes of the text: of a string without quotes and escapes, of
// numbers, objects and arrays all of their JSON. true and false become 1 and 0
// there (binary_column.cpp).
func (e *encoder) appendText(dst []byte, t *target, m *jsonscan.Member) (out []byte, cut bool) {
	text := m.Value
	switch m.Kind {
	case jsonscan.Null, jsonscan.Bool:
		return append(dst, m.Value...), false
	case jsonscan.String:
		text = m.Text()
		// Escapes are longer than what they stand for.
		if m.Escaped && len(text) > t.max {
			e.text = jsonscan.AppendUnquoted(e.text[:0], text)
			text = e.text
		}
	}
	if len(text) <= t.max {
		return append(dst, m.Value...), false
	}
	mark := ellipsis
	if t.max < len(mark) {
		mark = ""
	}
	end := t.max - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	dst = append(dst, '"')
	dst, _ = pipeline.AppendString(dst, text[:end], -1)
	dst = append(dst, mark...)
	return append(dst, '"'), true
}

// appendTime writes a moment the one way in which StarRocks' parser, which
// ignores offsets and reads some numbers as dates, takes it for that moment.
// The line's own time must be one with an offset, or the record is no row; in
// other columns what is no moment for certain becomes NULL and is counted.
func (e *encoder) appendTime(dst []byte, t *target, m *jsonscan.Member) []byte {
	at, ok := instant{}, false
	if m.Kind == jsonscan.String {
		text := m.Text()
		if m.Escaped {
			e.text = jsonscan.AppendUnquoted(e.text[:0], text)
			text = e.text
		}
		at, ok = parseTime(text)
		if !ok && t != e.layout.time {
			at, ok = parseDatetime(text)
		}
	}
	switch {
	case ok:
		if t == e.layout.time {
			e.at, e.timed = at, true
		}
		dst = append(dst, '"')
		dst = appendDatetime(dst, at)
		return append(dst, '"')
	case t == e.layout.time:
		e.refused = errTime
	case m.Kind != jsonscan.Null:
		e.nulls = append(e.nulls, t.index)
	}
	return append(dst, "null"...)
}
