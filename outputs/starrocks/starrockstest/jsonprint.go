package starrockstest

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// print reads one value and appends it as the server prints a JSON column:
// keys in byte order, ", " and ": " between. errValue leaves the reader
// anywhere inside the value.
func (r *jsonReader) print(dst []byte, depth int) ([]byte, error) {
	if depth > maxJSONDepth {
		return dst, errValue
	}
	switch c := r.peek(); c {
	case '{':
		return r.printObject(dst, depth)
	case '[':
		return r.printArray(dst, depth)
	case '"':
		text, err := r.text()
		if err != nil {
			return dst, err
		}
		return appendJSONString(dst, text), nil
	case 0, ',', ':', '}', ']':
		if r.pos == len(r.body) {
			return dst, errTruncated
		}
		return dst, errStructure
	}
	return printScalar(dst, r.scalar())
}

func printScalar(dst, token []byte) ([]byte, error) {
	switch s := string(token); s {
	case "true", "false", "null":
		return append(dst, s...), nil
	}
	if !isJSONNumber(token) {
		return dst, errValue
	}
	if !isJSONFloat(token) {
		if token[0] == '-' {
			n, err := strconv.ParseInt(string(token), 10, 64)
			if err != nil {
				return dst, errValue
			}
			return strconv.AppendInt(dst, n, 10), nil
		}
		n, err := strconv.ParseUint(string(token), 10, 64)
		if err != nil {
			return dst, errValue
		}
		return strconv.AppendUint(dst, n, 10), nil
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return dst, errValue
	}
	return append(dst, formatDouble(f)...), nil
}

func isJSONFloat(token []byte) bool {
	return slices.ContainsFunc(token, func(c byte) bool { return c == '.' || c == 'e' || c == 'E' })
}

// isJSONNumber checks the grammar of RFC 8259, section 6.
func isJSONNumber(token []byte) bool {
	i := 0
	if i < len(token) && token[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(token) && isDigit(token[i]) {
			i++
		}
		return i > from
	}
	zero := i < len(token) && token[i] == '0'
	from := i
	if !digits() || zero && i-from > 1 {
		return false
	}
	if i < len(token) && token[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(token) && token[i]|0x20 == 'e' {
		i++
		if i < len(token) && (token[i] == '+' || token[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(token)
}

func (r *jsonReader) printArray(dst []byte, depth int) ([]byte, error) {
	r.pos++
	dst = append(dst, '[')
	if r.peek() == ']' {
		r.pos++
		return append(dst, ']'), nil
	}
	for {
		var err error
		if dst, err = r.print(dst, depth+1); err != nil {
			return dst, err
		}
		if r.peek() == ',' {
			r.pos++
			dst = append(dst, ", "...)
			continue
		}
		return append(dst, ']'), r.expect(']')
	}
}

type jsonMember struct {
	key      string
	from, to int // the printed member in the output
}

func (r *jsonReader) printObject(dst []byte, depth int) ([]byte, error) {
	r.pos++
	dst = append(dst, '{')
	if r.peek() == '}' {
		r.pos++
		return append(dst, '}'), nil
	}
	var room [24]jsonMember
	members := room[:0]
	for {
		if r.peek() != '"' {
			return dst, r.expect('"')
		}
		key, err := r.text()
		if err != nil {
			return dst, err
		}
		if err := r.expect(':'); err != nil {
			return dst, err
		}
		from := len(dst)
		dst = append(appendJSONString(dst, key), ": "...)
		if dst, err = r.print(dst, depth+1); err != nil {
			return dst, err
		}
		members = append(members, jsonMember{string(key), from, len(dst)})
		if r.peek() == ',' {
			r.pos++
			dst = append(dst, ", "...)
			continue
		}
		if err := r.expect('}'); err != nil {
			return dst, err
		}
		return append(sortMembers(dst, members), '}'), nil
	}
}

func sortMembers(dst []byte, members []jsonMember) []byte {
	byKey := func(a, b jsonMember) int { return strings.Compare(a.key, b.key) }
	if slices.IsSortedFunc(members, byKey) {
		return dst
	}
	from := members[0].from
	printed := slices.Clone(dst[from:])
	slices.SortStableFunc(members, byKey)
	dst = dst[:from]
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, printed[m.from-from:m.to-from]...)
	}
	return dst
}

// appendJSONString quotes text; "/" and non-ASCII stay as they are.
func appendJSONString(dst, text []byte) []byte {
	const hex = "0123456789ABCDEF"
	dst = append(dst, '"')
	for _, c := range text {
		if !stringEnd[c] {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '\\')
		if short := strings.IndexByte("\"\\\b\f\n\r\t", c); short >= 0 {
			dst = append(dst, `"\bfnrt`[short])
		} else {
			dst = append(dst, 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, '"')
}

func quoteJSON(s string) string { return string(appendJSONString(nil, []byte(s))) }

// parseJSON is parse_json: the printed form, or ok false where the server
// gives NULL.
func parseJSON(s string) (printed string, ok bool) {
	r := jsonReader{body: []byte(s)}
	out, err := r.print(nil, 0)
	if err != nil || r.peek() != 0 || r.pos != len(r.body) || !utf8.Valid(r.body) {
		return "", false
	}
	return string(out), true
}

// jsonText is what casting a printed JSON value to a string gives: a string
// loses its quotes, anything else stays.
func jsonText(printed string) string {
	if len(printed) < 2 || printed[0] != '"' {
		return printed
	}
	raw := printed[1 : len(printed)-1]
	if strings.IndexByte(raw, '\\') < 0 {
		return raw
	}
	out, _ := unescapeJSON(nil, []byte(raw))
	return string(out)
}

// minify removes the blanks between tokens of well-formed JSON.
func minify(dst, raw []byte) []byte {
	inside := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case inside && c == '\\' && i+1 < len(raw):
			dst = append(dst, c)
			i++
			c = raw[i]
		case c == '"':
			inside = !inside
		case !inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
