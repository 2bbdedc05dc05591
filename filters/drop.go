package filters

import (
	"regexp"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Condition is what drop and keep look at: a field, and the pattern or the
// text to compare it with.
type Condition struct {
	// Field names the field as in the record, nested ones with dots:
	// kubernetes.labels."app.kubernetes.io/name".
	Field Path `yaml:"field"`
	// Match is a regular expression in RE2 syntax that finds its match
	// anywhere in the field.
	Match *regexp.Regexp `yaml:"match"`
	// Equals is the whole of the field.
	Equals *string `yaml:"equals"`
}

// Path is a field's path in a configuration.
type Path struct{ pipeline.Path }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Path) UnmarshalText(text []byte) (err error) {
	p.Path, err = pipeline.ParsePath(string(text))
	return err
}

// Validate implements config.Validator.
func (c *Condition) Validate(e *config.Errors) {
	e.NotEmpty("field", c.Field.Key)
	e.OneOf(c, "match", "equals")
}

// holds says whether the record has the field and it matches.
func (c *Condition) holds(r *pipeline.Record, mem *pipeline.Arena) bool {
	value, ok := r.Lookup(&c.Field.Path, mem)
	if !ok {
		return false
	}
	if c.Match != nil {
		return c.Match.Match(value)
	}
	return string(value) == *c.Equals
}

type dropping struct{ *Condition }

// Apply implements pipeline.Filter. A record without the field is kept.
func (d dropping) Apply(r *pipeline.Record, mem *pipeline.Arena) bool { return !d.holds(r, mem) }

type keeping struct{ *Condition }

// Apply implements pipeline.Filter. A record without the field is dropped.
func (k keeping) Apply(r *pipeline.Record, mem *pipeline.Arena) bool { return k.holds(r, mem) }
