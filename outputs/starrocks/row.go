package starrocks

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"millrace/internal/jsonscan"
	"millrace/internal/pipeline"
)

// errTime is why a record without a readable time is no row.
var errTime = errors.New("the field " + timeField + " holds no RFC 3339 time between the years 0 and 9999")

// encoder turns records into rows: JSON objects whose keys are the table's
// columns. Its output is valid JSON in valid UTF-8 whatever the record holds,
// because StarRocks refuses a whole load for one wrong byte. One goroutine at
// a time uses it.
type encoder struct {
	layout  *layout
	members []jsonscan.Member
	known   jsonscan.Known
	// order is the columns of the last record's members, by position: nearly
	// all records of a topic have the same fields in the same order.
	order   []guess
	written []uint32 // per column: the row in which it was written last
	row     uint32
	text    []byte // scratch
	// unreadable counts, per column, the rows whose DATETIME was no certain
	// moment; the caller sets it to zero.
	unreadable []int

	// Of the row that is being made:
	at      instant // the line's own time
	timed   bool    // it is known
	nulls   []int   // columns whose DATETIME is no certain moment
	refused error   // why the record is no row
}

type guess struct {
	field  []byte
	target *target // nil: no column
}

func newEncoder(l *layout) *encoder {
	n := len(l.targets)
	return &encoder{layout: l, written: make([]uint32, n), unreadable: make([]int, n)}
}

// append appends the row of one record. at is the line's own time; cut says
// that a text was shortened, here or by the record's own mark. An error means
// that the record can be no row of this table: dst is returned as it came.
func (e *encoder) append(dst []byte, r *pipeline.Record) (out []byte, at instant, cut bool, err error) {
	e.members, err = e.known.Members(r.Raw, e.members[:0])
	if err != nil {
		return dst, at, false, err
	}
	e.row++
	if e.row == 0 {
		clear(e.written)
		e.row = 1
	}
	e.timed, e.nulls, e.refused = false, e.nulls[:0], nil
	out = append(dst, '{')
	// What filters added goes before the record's own fields of that name.
	for i := range r.Added {
		var c bool
		out, c = e.added(out, r.Added[:i], &r.Added[i])
		cut = cut || c
	}
	out, c := e.fields(out)
	cut = cut || c
	for i := range e.layout.nested {
		out, c = e.nested(out, &e.layout.nested[i])
		cut = cut || c
	}
	if !e.timed && e.refused == nil {
		e.refused = errTime
	}
	if e.refused != nil {
		return out[:len(dst)], at, false, e.refused
	}
	for _, i := range e.nulls {
		e.unreadable[i]++
	}
	return e.finish(out, r, cut), e.at, cut, nil
}

// fields writes the record's own top-level fields that have a column.
func (e *encoder) fields(out []byte) (_ []byte, cut bool) {
	for i := range e.members {
		m := &e.members[i]
		t := e.find(i, m)
		switch {
		case t == nil:
		case t == e.layout.truncated:
			cut = cut || m.Kind == jsonscan.Bool && m.Value[0] == 't'
		default:
			var c bool
			out, c = e.member(out, t, m)
			cut = cut || c
		}
	}
	return out, cut
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

// member writes one field of the record.
func (e *encoder) member(dst []byte, t *target, m *jsonscan.Member) (out []byte, cut bool) {
	if !e.once(t) {
		return dst, false
	}
	if m.Kind != jsonscan.Null && !t.filled.Load() {
		t.filled.Store(true)
	}
	dst = append(dst, t.key...)
	dst, cut = e.value(dst, t, m)
	return append(dst, ','), cut
}

// added writes a field that a filter appended after those of before.
func (e *encoder) added(dst []byte, before []pipeline.Field, f *pipeline.Field) (out []byte, cut bool) {
	switch t := e.layout.byField[f.Name]; {
	case t == nil:
	case t == e.layout.truncated:
		return dst, f.JSON[0] == 't'
	default:
		m := e.memberOf(t, f.JSON)
		return e.member(dst, t, &m)
	}
	same := func(b pipeline.Field) bool { return b.Name == f.Name }
	if !e.layout.assumed || e.layout.fills(f.Name) || slices.ContainsFunc(before, same) {
		return dst, false
	}
	dst = append(dst, '"')
	dst = append(dst, f.Name...)
	dst = append(dst, '"', ':')
	dst = append(dst, f.JSON...)
	return append(dst, ','), false
}

// nested writes a field from within one of the record's.
func (e *encoder) nested(dst []byte, n *nestedField) (out []byte, cut bool) {
	for i := range e.members {
		if !e.isCalled(&e.members[i], n.top) {
			continue
		}
		value, ok := jsonscan.Lookup(e.members[i].Value, n.names)
		if !ok {
			return dst, false
		}
		m := e.memberOf(n.target, value)
		return e.member(dst, n.target, &m)
	}
	return dst, false
}

// isCalled compares a member's name, which may be written with escapes.
func (e *encoder) isCalled(m *jsonscan.Member, name string) bool {
	if bytes.IndexByte(m.Key, '\\') < 0 {
		return string(m.Key) == name
	}
	e.text = jsonscan.AppendUnquoted(e.text[:0], m.Key)
	return string(e.text) == name
}

// memberOf describes one valid JSON value that goes to t.
func (e *encoder) memberOf(t *target, value []byte) jsonscan.Member {
	m := jsonscan.Member{Value: value, Kind: jsonscan.Number}
	switch c := value[0]; c {
	case '"':
		m.Kind, m.Escaped = jsonscan.String, bytes.IndexByte(value, '\\') >= 0
	case '{', '[', 'n':
		m.Kind = jsonscan.Kind(c)
	case 't', 'f':
		m.Kind = jsonscan.Bool
	}
	m.Extreme = t.kind == jsonColumn && jsonscan.Extreme(value)
	return m
}

// finish writes what says where the row came from and closes it.
func (e *encoder) finish(dst []byte, r *pipeline.Record, cut bool) []byte {
	l := e.layout
	if cut && l.truncated != nil {
		dst = append(dst, l.truncated.key...)
		dst = append(dst, "true,"...)
	}
	if l.topic != nil {
		dst = append(dst, l.topic.key...)
		dst = append(dst, '"')
		dst = append(dst, r.Origin.TopicID...)
		dst = append(dst, '"', ',')
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
