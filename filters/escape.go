package filters

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// isPlain says whether p holds neither a backslash nor a control character nor
// anything beyond ASCII: but for quotation marks, it can stand in JSON as it is.
func isPlain(p []byte) bool {
	if bytes.IndexByte(p, '\\') >= 0 {
		return false
	}
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	// A byte is special if its high bit is set, or is when 0x20 is taken off.
	var special uint64
	i := 0
	for ; i+32 <= len(p); i += 32 {
		q := p[i : i+32 : i+32]
		a, b := binary.LittleEndian.Uint64(q), binary.LittleEndian.Uint64(q[8:])
		c, d := binary.LittleEndian.Uint64(q[16:]), binary.LittleEndian.Uint64(q[24:])
		special |= a | (a - ones*0x20) | b | (b - ones*0x20) | c | (c - ones*0x20) | d | (d - ones*0x20)
	}
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		special |= w | (w - ones*0x20)
	}
	for _, c := range p[i:] {
		special |= uint64(c | (c - 0x20))
	}
	return special&highs == 0
}

// unescape appends the text that nginx wrote as p: \xHH with escape=default
// (ngx_http_log_escape), \" \\ \n \uHHHH and their like with escape=json
// (ngx_escape_json). What is no such escape stays as it is.
func unescape(dst, p []byte, escape string) []byte {
	for {
		i := bytes.IndexByte(p, '\\')
		if i < 0 {
			return append(dst, p...)
		}
		dst, p = append(dst, p[:i]...), p[i:]
		n := 0
		if escape == escapeJSON {
			dst, n = appendJSONEscape(dst, p)
		} else {
			dst, n = appendHexEscape(dst, p)
		}
		if n == 0 {
			dst, n = append(dst, '\\'), 1
		}
		p = p[n:]
	}
}

// appendHexEscape appends the byte that p's first n bytes stand for; n is 0 if
// there is no escape.
func appendHexEscape(dst, p []byte) (_ []byte, n int) {
	if len(p) < 4 || p[1] != 'x' {
		return dst, 0
	}
	c, ok := hexValue(p[2:4])
	if !ok {
		return dst, 0
	}
	return append(dst, byte(c)), 4
}

// appendJSONEscape is appendHexEscape for JSON.
func appendJSONEscape(dst, p []byte) (_ []byte, n int) {
	if len(p) < 2 {
		return dst, 0
	}
	switch p[1] {
	case '"', '\\', '/':
		return append(dst, p[1]), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
	default:
		return dst, 0
	}
	if len(p) < 6 {
		return dst, 0
	}
	char, ok := hexValue(p[2:6])
	if !ok || utf16.IsSurrogate(char) { // nginx writes no pairs
		return dst, 0
	}
	return utf8.AppendRune(dst, char), 6
}

func hexValue(p []byte) (v rune, ok bool) {
	for _, c := range p {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}
