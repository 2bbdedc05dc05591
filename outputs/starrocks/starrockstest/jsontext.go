package starrockstest

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The parser tells three kinds of trouble apart because the server does: a
// document that simply stops, a structure that the scanner cannot step over,
// and a value that reads as NULL.
var (
	errTruncated = errors.New("INCOMPLETE_ARRAY_OR_OBJECT: JSON document ended early in the middle of an object or array")
	errStructure = errors.New("TAPE_ERROR: The JSON document has an improper structure: missing or superfluous commas, braces, missing keys, etc")
	errControl   = errors.New("UNESCAPED_CHARS: Within strings, some characters must be escaped, we found unescaped characters")
	errValue     = errors.New("the value cannot be read")
)

const (
	maxJSONDepth = 1024     // simdjson's default
	maxJSONBytes = 16 << 20 // StarRocks documentation, JSON: 16 MB a value
)

// jsonReader walks JSON text; body is never changed or kept past the walk.
type jsonReader struct {
	body    []byte
	pos     int
	scratch []byte // unescaped strings; grows, so earlier slices stay valid
}

func (r *jsonReader) skipSpace() {
	for r.pos < len(r.body) {
		switch r.body[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// peek gives the next significant byte, 0 at the end of the text.
func (r *jsonReader) peek() byte {
	r.skipSpace()
	if r.pos == len(r.body) {
		return 0
	}
	return r.body[r.pos]
}

func (r *jsonReader) expect(c byte) error {
	switch r.peek() {
	case c:
		r.pos++
		return nil
	case 0:
		if r.pos == len(r.body) {
			return errTruncated
		}
	}
	return errStructure
}

var stringEnd = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// rawString steps over a string and returns what is between the quotes, not
// unescaped.
func (r *jsonReader) rawString() (raw []byte, escaped bool, err error) {
	body, i := r.body, r.pos+1
	start := i
	for {
		for i < len(body) && !stringEnd[body[i]] {
			i++
		}
		if i >= len(body) {
			return nil, false, errTruncated
		}
		switch body[i] {
		case '"':
			r.pos = i + 1
			return body[start:i], escaped, nil
		case '\\':
			escaped = true
			i += 2
		default:
			return nil, false, errControl
		}
	}
}

// text is rawString with the escapes resolved; errValue means a bad escape or
// half a surrogate pair, with the string stepped over.
func (r *jsonReader) text() ([]byte, error) {
	raw, escaped, err := r.rawString()
	if err != nil || !escaped {
		return raw, err
	}
	start := len(r.scratch)
	out, ok := unescapeJSON(r.scratch, raw)
	r.scratch = out
	if !ok {
		return nil, errValue
	}
	return out[start:], nil
}

func unescapeJSON(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		i++
		if i >= len(raw) {
			return dst, false
		}
		if plain := strings.IndexByte(`"\/bfnrt`, raw[i]); plain >= 0 {
			dst = append(dst, "\"\\/\b\f\n\r\t"[plain])
			continue
		}
		if raw[i] != 'u' {
			return dst, false
		}
		r, ok := hex4(raw, i+1)
		if !ok {
			return dst, false
		}
		i += 4
		if r >= 0xdc00 && r < 0xe000 {
			return dst, false
		}
		if r >= 0xd800 && r < 0xdc00 {
			if i+2 >= len(raw) || raw[i+1] != '\\' || raw[i+2] != 'u' {
				return dst, false
			}
			low, ok := hex4(raw, i+3)
			if !ok || low < 0xdc00 || low >= 0xe000 {
				return dst, false
			}
			r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
			i += 6
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, true
}

func hex4(raw []byte, at int) (rune, bool) {
	if at+4 > len(raw) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[at:at+4]), 16, 32)
	return rune(n), err == nil
}

// scalar steps over a number, literal or anything else up to the next
// structural byte.
func (r *jsonReader) scalar() []byte {
	start := r.pos
	for r.pos < len(r.body) {
		switch r.body[r.pos] {
		case ',', '}', ']', '{', '[', ':', '"', ' ', '\t', '\n', '\r':
			return r.body[start:r.pos]
		}
		r.pos++
	}
	return r.body[start:r.pos]
}

// skip steps over one value, looking only at strings and brackets, as the
// server does for keys that no column wants.
func (r *jsonReader) skip() error {
	depth := 0
	for {
		c := r.peek()
		switch c {
		case '"':
			if _, _, err := r.rawString(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			r.pos++
		case '}', ']':
			if depth == 0 {
				return errStructure
			}
			depth--
			r.pos++
		case ',', ':':
			if depth == 0 {
				return errStructure
			}
			r.pos++
		default:
			if r.pos == len(r.body) {
				return errTruncated
			}
			r.scalar()
		}
		if depth == 0 {
			return nil
		}
	}
}
