// Package jsonscan reads JSON objects that others wrote, in one validating
// pass and without building a tree. It accepts what RFC 8259 calls an object,
// with three limits that the RFC leaves to implementations or does not set:
// values are nested at most 512 deep, and invalid UTF-8 and lone surrogate
// escapes are errors, because they would cost a whole load of StarRocks or turn
// a value into NULL. Numbers that StarRocks' JSON type cannot hold are accepted
// and marked (Member.Extreme).
//
// All functions are pure and safe for concurrent use (Known is neither). They allocate errors,
// what growing the given slices takes, and a copy of a number or an escaped
// name that is unusually long.
package jsonscan

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds nesting, which RFC 8259 leaves to the implementation;
// StarRocks' parser, simdjson, ends at 1,024.
const maxDepth = 512

// ErrSyntax is wrapped by every error of this package.
var ErrSyntax = errors.New("not one valid JSON object")

// Kind is the type of a JSON value.
type Kind byte

// The kinds of values.
const (
	Null   Kind = 'n'
	Bool   Kind = 'b'
	Number Kind = '0'
	String Kind = '"'
	Array  Kind = '['
	Object Kind = '{'
)

// Member is one top-level member of an object. Key and Value are parts of the
// scanned data.
type Member struct {
	// Key is the name between its quotes, escapes as written.
	Key []byte
	// Value is the whole value as written; a string with its quotes.
	Value []byte
	// Start and End are Value's place in the data.
	Start, End int
	Kind       Kind
	// Escaped says that a String value holds at least one backslash.
	Escaped bool
	// Extreme says that Value is or holds an integer beyond 64 bits or a
	// number beyond a double's range. RFC 8259 allows them, StarRocks' JSON
	// type refuses the whole value.
	Extreme bool
}

// Text is the bytes of a String between its quotes, escapes as written.
func (m *Member) Text() []byte { return m.Value[1 : len(m.Value)-1] }

// Members validates that data is exactly one object, white space around it
// allowed, and appends its top-level members in order of appearance.
func Members(data []byte, members []Member) ([]Member, error) {
	return (&scanner{data: data, members: members}).document()
}

// document scans data as exactly one object, whose members it collects.
func (s *scanner) document() ([]Member, error) {
	before := len(s.members)
	s.collect = true
	s.space()
	if !s.next('{') {
		return s.members, s.errorf("the first byte is not an opening brace")
	}
	if err := s.object(1); err != nil {
		return s.members[:before], err
	}
	s.space()
	if s.i != len(s.data) {
		return s.members[:before], s.errorf("something follows the object")
	}
	return s.members, nil
}

// Lookup follows names through nested objects of data, which must be valid,
// and returns the value found there as written. The first of several members
// of one name counts.
func Lookup(data []byte, names []string) (value []byte, ok bool) {
	for len(names) > 0 {
		s := scanner{data: data}
		s.space()
		if !s.next('{') {
			return nil, false
		}
		m, found := s.find(names[0])
		if !found {
			return nil, false
		}
		data, names = m, names[1:]
	}
	return data, true
}

// Extreme says of one valid value what Member.Extreme says of a member's.
func Extreme(value []byte) bool {
	s := scanner{data: value}
	s.space()
	_, _, err := s.value(0)
	return err == nil && s.extreme
}

// AppendUnquoted appends the text that the inside of a valid JSON string
// stands for.
func AppendUnquoted(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch text[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			char := hex4(text[i+1:])
			i += 4
			if isHigh(char) {
				low := hex4(text[i+3:])
				i += 6
				char = 0x10000 + (char-0xD800)<<10 + (low - 0xDC00)
			}
			dst = utf8.AppendRune(dst, char)
		default:
			dst = append(dst, text[i])
		}
	}
	return dst
}

// scanner walks over data; i is the next byte.
type scanner struct {
	data    []byte
	i       int
	members []Member
	collect bool   // append the members of the outermost object
	known   *Known // nil: nothing is remembered
	extreme bool   // a number since it was false is beyond its type's range
}

func (s *scanner) errorf(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrSyntax, what, s.i)
}

