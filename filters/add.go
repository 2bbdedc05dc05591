package filters

import (
	"maps"
	"regexp"
	"slices"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Constants are fields with the same value in every record, by name.
type Constants map[string]string

// fieldName is what a JSON key and a StarRocks column may both be called
// without quoting.
var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// stock are the keys a record has already; a second one of the same name would
// be read differently by each consumer.
var stock = []string{"time", "stream", "logtag", "message", "kubernetes", "kubernetes_namespace", "truncated"}

// Validate implements config.Validator.
func (c Constants) Validate(e *config.Errors) {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		switch {
		case !fieldName.MatchString(name):
			e.Add(name, "is not a field name: letters, digits and underscores, beginning with a letter or underscore")
		case slices.Contains(stock, name):
			e.Add(name, "is a field that every record has already; choose another name")
		}
	}
}

// adding appends fields; it holds them encoded.
type adding []pipeline.Field

func newAdding(c Constants) adding {
	a := make(adding, 0, len(c))
	for _, name := range slices.Sorted(maps.Keys(c)) {
		value, _ := pipeline.AppendString([]byte{'"'}, []byte(c[name]), -1)
		a = append(a, pipeline.Field{Name: name, JSON: append(value, '"')})
	}
	return a
}

// Apply implements pipeline.Filter.
func (a adding) Apply(r *pipeline.Record, _ *pipeline.Arena) bool {
	r.Added = append(r.Added, a...)
	return true
}
