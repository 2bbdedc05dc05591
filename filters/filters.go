// Package filters changes or drops records between a source and an output.
// Each kind of filter has a file; Config names them, New makes them.
//
// Filters keep no state between records and start no goroutine: a pipeline
// calls them from all goroutines of its source.
package filters

import (
	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Config is one entry of a pipeline's `filters` list: exactly one kind.
type Config struct {
	// Drop drops the records whose field matches.
	Drop *Condition `yaml:"drop"`
	// Keep drops all records but those whose field matches.
	Keep *Condition `yaml:"keep"`
	// Add appends constant fields.
	Add Constants `yaml:"add"`
}

// Validate implements config.Validator.
func (c *Config) Validate(e *config.Errors) { e.OneOf(c, "drop", "keep", "add") }

// New makes the filters of a validated list, in its order.
func New(list []Config) []pipeline.Filter {
	fs := make([]pipeline.Filter, len(list))
	for i := range list {
		fs[i] = newFilter(&list[i])
	}
	return fs
}

func newFilter(c *Config) pipeline.Filter {
	switch {
	case c.Drop != nil:
		return dropping{c.Drop}
	case c.Keep != nil:
		return keeping{c.Keep}
	case c.Add != nil:
		return newAdding(c.Add)
	default:
		panic("BUG: filter of no known kind")
	}
}
