package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// text scans a string whose opening quote was taken, and its closing quote.
func (s *scanner) text() (escaped bool, err error) {
	for {
		s.i += PlainLength(s.data[s.i:])
		if s.i == len(s.data) {
			return escaped, s.errorf("a string is not closed")
		}
		switch c := s.data[s.i]; {
		case c == '"':
			s.i++
			return escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return escaped, err
			}
		case c < 0x20:
			return escaped, s.errorf("a control character in a string is not escaped")
		default:
			char, size := utf8.DecodeRune(s.data[s.i:])
			if char == utf8.RuneError && size == 1 {
				return escaped, s.errorf("invalid UTF-8")
			}
			s.i += size
		}
	}
}

// escape scans one escape, or the two of a surrogate pair.
func (s *scanner) escape() error {
	rest := s.data[s.i:]
	if len(rest) < 2 {
		return s.errorf("a string is not closed")
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return nil
	case 'u':
	default:
		return s.errorf("unknown escape")
	}
	char := hex4(rest[2:])
	switch {
	case char < 0:
		return s.errorf("an escape's four digits are not hexadecimal")
	case isLow(char):
		return s.errorf("a lone surrogate is escaped")
	case isHigh(char):
		if len(rest) < 12 || rest[6] != '\\' || rest[7] != 'u' || !isLow(hex4(rest[8:])) {
			return s.errorf("a lone surrogate is escaped")
		}
		s.i += 12
	default:
		s.i += 6
	}
	return nil
}

// PlainLength is the length of the beginning of p without quote, backslash,
// control character or anything beyond ASCII: what may stand in a JSON string
// as it is, and needs no check for UTF-8. It looks at eight bytes at a time: a byte is
// special if its high bit is set, if it is below 0x20, or if it becomes zero
// when xored with a quote or a backslash. A borrow reaches only bytes after a
// special one, so the first that is marked is one.
func PlainLength(p []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		quote, slash := w^ones*'"', w^ones*'\\'
		if special := (w | (w - ones*0x20) | (quote - ones) | (slash - ones)) & highs; special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(p) {
		c := p[i]
		if c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
		i++
	}
	return i
}
