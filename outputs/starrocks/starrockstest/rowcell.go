package starrockstest

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
)

// value reads the value of a mapped column. A literal that only starts like
// one filters the row and leaves the rest of the object to be read as another
// row, as the server does.
func (r *rowReader) value(at int) error {
	switch c := r.peek(); c {
	case 't', 'f', 'n':
		token := r.scalar()
		switch string(token) {
		case "null":
			r.cells[at].state = cellNull
			return nil
		case "true", "false":
			return r.scalarCell(at, token)
		}
		if r.peek() == ',' {
			r.inside = true
		}
		return &rowFault{fmt.Sprintf("N_ATOM_ERROR: Problem while parsing an atom in column '%s'", r.columns[at].name)}
	case '"':
		return r.stringCell(at)
	case '{', '[':
		return r.nestedCell(at)
	case ',', ':', '}', ']':
		return errStructure
	case 0:
		if r.pos == len(r.body) {
			return errTruncated
		}
	}
	return r.scalarCell(at, r.scalar())
}

// reject is what a value becomes that the column cannot take: NULL in lenient
// mode, a filtered row in strict mode.
func (r *rowReader) reject(at int, shown []byte) error {
	r.cells[at].state = cellNull
	if !r.strict {
		return nil
	}
	c := &r.columns[at]
	return &rowFault{fmt.Sprintf("Value '%s' is out of range. The type of '%s' is %s", shown[:min(len(shown), 256)], c.name, c.typ.sqlType())}
}

func (r *rowReader) set(at int, text []byte) {
	r.cells[at].state, r.cells[at].text = cellSet, text
}

func (r *rowReader) stringCell(at int) error {
	from := r.pos
	c := &r.columns[at]
	text, err := r.text()
	if err == errValue {
		return r.reject(at, r.body[from:r.pos])
	}
	if err != nil {
		return err
	}
	switch {
	case c.typ.kind == kindString:
		if len(text) > c.typ.length {
			return r.reject(at, text)
		}
		r.set(at, text)
		return nil
	case c.typ.kind == kindJSON:
		start := len(r.scratch)
		r.scratch = appendJSONString(r.scratch, text)
		r.set(at, r.scratch[start:])
		return nil
	}
	return r.typedCell(at, text, true)
}

// scalarCell reads a number, true or false; token is as written.
func (r *rowReader) scalarCell(at int, token []byte) error {
	boolean := string(token) == "true" || string(token) == "false"
	if !boolean && !isJSONNumber(token) {
		return r.reject(at, token)
	}
	switch r.columns[at].typ.kind {
	case kindJSON:
		start := len(r.scratch)
		out, err := printScalar(r.scratch, token)
		if err != nil {
			return r.reject(at, token)
		}
		r.scratch = out
		r.set(at, out[start:])
		return nil
	case kindString:
		if boolean {
			token = map[byte][]byte{'t': []byte("1"), 'f': []byte("0")}[token[0]]
		}
		if len(token) > r.columns[at].typ.length {
			return r.reject(at, token)
		}
		r.set(at, token)
		return nil
	}
	return r.typedCell(at, token, false)
}

// typedCell converts text to a number or time.
func (r *rowReader) typedCell(at int, text []byte, quoted bool) error {
	c := &r.columns[at]
	num, ok := int64(0), false
	switch {
	case c.typ.kind == kindDatetime:
		num, ok = parseDatetime(text)
	case c.typ.kind == kindDate:
		num, ok = parseDatetime(text)
		num = floorDiv(num, microsPerDay)
	case c.typ.kind == kindFloat || c.typ.kind == kindDouble:
		f, err := strconv.ParseFloat(string(bytes.TrimSpace(text)), 64)
		num, ok = int64(math.Float64bits(f)), err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	default:
		num, ok = parseInteger(c.typ, text, quoted)
	}
	if !ok {
		return r.reject(at, text)
	}
	r.cells[at].state, r.cells[at].num = cellSet, num
	return nil
}

func parseInteger(t columnType, text []byte, quoted bool) (int64, bool) {
	if t.kind == kindBoolean {
		switch string(text) {
		case "true":
			return 1, true
		case "false":
			return 0, true
		}
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil && !quoted && isJSONFloat(text) {
		f, ferr := strconv.ParseFloat(string(text), 64)
		if ferr == nil && f >= -1<<63 && f < 1<<63 {
			n, err = int64(f), nil
		}
	}
	lo, hi := t.integerRange()
	return n, err == nil && n >= lo && n <= hi
}

// nestedCell reads an object or array into a JSON or text column.
func (r *rowReader) nestedCell(at int) error {
	c := &r.columns[at]
	from := r.pos
	if c.typ.kind == kindJSON {
		if printed, n := r.caches[at].find(r.body[r.pos:]); n > 0 {
			r.pos += n
			r.set(at, printed)
			return nil
		}
	}
	if err := r.skip(); err != nil {
		return err
	}
	raw := r.body[from:r.pos]
	switch c.typ.kind {
	case kindString:
		start := len(r.scratch)
		r.scratch = minify(r.scratch, raw)
		if text := r.scratch[start:]; len(text) <= c.typ.length {
			r.set(at, text)
			return nil
		}
		return r.reject(at, raw)
	case kindJSON:
		if k, known := r.caches[at].byText[string(raw)]; known {
			r.set(at, k.printed)
			return nil
		}
		inner := jsonReader{body: raw}
		printed, err := inner.print(nil, 0)
		if err == errValue || err == nil && len(printed) > maxJSONBytes {
			return r.reject(at, raw)
		}
		if err != nil {
			return errStructure
		}
		r.caches[at].add(raw, printed)
		r.set(at, printed)
		return nil
	}
	return r.reject(at, raw)
}

// jsonCache remembers the objects of a column and how they print: the metadata
// of a container is the same for every line. An object that is a prefix of the
// text ends where the remembered one ends, so a hit costs one comparison.
type jsonCache struct {
	seed   maphash.Seed
	byHead map[uint64][]knownJSON // by their first headBytes
	byText map[string]knownJSON
}

// knownJSON is one object; raw shares memory with the body.
type knownJSON struct{ raw, printed []byte }

const (
	headBytes    = 64
	headObjects  = 8    // remembered with the same first bytes
	cacheObjects = 8192 // and then it starts anew
)

func (c *jsonCache) find(text []byte) (printed []byte, n int) {
	if len(c.byHead) == 0 || len(text) < headBytes {
		return nil, 0
	}
	for _, k := range c.byHead[maphash.Bytes(c.seed, text[:headBytes])] {
		if bytes.HasPrefix(text, k.raw) {
			return k.printed, len(k.raw)
		}
	}
	return nil, 0
}

func (c *jsonCache) add(raw, printed []byte) {
	if c.byText == nil || len(c.byText) >= cacheObjects {
		c.seed, c.byHead, c.byText = maphash.MakeSeed(), map[uint64][]knownJSON{}, map[string]knownJSON{}
	}
	k := knownJSON{raw, printed}
	c.byText[string(raw)] = k
	if len(raw) >= headBytes {
		head := maphash.Bytes(c.seed, raw[:headBytes])
		if list := c.byHead[head]; len(list) < headObjects {
			c.byHead[head] = append(list, k)
		} else {
			list[len(c.byText)%headObjects] = k
		}
	}
}
