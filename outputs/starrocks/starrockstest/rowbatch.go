package starrockstest

import (
	"fmt"
	"math"
	"unsafe"
)

// rowBatch collects the rows of one load into segments.
type rowBatch struct {
	table   *table
	columns []column
	places  map[int]int // column id -> place in columns
	cols    []*colBuilder
	memos   []map[*byte]value // per generated column that reads one JSON column
	sources []int             // the place of that JSON column, -1
	rows    int
	total   int64
	txn     int64
	label   string
	out     []*segment
}

func newRowBatch(t *table, columns []column, txn int64, label string) *rowBatch {
	b := &rowBatch{table: t, columns: columns, places: map[int]int{}, txn: txn, label: label}
	b.memos, b.sources = make([]map[*byte]value, len(columns)), make([]int, len(columns))
	for i, c := range columns {
		b.places[c.id] = i
	}
	for i, c := range columns {
		b.sources[i] = -1
		if c.generated == nil {
			continue
		}
		if deps := dependencies(c.generated); len(deps) == 1 && columns[b.places[deps[0]]].typ.kind == kindJSON {
			b.sources[i], b.memos[i] = b.places[deps[0]], map[*byte]value{}
		}
	}
	b.reset()
	return b
}

func (b *rowBatch) reset() {
	b.rows, b.cols = 0, make([]*colBuilder, len(b.columns))
	for i, c := range b.columns {
		b.cols[i] = newColBuilder(c.typ.kind, &b.table.shared)
	}
}

// add appends a row, after computing its generated columns; a *rowFault means
// that the row is filtered.
func (b *rowBatch) add(cells []cell) error {
	var room [16]value
	generated := room[:0]
	for i := range b.columns {
		c := &b.columns[i]
		if c.generated == nil {
			continue
		}
		v := b.compute(i, cells)
		if v.null && c.notNull {
			return &rowFault{fmt.Sprintf("NULL value in non-nullable column '%s'", c.name)}
		}
		if c.typ.kind == kindString && len(v.s) > c.typ.length {
			return &rowFault{fmt.Sprintf("String '%.128s'(length=%d) is too long. The max length of '%s' is %d", v.s, len(v.s), c.name, c.typ.length)}
		}
		generated = append(generated, v)
	}
	for i := range b.columns {
		if b.columns[i].generated != nil {
			b.cols[i].appendValue(generated[0])
			generated = generated[1:]
			continue
		}
		switch {
		case cells[i].state != cellSet:
			b.cols[i].appendNull()
		case b.columns[i].typ.kind.isText():
			b.cols[i].appendText(cells[i].text)
		default:
			b.cols[i].appendNum(cells[i].num)
		}
	}
	b.rows++
	b.total++
	if b.full() {
		b.cut()
	}
	return nil
}

// compute evaluates a generated column. The values of one that reads a single
// JSON column are remembered by the printed object's address, which the map
// keeps alive; objects stand in memory of their own (see rowReader.nestedCell).
func (b *rowBatch) compute(i int, cells []cell) value {
	memo, src := b.memos[i], b.sources[i]
	var at *byte
	if memo != nil && cells[src].state == cellSet && cells[src].text[0] == '{' {
		at = &cells[src].text[0]
		if v, ok := memo[at]; ok {
			return v
		}
	}
	v := b.columns[i].generated.eval(func(id int) value { return b.source(id, cells) })
	if at != nil {
		if len(memo) > 1024 {
			clear(memo)
		}
		memo[at] = v
	}
	return v
}

// source shows a cell as a value without copying: it is read before the next
// row is.
func (b *rowBatch) source(id int, cells []cell) value {
	at := b.places[id]
	k, c := b.columns[at].typ.kind, &cells[at]
	switch {
	case c.state != cellSet:
		return nullOf(k)
	case k.isText():
		return value{kind: k, s: unsafe.String(unsafe.SliceData(c.text), len(c.text))}
	case k == kindFloat || k == kindDouble:
		return value{kind: k, f: math.Float64frombits(uint64(c.num))}
	}
	return value{kind: k, i: c.num}
}

func (b *rowBatch) full() bool {
	for _, c := range b.cols {
		if len(c.buf) > segmentText {
			return true
		}
	}
	return false
}

// cut closes the segment under construction.
func (b *rowBatch) cut() {
	if b.rows == 0 {
		return
	}
	seg := &segment{rows: b.rows, txn: b.txn, label: b.label, cols: map[int]*colData{}}
	for i, c := range b.columns {
		seg.cols[c.id] = b.cols[i].done()
	}
	b.out = append(b.out, seg)
	b.reset()
}

// dropLast takes the newest row back.
func (b *rowBatch) dropLast() {
	if b.rows == 0 {
		return
	}
	b.rows--
	b.total--
	for _, c := range b.cols {
		c.dropLast()
	}
}

func (b *colBuilder) dropLast() {
	b.rows--
	if at := b.rows >> 6; at < len(b.nulls) {
		b.nulls[at] &^= 1 << (b.rows & 63)
	}
	switch {
	case b.ends != nil:
		end := uint32(0)
		if b.rows > 0 {
			end = b.ends[b.rows-1]
		}
		b.ends, b.buf = b.ends[:b.rows], b.buf[:end]
	case b.kind.isText():
		b.codes = b.codes[:b.rows]
	default:
		b.nums = b.nums[:b.rows]
	}
}
