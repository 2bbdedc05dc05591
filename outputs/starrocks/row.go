package starrocks

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"

	"millrace/internal/jsonscan"
	"millrace/internal/pipeline"
)

// errTime is why a record without a readable time is no row.
var errTime = errors.New("the field " + timeField + " holds no RFC 3339 time between the years 0 and 9999")

// ellipsis ends a text that was cut.
const ellipsis = "…"

// encoder turns records into rows: JSON objects whose keys are the table's
// columns. Its output is valid JSON in valid UTF-8 whatever the record holds,
// because StarRocks refuses a whole load for one wrong byte. One goroutine at
// a time uses it.
type encoder struct {
	layout  *layout
	members []jsonscan.Member
	// order is the columns of the last record's members, by position: nearly
	// all records of a topic have the same fields in the same order.
	order   []guess
	written []uint32 // per column: the row in which it was written last
	row     uint32
	text    []byte // scratch
}

type guess struct {
	field  []byte
	target *target // nil: no column
}

func newEncoder(l *layout) *encoder {
	return &encoder{layout: l, written: make([]uint32, len(l.targets))}
}

// append appends the row of one record. at is the line's own time; cut says
// that a text was shortened, here or by the record's own mark. An error means
// that the record can be no row of this table: dst is returned as it came.
func (e *encoder) append(dst []byte, r *pipeline.Record) (out []byte, at instant, cut bool, err error) {
	e.members, err = jsonscan.Members(r.Raw, e.members[:0])
	if err != nil {
		return dst, at, false, err
	}
	e.row++
	if e.row == 0 {
		clear(e.written)
		e.row = 1
	}
	out = append(dst, '{')
	// What filters added goes before the record's own fields of that name.
	for i := range r.Added {
		var c bool
		out, c = e.added(out, &r.Added[i])
		cut = cut || c
	}
	out, at, c, timed := e.fields(out)
	if !timed {
		return out[:len(dst)], at, false, errTime
	}
	cut = cut || c
	for i := range e.layout.nested {
		var c bool
		out, c = e.nested(out, &e.layout.nested[i])
		cut = cut || c
	}
	return e.finish(out, r, cut), at, cut, nil
}

// fields writes the record's own top-level fields that have a column.
func (e *encoder) fields(out []byte) (_ []byte, at instant, cut, timed bool) {
	l := e.layout
	for i := range e.members {
		m := &e.members[i]
		t := e.find(i, m)
		switch {
		case t == nil:
			continue
		case t == l.truncated:
			cut = cut || m.Kind == jsonscan.Bool && m.Value[0] == 't'
			continue
		}
		if t == l.time {
			if at, timed = e.readTime(m); !timed {
				return out, at, cut, false
			}
		}
		var c bool
		out, c = e.member(out, t, m)
		cut = cut || c
	}
	return out, at, cut, timed
}

// find is the column of a member, nil for none.
func (e *encoder) find(i int, m *jsonscan.Member) *target {
	if i < len(e.order) && bytes.Equal(e.order[i].field, m.Key) {
		return e.order[i].target
	}
	field := m.Key
	if bytes.IndexByte(field, '\\') >= 0 {
		e.text = jsonscan.AppendUnquoted(e.text[:0], field)
		field = e.text
	}
	t := e.layout.byField[string(field)]
	// Foreign records may have any number of members; the guesses are for
	// the usual ones.
	if i == len(e.order) && i < 64 {
		e.order = append(e.order, guess{})
	}
	if i < len(e.order) {
		e.order[i].field = append(e.order[i].field[:0], m.Key...)
		e.order[i].target = t
	}
	return t
}

// once says whether a column is still free in this row, and takes it: of
// several values the first counts.
func (e *encoder) once(t *target) bool {
	if e.written[t.index] == e.row {
		return false
	}
	e.written[t.index] = e.row
	return true
}

// readTime reads the line's time.
func (e *encoder) readTime(m *jsonscan.Member) (instant, bool) {
	if m.Kind != jsonscan.String {
		return instant{}, false
	}
	text := m.Text()
	if m.Escaped {
		e.text = jsonscan.AppendUnquoted(e.text[:0], text)
		text = e.text
	}
	return parseTime(text)
}

