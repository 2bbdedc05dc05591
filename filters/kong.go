package filters

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Kong is the filter that turns access lines into fields with types. It
// appends to the record what the format's variables say, in the order of
// accessFields; a value that the line does not have is null. A line that is
// not in the format, a line of the error log for one, stays as it is.
//
// Texts have nginx's escapes undone. One that is longer than nginx's own
// limits allow is shortened, so that the fields never keep a record from
// fitting where its message alone would.
type Kong struct {
	// Format is the line as nginx's log_format describes it, in one string.
	Format string `yaml:"format"`
	// Escape is the escape= of the log_format: default, json or none.
	Escape string `yaml:"escape"`
}

// kongFormat is what the product's documentation has users set in Kong.
const kongFormat = `$remote_addr [$time_local] "$request" $status $request_time $upstream_response_time "$http_host" "$http_user_agent"`

// kongWeight is for List.Weight: a copy of the message at the collector, the
// values, once more in the row, and eleven structs.
const kongWeight = 512

// SetDefaults implements config.Defaulter.
func (k *Kong) SetDefaults() { k.Format, k.Escape = kongFormat, escapeDefault }

// Validate implements config.Validator.
func (k *Kong) Validate(e *config.Errors) {
	e.Enum("escape", k.Escape, escapeDefault, escapeJSON, escapeNone)
	if _, err := compile(k.Format, k.Escape); err != nil {
		e.Add("format", "%v", err)
	}
}

// names are the fields that the filter appends, none if its format is wrong.
func (k *Kong) names() (names []string) {
	f, err := compile(k.Format, k.Escape)
	if err != nil {
		return nil
	}
	for _, p := range f.parts {
		names = append(names, accessFields[p].name)
	}
	return names
}

// accessFields are what an access line can give, by part. most is how many
// bytes of a text are kept: 8,192 is what nginx takes of a request line or of
// one header unless large_client_header_buffers says otherwise.
var accessFields = [partCount]struct {
	name string
	most int // 0: a number
}{
	clientIP:     {"client_ip", 64},
	method:       {"method", 64},
	host:         {"host", 512},
	path:         {"path", 8192},
	query:        {"query", 8192},
	protocol:     {"protocol", 32},
	status:       {"status", 0},
	requestTime:  {"request_time", 0},
	upstreamTime: {"upstream_response_time", 0},
	userAgent:    {"user_agent", 8192},
	project:      {"project", 256},
}

// parsing is the filter.
type parsing struct {
	*format
	message pipeline.Path
	empty   []pipeline.Field // what is appended, without values
	last    bool             // no other kong filter comes after it
	count   *counters
}

func newParsing(c *Kong, count *counters) *parsing {
	f, err := compile(c.Format, c.Escape)
	if err != nil {
		panic("BUG: format that was not validated: " + err.Error())
	}
	k := &parsing{format: f, message: messagePath.Path, count: count}
	for _, p := range f.parts {
		k.empty = append(k.empty, pipeline.Field{Name: accessFields[p].name})
	}
	return k
}

// Apply implements pipeline.Filter.
func (k *parsing) Apply(r *pipeline.Record, mem *pipeline.Arena) bool {
	if len(r.Added) > 0 && k.wasRead(r) {
		return true
	}
	line := r.Message
	if r.Raw != nil {
		line, _ = r.Lookup(&k.message, mem)
	}
	var v values
	if k.parse(line, &v) {
		k.append(r, line, &v, mem)
	} else if k.last {
		k.count.unmatched.Inc()
	}
	return true
}

// wasRead says whether an earlier kong filter has read the line: validation
// keeps these names to kong.
func (k *parsing) wasRead(r *pipeline.Record) bool {
	return slices.ContainsFunc(r.Added, func(f pipeline.Field) bool {
		return slices.ContainsFunc(k.parts, func(p part) bool { return accessFields[p].name == f.Name })
	})
}

// append adds the fields of a line to its record. JSON wants texts in quotation
// marks: most of them get theirs in a copy of the line, in place of what is
// around them, which costs a third of copying each.
func (k *parsing) append(r *pipeline.Record, line []byte, v *values, mem *pipeline.Arena) {
	quoted := mem.Reserve(len(line) + 2)
	copy(quoted[1:], line)
	plain := !k.careful && isPlain(line)
	before := len(r.Added)
	r.Added = append(r.Added, k.empty...)
	fields := r.Added[before:]
	for i, p := range k.parts {
		s := v[p]
		switch {
		case p == project:
			fields[i].JSON = k.project(quoted, v[host], plain, mem)
		case s.to == 0:
			fields[i].JSON = null
		case p == upstreamTime:
			fields[i].JSON = sum(quoted[s.from:s.to:s.to], mem)
		case p == status:
			fields[i].JSON = withoutZeros(quoted[s.from:s.to:s.to])
		case p == requestTime:
			fields[i].JSON = quoted[s.from:s.to:s.to]
		case k.careful || !plain && !isPlain(quoted[s.from:s.to]) || int(s.to-s.from) > accessFields[p].most:
			fields[i].JSON = k.text(p, quoted[s.from:s.to], plain, mem)
		default:
			quoted[s.from-1], quoted[s.to] = '"', '"'
			fields[i].JSON = quoted[s.from-1 : s.to+1 : s.to+1]
		}
	}
}

// What fields may share.
var (
	null     = []byte("null")
	platform = []byte(`"platform"`)
)

// project applies the rule that a host begins with its project's name and a
// dash; all others are the platform's.
func (k *parsing) project(quoted []byte, s span, plain bool, mem *pipeline.Arena) []byte {
	if s.to == 0 {
		return null
	}
	name := quoted[s.from:s.to]
	i := bytes.IndexByte(name, '-')
	if i < 0 {
		return platform
	}
	return k.text(project, name[:i], plain, mem)
}

// text encodes a text, in mem.
func (k *parsing) text(p part, value []byte, plain bool, mem *pipeline.Arena) []byte {
	if plain && len(value) <= accessFields[p].most {
		out := mem.Reserve(len(value) + 2)
		out[0], out[len(out)-1] = '"', '"'
		copy(out[1:], value)
		return out
	}
	if k.escape != escapeNone && bytes.IndexByte(value, '\\') >= 0 {
		// Undoing an escape never makes a text longer.
		value = unescape(mem.Reserve(len(value))[:0], value, k.escape)
	}
	if most := accessFields[p].most; len(value) > most {
		for most > 0 && !utf8.RuneStart(value[most]) {
			most--
		}
		value = value[:most]
		k.count.shortened.Inc()
	}
	mem.Grow(len(value) + 2)
	room := mem.Free()
	out, _ := pipeline.AppendString(append(room[:0], '"'), value, -1)
	out = append(out, '"')
	if len(out) > len(room) { // it had to be escaped, and did not fit
		return mem.Copy(out)
	}
	return mem.Reserve(len(out))
}

// sum is the time that all tries at an upstream took.
func sum(times []byte, mem *pipeline.Arena) []byte {
	if bytes.IndexByte(times, ' ') < 0 {
		return times
	}
	return appendSum(mem.Reserve(len(times) + 1)[:0], times)
}
