package filters

import (
	"regexp"
	"slices"
	"strconv"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Mask is the filter that replaces parts of a text, such as tokens in URLs. It
// changes the message or a field that a filter before it appended, at the
// collector any other field of the record's top level, too. A masked field is
// a text afterwards, whatever it was.
//
// An expression matches whole characters, and what is not valid UTF-8 byte by
// byte: a text that was valid stays so.
type Mask struct {
	// Field is what is masked.
	Field Path `yaml:"field"`
	// Match is a regular expression in RE2 syntax; each match is replaced.
	Match *regexp.Regexp `yaml:"match"`
	// Replace is what takes its place; $1 is the text of the first group.
	Replace string `yaml:"replace"`
}

// maskWeight is for List.Weight: the message, masked, and encoded.
const maskWeight = 256

// messagePath is the field that is worked on unless another one is named.
var messagePath = Path{pipeline.Path{Names: []string{"message"}, Key: "message"}}

// SetDefaults implements config.Defaulter.
func (m *Mask) SetDefaults() { m.Field = messagePath }

// Validate implements config.Validator.
func (m *Mask) Validate(e *config.Errors) {
	switch name := m.Field.Key; {
	case len(m.Field.Names) > 1 || name != "message" && slices.Contains(stock, name):
		e.Add("field", "must be message, or a field that a filter appended: nothing else of a record can be masked")
	case !fieldName.MatchString(name):
		e.Add("field", "is not a field name: letters, digits and underscores, beginning with a letter or underscore")
	}
	if m.Match == nil {
		e.Add("match", "must not be empty")
		return
	}
	if m.Match.MatchString("") {
		e.Add("match", "must not match the empty text: that is between any two letters")
	}
	for _, group := range groupsIn(m.Replace) {
		if n, err := strconv.Atoi(group); err == nil && n <= m.Match.NumSubexp() || err != nil && m.Match.SubexpIndex(group) >= 0 {
			continue
		}
		e.Add("replace", "refers to a group %q, which the expression does not have; write $${1} before letters and digits, and $$$$ for a dollar sign", group)
	}
}

// reference is how regexp.Expand reads a dollar sign.
var reference = regexp.MustCompile(`\$(\$|\w+|\{\w+\})`)

// groupsIn are the groups that a replacement refers to.
func groupsIn(replace string) (groups []string) {
	for _, m := range reference.FindAllStringSubmatch(replace, -1) {
		switch name := m[1]; {
		case name == "$":
		case name[0] == '{':
			groups = append(groups, name[1:len(name)-1])
		default:
			groups = append(groups, name)
		}
	}
	return groups
}

// masking is the filter.
type masking struct {
	*Mask
	replace []byte
}

func newMasking(m *Mask) masking { return masking{m, []byte(m.Replace)} }

// Apply implements pipeline.Filter. A record without the field is kept as it is.
func (m masking) Apply(r *pipeline.Record, mem *pipeline.Arena) bool {
	text, ok := r.Lookup(&m.Field.Path, mem)
	if !ok || !m.Match.Match(text) {
		return true
	}
	masked := m.Match.ReplaceAll(text, m.replace)
	name := m.Field.Key
	i := slices.IndexFunc(r.Added, func(f pipeline.Field) bool { return f.Name == name })
	if i < 0 && r.Raw == nil {
		r.Message = mem.Copy(masked)
		return true
	}
	encoded, _ := pipeline.AppendString([]byte{'"'}, masked, -1)
	f := pipeline.Field{Name: name, JSON: mem.Copy(append(encoded, '"'))}
	if i < 0 {
		// It goes before the record's own field of that name.
		r.Added = append(r.Added, f)
	} else {
		r.Added[i] = f
	}
	return true
}