func (s *scanner) space() {
	for s.i < len(s.data) {
		switch s.data[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// next takes c if it is the next byte.
func (s *scanner) next(c byte) bool {
	if s.i < len(s.data) && s.data[s.i] == c {
		s.i++
		return true
	}
	return false
}

// object scans an object whose opening brace was taken.
func (s *scanner) object(depth int) error {
	s.space()
	if s.next('}') {
		return nil
	}
	for {
		s.space()
		if err := s.member(depth); err != nil {
			return err
		}
		s.space()
		switch {
		case s.next(','):
		case s.next('}'):
			return nil
		default:
			return s.errorf("a comma or closing brace is missing")
		}
	}
}

// member scans one name, colon and value.
func (s *scanner) member(depth int) error {
	if !s.next('"') {
		return s.errorf("a member's name is missing")
	}
	keyStart := s.i
	if _, err := s.text(); err != nil {
		return err
	}
	key := s.data[keyStart : s.i-1]
	s.space()
	if !s.next(':') {
		return s.errorf("a colon is missing")
	}
	s.space()
	start := s.i
	if depth > 1 || !s.collect {
		_, _, err := s.value(depth)
		return err
	}
	kind, escaped, err := s.topValue()
	if err != nil {
		return err
	}
	s.members = append(s.members, Member{Key: key, Value: s.data[start:s.i:s.i], Start: start, End: s.i, Kind: kind, Escaped: escaped, Extreme: s.extreme})
	s.extreme = false
	return nil
}

// topValue is value for a member of the outermost object; what is known is not
// scanned again.
func (s *scanner) topValue() (kind Kind, escaped bool, err error) {
	rest := s.data[s.i:]
	if s.known == nil || len(rest) < knownPrefix || rest[0] != '{' {
		return s.value(1)
	}
	set, object := s.known.find(rest)
	if object != nil {
		s.i += len(object.text)
		s.extreme = object.extreme
		return Object, false, nil
	}
	start := s.i
	if kind, escaped, err = s.value(1); err == nil {
		s.known.keep(set, s.data[start:s.i], s.extreme)
	}
	return kind, escaped, err
}

// value scans any value; escaped is about strings only.
func (s *scanner) value(depth int) (kind Kind, escaped bool, err error) {
	if depth > maxDepth {
		return 0, false, s.errorf("nested too deeply")
	}
	if s.i == len(s.data) {
		return 0, false, s.errorf("a value is missing")
	}
	switch c := s.data[s.i]; c {
	case '"':
		s.i++
		escaped, err = s.text()
		return String, escaped, err
	case '{':
		s.i++
		return Object, false, s.object(depth + 1)
	case '[':
		s.i++
		return Array, false, s.array(depth + 1)
	case 't':
		return Bool, false, s.literal("true")
	case 'f':
		return Bool, false, s.literal("false")
	case 'n':
		return Null, false, s.literal("null")
	default:
		return Number, false, s.number()
	}
}

func (s *scanner) array(depth int) error {
	s.space()
	if s.next(']') {
		return nil
	}
	for {
		s.space()
		if _, _, err := s.value(depth); err != nil {
			return err
		}
		s.space()
		switch {
		case s.next(','):
		case s.next(']'):
			return nil
		default:
			return s.errorf("a comma or closing bracket is missing")
		}
	}
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.i < len(word) || string(s.data[s.i:s.i+len(word)]) != word {
		return s.errorf("a value begins with an unexpected byte")
	}
	s.i += len(word)
	return nil
}

// find returns the value of the first member called name of the object whose
// opening brace was taken.
func (s *scanner) find(name string) (value []byte, ok bool) {
	var unquoted [64]byte
	for {
		s.space()
		if !s.next('"') {
			return nil, false
		}
		keyStart := s.i
		escaped, err := s.text()
		if err != nil {
			return nil, false
		}
		key := s.data[keyStart : s.i-1]
		if escaped {
			key = AppendUnquoted(unquoted[:0], key)
		}
		s.space()
		s.next(':')
		s.space()
		start := s.i
		if _, _, err := s.value(1); err != nil {
			return nil, false
		}
		if string(key) == name {
			return s.data[start:s.i:s.i], true
		}
		s.space()
		if !s.next(',') {
			return nil, false
		}
	}
}

// isHigh and isLow tell the two halves of a surrogate pair.
func isHigh(r rune) bool { return r >= 0xD800 && r < 0xDC00 }
func isLow(r rune) bool  { return r >= 0xDC00 && r < 0xE000 }

// hex4 reads four hexadecimal digits; -1 if they are not.
func hex4(p []byte) rune {
	if len(p) < 4 {
		return -1
	}
	var r rune
	for _, c := range p[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
