package starrockstest

import (
	"math"
	"sync"
)

// segment holds the rows of one load (or of a part of a large one), column by
// column. It never changes once its builder is done, so readers need no lock.
type segment struct {
	rows  int
	txn   int64
	label string
	cols  map[int]*colData // by column id
}

// colData is one column of a segment. Numbers and times are nums (floats as
// their bits). Text is either a dictionary (codes into dict) or plain (ends
// into data). nulls is nil when there is none.
type colData struct {
	kind  kind
	nulls []uint64
	nums  []int64
	codes []uint32
	dict  []string
	ends  []uint32
	data  string
}

func (c *colData) null(row int) bool {
	return c.nulls != nil && row>>6 < len(c.nulls) && c.nulls[row>>6]>>(row&63)&1 == 1
}

func (c *colData) text(row int) string {
	if c.ends == nil {
		return c.dict[c.codes[row]]
	}
	from := uint32(0)
	if row > 0 {
		from = c.ends[row-1]
	}
	return c.data[from:c.ends[row]]
}

func (c *colData) value(row int) value {
	v := value{kind: c.kind}
	switch {
	case c.null(row):
		v.null = true
	case c.kind.isText():
		v.s = c.text(row)
	case c.kind == kindFloat || c.kind == kindDouble:
		v.f = math.Float64frombits(uint64(c.nums[row]))
	default:
		v.i = c.nums[row]
	}
	return v
}

// value gives one cell. A column younger than the segment reads as its
// default, or is computed when it is generated.
func (s *segment) value(row int, c *column) value {
	if d := s.cols[c.id]; d != nil {
		return d.value(row)
	}
	if c.generated != nil {
		return c.generated.eval(func(id int) value {
			if d := s.cols[id]; d != nil {
				return d.value(row)
			}
			return value{null: true}
		})
	}
	if c.dflt != nil {
		return textValue(*c.dflt).cast(c.typ.kind)
	}
	return nullOf(c.typ.kind)
}

// A text column stays a dictionary while its values repeat: Kubernetes
// metadata, streams and tags do, messages do not.
const (
	dictTrial   = 1024 // distinct values before the share is looked at
	dictShare   = 4    // plain when more than one value in dictShare is new
	segmentText = 1 << 30
)

// colBuilder appends the values of one column.
type colBuilder struct {
	colData
	rows   int
	lookup map[string]uint32
	buf    []byte
	shared *interner
}

func newColBuilder(k kind, shared *interner) *colBuilder {
	b := &colBuilder{colData: colData{kind: k}, shared: shared}
	if k.isText() {
		b.lookup = map[string]uint32{}
	}
	return b
}

func (b *colBuilder) appendNull() {
	for len(b.nulls) <= b.rows>>6 {
		b.nulls = append(b.nulls, 0)
	}
	b.nulls[b.rows>>6] |= 1 << (b.rows & 63)
	if b.kind.isText() {
		b.appendText(nil)
	} else {
		b.appendNum(0)
	}
}

func (b *colBuilder) appendNum(n int64) {
	b.nums = append(b.nums, n)
	b.rows++
}

func (b *colBuilder) appendText(text []byte) {
	b.rows++
	if b.lookup == nil {
		b.buf = append(b.buf, text...)
		b.ends = append(b.ends, uint32(len(b.buf)))
		return
	}
	code, known := b.lookup[string(text)]
	if !known {
		code = uint32(len(b.dict))
		own := b.shared.intern(text)
		b.dict = append(b.dict, own)
		b.lookup[own] = code
	}
	b.codes = append(b.codes, code)
	if !known && len(b.dict) > dictTrial && len(b.dict) > len(b.codes)/dictShare {
		b.flatten()
	}
}

func (b *colBuilder) appendValue(v value) {
	switch {
	case v.null:
		b.appendNull()
	case b.kind.isText():
		b.appendText([]byte(v.s))
	case b.kind == kindFloat || b.kind == kindDouble:
		b.appendNum(int64(math.Float64bits(v.f)))
	default:
		b.appendNum(v.i)
	}
}

// flatten turns the dictionary into plain text.
func (b *colBuilder) flatten() {
	b.ends = make([]uint32, 0, 2*len(b.codes))
	for _, code := range b.codes {
		b.buf = append(b.buf, b.dict[code]...)
		b.ends = append(b.ends, uint32(len(b.buf)))
	}
	b.lookup, b.codes, b.dict = nil, nil, nil
}

func (b *colBuilder) done() *colData {
	d := b.colData
	if d.ends != nil {
		d.data = string(b.buf)
	}
	return &d
}

// interner shares equal texts between the segments of a table. It forgets
// everything when it holds too much; older segments keep their own.
type interner struct {
	mu    sync.Mutex
	texts map[string]string
	bytes int
}

const internBytes = 64 << 20

func (n *interner) intern(text []byte) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, ok := n.texts[string(text)]; ok {
		return s
	}
	if n.texts == nil || n.bytes > internBytes {
		n.texts, n.bytes = map[string]string{}, 0
	}
	s := string(text)
	n.texts[s] = s
	n.bytes += len(s)
	return s
}
