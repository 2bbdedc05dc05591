package jsonscan

import (
	"bytes"
	"strconv"
)

// surelyInRange is the length up to which a number without an exponent fits 64
// bits, or a double, whatever its digits are.
const surelyInRange = 18

func (s *scanner) number() error {
	start := s.i
	s.next('-')
	switch {
	case s.next('0'):
	case s.digits():
	default:
		return s.errorf("a value begins with an unexpected byte")
	}
	if s.next('.') && !s.digits() {
		return s.errorf("a number ends with its decimal point")
	}
	exponent := s.next('e') || s.next('E')
	if exponent {
		if !s.next('+') {
			s.next('-')
		}
		if !s.digits() {
			return s.errorf("a number's exponent is missing")
		}
	}
	if exponent || s.i-start > surelyInRange {
		s.extreme = s.extreme || outOfRange(s.data[start:s.i])
	}
	return nil
}

// outOfRange says whether a number in the grammar of RFC 8259 is beyond what
// simdjson reads: without point and exponent an integer of 64 bits, signed only
// if it is negative, else a double. A double's underflow is zero and fine.
func outOfRange(number []byte) bool {
	var err error
	switch {
	case bytes.ContainsAny(number, ".eE"):
		_, err = strconv.ParseFloat(string(number), 64)
	case number[0] == '-':
		_, err = strconv.ParseInt(string(number), 10, 64)
	default:
		_, err = strconv.ParseUint(string(number), 10, 64)
	}
	return err != nil
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.data) && s.data[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > start
}
