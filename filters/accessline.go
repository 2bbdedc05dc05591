package filters

import (
	"bytes"
	"encoding/binary"
)

// values are where the parts stand in one line.
type values [partCount]span

// span is a piece of a line; the zero value is none. Both ends are one more
// than in the line.
type span struct{ from, to int32 }

// set notes where a part is, unless that is known already.
func (v *values) set(p part, from, to int) {
	if v[p].to == 0 {
		v[p] = span{int32(from + 1), int32(to + 1)}
	}
}

// parse takes a line apart; false if it is not in the format. It reads the line
// once, from left to right. Of several variables for the same part the first
// that has a value counts.
func (f *format) parse(line []byte, v *values) bool {
	if !begins(line, f.lead) {
		return false
	}
	at := len(f.lead)
	for i := range f.steps {
		s := &f.steps[i]
		var n int
		if s.kind == text {
			n = bytes.IndexByte(line[at:], s.until[0])
		} else {
			n = s.end(line[at:])
		}
		if n < 0 || !s.endsAt(line, at+n) {
			return false
		}
		if s.part != nothing {
			v.take(s.part, line[at:at+n], at)
		}
		at += n
		if !s.kept {
			at += len(s.until)
		}
	}
	return at == len(line)
}

func begins(p []byte, with string) bool {
	return len(p) >= len(with) && string(p[:len(with)]) == with
}

// endsAt says whether until follows at i.
func (s *step) endsAt(p []byte, i int) bool {
	if s.mask != 0 && i+4 <= len(p) {
		return binary.LittleEndian.Uint32(p[i:])&s.mask == s.word
	}
	return begins(p[i:], s.until) && (s.until != "" || i == len(p))
}

// end is where the variable's value ends in p, -1 if p does not begin with one.
// Whether it is followed by until is still to be seen. For a text, parse does it.
func (s *step) end(p []byte) int {
	switch s.kind {
	case address:
		return addressEnd(p)
	case code:
		return codeEnd(p)
	case seconds:
		return secondsEnd(p)
	case times:
		return timesEnd(p)
	case list:
		return s.listEnd(p)
	case jsonText:
		return jsonEnd(p)
	case freeText:
		return s.freeEnd(p)
	}
	return len(p)
}

// unixAddress is nginx's address of whoever came through a local socket.
const unixAddress = "unix:"

// addressEnd is the length of the address that p begins with, -1 if it begins
// with none. It is looked at by its letters, so that lines of other kinds are
// done with at once.
func addressEnd(p []byte) int {
	if begins(p, unixAddress) {
		return len(unixAddress)
	}
	i := 0
	for i < len(p) && addressByte[p[i]] {
		i++
	}
	if i == 0 {
		return -1
	}
	return i
}

var addressByte = func() (is [256]bool) {
	for _, c := range "0123456789abcdefABCDEF.:" {
		is[c] = true
	}
	return is
}()

// listEnd is the length of the list that p begins with.
func (s *step) listEnd(p []byte) int {
	var stop byte = ' '
	if s.until != "" {
		stop = s.until[0]
	}
	for i := 0; ; {
		for i < len(p) && p[i] != ' ' && p[i] != ',' && p[i] != stop {
			i++
		}
		switch {
		case begins(p[i:], ", "):
			i += 2
		case begins(p[i:], " : "):
			i += 3
		default:
			return i
		}
	}
}

// freeEnd is the place of the first until.
func (s *step) freeEnd(p []byte) int {
	for from := 0; ; from++ {
		i := bytes.IndexByte(p[from:], s.until[0])
		if i < 0 {
			return -1
		}
		if from += i; begins(p[from:], s.until) {
			return from
		}
	}
}

// jsonEnd is the place of the first quotation mark that is not escaped.
func jsonEnd(p []byte) int {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// take notes a variable's value, which stands at an offset of the line.
func (v *values) take(p part, value []byte, at int) {
	switch p {
	case requestLine:
		v.takeRequest(value, at)
	case target:
		v.takeTarget(value, at)
	case requestTime, upstreamTime, query:
		if string(value) != "-" {
			v.set(p, at, at+len(value))
		}
	default:
		v.set(p, at, at+len(value))
	}
}

// takeRequest takes $request apart: METHOD TARGET PROTOCOL, or METHOD /PATH of
// HTTP/0.9. Whatever else a client sent is no request and gives no value.
func (v *values) takeRequest(p []byte, at int) {
	n := 0
	for n < len(p) && (p[n] >= 'A' && p[n] <= 'Z' || p[n] == '-' || p[n] == '_') {
		n++
	}
	if n == 0 || n == len(p) || p[n] != ' ' {
		return
	}
	where := p[n+1:]
	end := bytes.IndexByte(where, ' ')
	switch {
	case end < 0 && begins(where, "/"):
		v.takeTarget(where, at+n+1)
	case end > 0 && begins(where[end+1:], "HTTP/"):
		v.takeTarget(where[:end], at+n+1)
		v.set(protocol, at+n+1+end+1, at+len(p))
	default:
		return
	}
	v.set(method, at, at+n)
}

// takeTarget takes the target of a request apart at its question mark.
func (v *values) takeTarget(p []byte, at int) {
	end := len(p)
	if i := bytes.IndexByte(p, '?'); i >= 0 {
		v.set(query, at+i+1, at+end)
		end = i
	}
	v.set(path, at, at+end)
}
