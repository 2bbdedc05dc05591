package filters

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The values of nginx's escape=.
const (
	escapeDefault = "default"
	escapeJSON    = "json"
	escapeNone    = "none"
)

// part is what a variable says of a request: up to partCount, a field.
type part uint8

// The parts of an access line that have a field, in the order of the fields,
// and those that have none of their own.
const (
	clientIP part = iota
	method
	host
	path
	query
	protocol
	status
	requestTime
	upstreamTime
	userAgent
	project
	partCount

	requestLine // method, path, query and protocol
	target      // path and query
	nothing     // whatever it is, there is no field for it
)

// gives are the fields that come from a part.
func (p part) gives() []part {
	switch p {
	case requestLine:
		return []part{method, path, query, protocol}
	case target:
		return []part{path, query}
	case host:
		return []part{host, project}
	case nothing:
		return nil
	}
	return []part{p}
}

// variables are nginx's names for the parts.
var variables = map[string]part{
	"remote_addr":            clientIP,
	"request":                requestLine,
	"request_method":         method,
	"request_uri":            target,
	"uri":                    path,
	"document_uri":           path,
	"args":                   query,
	"query_string":           query,
	"server_protocol":        protocol,
	"http_host":              host,
	"host":                   host,
	"status":                 status,
	"request_time":           requestTime,
	"upstream_response_time": upstreamTime,
	"http_user_agent":        userAgent,
}

// lists are variables that hold a value for each try at an upstream, with ", "
// between them, and " : " after an internal redirect (ngx_http_upstream_module).
var lists = []string{"upstream_addr", "upstream_bytes_received", "upstream_bytes_sent", "upstream_connect_time", "upstream_header_time",
	"upstream_queue_time", "upstream_response_length", "upstream_response_time", "upstream_status"}

// kind is how the end of a variable's value is found.
type kind uint8

// The kinds of values.
const (
	rest     kind = iota // whatever there is up to the end of the line
	address              // letters of an IP address
	code                 // $status
	seconds              // a number, or -
	times                // numbers of several tries
	list                 // values of several tries
	text                 // it ends at a byte that it cannot hold
	jsonText             // the same, where that byte may be escaped
	freeText             // it ends where what follows it in the format comes first
)

// format is a compiled log_format.
type format struct {
	escape string
	lead   string // what the line begins with
	steps  []step
	parts  []part // the fields that it gives, in order
	// careful says that a text may hold a quotation mark, or touch another one.
	careful bool
}

// step is one variable.
type step struct {
	part  part
	kind  kind
	until string // what follows it; empty: the end of the line
	kept  bool   // until is the beginning of the next value
	// word is until as four bytes, those that mask has; mask is 0 if it is
	// longer, or empty.
	word, mask uint32
}

// compile reads a log_format string as nginx does: $name or ${name} is a
// variable, everything else stands for itself.
func compile(text, escape string) (*format, error) {
	f := &format{escape: escape}
	var names []string
	for first := true; ; first = false {
		literal, name, rest, err := cutVariable(text)
		if err != nil {
			return nil, err
		}
		if first {
			f.lead = literal
		} else {
			f.steps[len(f.steps)-1].until = literal
		}
		if name == "" {
			break
		}
		names, text = append(names, name), rest
		f.steps = append(f.steps, newStep(name))
	}
	f.joinTarget(&names)
	for i := range f.steps {
		if err := f.separate(i, names); err != nil {
			return nil, err
		}
	}
	given := map[part]bool{}
	for _, s := range f.steps {
		for _, p := range s.part.gives() {
			given[p] = true
		}
	}
	for p := range partCount {
		if given[p] {
			f.parts = append(f.parts, p)
		}
	}
	if len(f.parts) == 0 {
		return nil, errors.New("has no variable that gives a field, such as $request or $status")
	}
	return f, nil
}

func newStep(name string) step {
	s := step{part: nothing}
	if p, known := variables[name]; known {
		s.part = p
	}
	switch s.part {
	case clientIP:
		s.kind = address
	case status:
		s.kind = code
	case requestTime:
		s.kind = seconds
	case upstreamTime:
		s.kind = times
	default:
		if slices.Contains(lists, name) {
			s.kind = list
		}
	}
	return s
}

// cutVariable returns what stands before the first variable of text, its name
// and what follows; no name at the end.
func cutVariable(text string) (literal, name, rest string, err error) {
	literal, rest, found := strings.Cut(text, "$")
	if !found {
		return literal, "", "", nil
	}
	braced := strings.HasPrefix(rest, "{")
	if braced {
		rest = rest[1:]
	}
	end := 0
	for end < len(rest) && isNameByte(rest[end]) {
		end++
	}
	name, rest = rest[:end], rest[end:]
	if braced && !strings.HasPrefix(rest, "}") {
		return "", "", "", fmt.Errorf("the brace of ${%s is not closed", name)
	}
	if name == "" {
		return "", "", "", errors.New("a dollar sign is not followed by the name of a variable")
	}
	if braced {
		rest = rest[1:]
	}
	return literal, name, rest, nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// joinTarget makes one variable of $uri$is_args$args: $is_args is a question
// mark or nothing, so that only together they can be told apart.
func (f *format) joinTarget(names *[]string) {
	for i := 0; i+2 < len(f.steps); i++ {
		s := f.steps[i : i+3]
		if s[0].part == path && (*names)[i+1] == "is_args" && s[2].part == query && s[0].until == "" && s[1].until == "" {
			f.steps[i] = step{part: target, until: s[2].until}
			f.steps = slices.Delete(f.steps, i+1, i+3)
			*names = slices.Delete(*names, i+1, i+3)
		}
	}
}

// separate says how the end of a variable is found.
func (f *format) separate(i int, names []string) error {
	s := &f.steps[i]
	if s.until == "" && i+1 < len(f.steps) {
		if next := f.steps[i+1].part; next != path && next != target {
			return fmt.Errorf("has nothing between $%s and $%s, so that nobody can tell where one ends", names[i], names[i+1])
		}
		s.until, s.kept, f.careful = "/", true, true
	}
	several := s.kind == list || s.kind == times
	if several && (strings.HasPrefix(s.until, ", ") || strings.HasPrefix(s.until, " : ")) {
		return fmt.Errorf("has %q behind $%s, whose own values are separated so", s.until, names[i])
	}
	if n := len(s.until); n > 0 && n <= 4 {
		var word [4]byte
		copy(word[:], s.until)
		s.word, s.mask = binary.LittleEndian.Uint32(word[:]), ^uint32(0)>>(32-8*n)
	}
	if s.kind != rest {
		return nil
	}
	quoted := f.escape != escapeNone && strings.HasPrefix(s.until, `"`)
	switch {
	case s.until == "":
	case quoted && f.escape == escapeJSON:
		s.kind = jsonText
	case quoted || len(s.until) == 1:
		s.kind = text
	default:
		s.kind = freeText
	}
	f.careful = f.careful || !quoted && s.part != nothing
	return nil
}