// member writes one field of the record.
func (e *encoder) member(dst []byte, t *target, m *jsonscan.Member) (out []byte, cut bool) {
	if !e.once(t) {
		return dst, false
	}
	dst = append(dst, t.key...)
	dst, cut = e.value(dst, t, m)
	return append(dst, ','), cut
}

// value writes a value as t's type takes it.
func (e *encoder) value(dst []byte, t *target, m *jsonscan.Member) (out []byte, cut bool) {
	switch {
	case t.kind == datetimeColumn:
		if at, ok := e.readTime(m); ok {
			dst = append(dst, '"')
			dst = appendDatetime(dst, at)
			return append(dst, '"'), false
		}
	case t.kind == textColumn && len(m.Value)-2 > t.max:
		return e.longText(dst, t, m)
	}
	return append(dst, m.Value...), false
}

// longText writes a value whose JSON is longer than the column. StarRocks
// counts the bytes of the text, not of its escapes, and stores objects and
// arrays in a text column as their JSON.
func (e *encoder) longText(dst []byte, t *target, m *jsonscan.Member) (out []byte, cut bool) {
	e.text = e.text[:0]
	switch {
	case m.Kind != jsonscan.String:
		e.text = append(e.text, m.Value...)
	case m.Escaped:
		e.text = jsonscan.AppendUnquoted(e.text, m.Text())
	default:
		e.text = append(e.text, m.Text()...)
	}
	if len(e.text) <= t.max {
		return append(dst, m.Value...), false
	}
	mark := ellipsis
	if t.max < len(mark) {
		mark = ""
	}
	end := t.max - len(mark)
	for end > 0 && !utf8.RuneStart(e.text[end]) {
		end--
	}
	dst = append(dst, '"')
	dst, _ = pipeline.AppendString(dst, e.text[:end], -1)
	dst = append(dst, mark...)
	return append(dst, '"'), true
}

// added writes a field that a filter appended.
func (e *encoder) added(dst []byte, f *pipeline.Field) (out []byte, cut bool) {
	t := e.layout.byField[f.Name]
	if t == nil {
		if !e.layout.assumed || f.Name == partitionColumn || f.Name == offsetColumn || f.Name == truncatedColumn {
			return dst, false
		}
		dst = append(dst, '"')
		dst = append(dst, f.Name...)
		dst = append(dst, '"', ':')
		dst = append(dst, f.JSON...)
		return append(dst, ','), false
	}
	m := memberOf(f.JSON)
	return e.member(dst, t, &m)
}

// nested writes a field from within one of the record's.
func (e *encoder) nested(dst []byte, n *nestedField) (out []byte, cut bool) {
	for i := range e.members {
		if string(e.members[i].Key) != n.top {
			continue
		}
		value, ok := jsonscan.Lookup(e.members[i].Value, n.names)
		if !ok {
			return dst, false
		}
		m := memberOf(value)
		return e.member(dst, n.target, &m)
	}
	return dst, false
}

// memberOf describes one valid JSON value.
func memberOf(value []byte) jsonscan.Member {
	m := jsonscan.Member{Value: value, Kind: jsonscan.Number}
	switch c := value[0]; c {
	case '"':
		m.Kind, m.Escaped = jsonscan.String, bytes.IndexByte(value, '\\') >= 0
	case '{', '[', 'n':
		m.Kind = jsonscan.Kind(c)
	case 't', 'f':
		m.Kind = jsonscan.Bool
	}
	return m
}

// finish writes what says where the row came from and closes it.
func (e *encoder) finish(dst []byte, r *pipeline.Record, cut bool) []byte {
	l := e.layout
	if cut && l.truncated != nil {
		dst = append(dst, l.truncated.key...)
		dst = append(dst, "true,"...)
	}
	if l.partition != nil {
		dst = append(dst, l.partition.key...)
		dst = strconv.AppendInt(dst, int64(r.Origin.Partition), 10)
		dst = append(dst, ',')
	}
	if l.offset != nil {
		dst = append(dst, l.offset.key...)
		dst = strconv.AppendInt(dst, r.Offset, 10)
		dst = append(dst, ',')
	}
	dst[len(dst)-1] = '}'
	return dst
}
