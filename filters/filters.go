// Package filters changes or drops records between a source and an output.
// Each kind of filter has a file; Config names them, New makes them.
//
// A pipeline calls a filter from all goroutines of its source. Filters start
// no goroutine, and all but limit are pure: what they make of a record
// depends on nothing but the record, so that one that is read again is the
// same to the last byte. limit keeps counts of each container.
package filters

import (
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Config is one entry of a pipeline's `filters` list: exactly one kind.
type Config struct {
	// Drop drops the records whose field matches.
	Drop *Condition `yaml:"drop"`
	// Keep drops all records but those whose field matches.
	Keep *Condition `yaml:"keep"`
	// Kong appends the fields of an access line.
	Kong *Kong `yaml:"kong"`
	// Add appends constant fields.
	Add Constants `yaml:"add"`
	// Mask replaces parts of a text.
	Mask *Mask `yaml:"mask"`
	// Limit drops what exceeds a number of lines a second. Agent only.
	Limit *Limit `yaml:"limit"`
}

// Validate implements config.Validator.
func (c *Config) Validate(e *config.Errors) {
	e.OneOf(c, "drop", "keep", "kong", "add", "mask", "limit")
}

// List is a pipeline's `filters`, in the order in which they apply.
type List []Config

// Validate implements config.Validator: no field is appended twice, because
// every consumer reads a second one of the same name differently. Two kong
// filters may append the same, for only one of them does.
func (l List) Validate(e *config.Errors) {
	by := map[string]string{}
	claim := func(name, filter, key string) {
		if other, taken := by[name]; taken && (filter != "kong" || other != "kong") {
			e.Add(key, "appends the field %s, which %s appends already; choose another name", name, other)
		}
		by[name] = filter
	}
	for i := range l {
		if k := l[i].Kong; k != nil {
			for _, name := range k.names() {
				claim(name, "kong", fmt.Sprintf("[%d].kong", i))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(l[i].Add)) {
			claim(name, "add", fmt.Sprintf("[%d].add.%s", i, name))
		}
	}
}

// Weight is about how many bytes of memory the filters take for each record,
// divided by the times that a source counts it: as read, as encoded, as queued.
func (l List) Weight() (n int) {
	for i := range l {
		switch c := &l[i]; {
		case c.Kong != nil:
			n += kongWeight
		case c.Mask != nil:
			n += maskWeight
		}
		for name, value := range l[i].Add {
			encoded, _ := pipeline.AppendString(nil, []byte(value), -1)
			n += len(`,"":""`) + len(name) + len(encoded)
		}
	}
	return n
}

// counters are what the filters of one pipeline count beside the ledger.
type counters struct {
	unmatched, shortened, limited prometheus.Counter
}

func newCounters(list List, registry prometheus.Registerer) *counters {
	counter := func(name, help string, used func(*Config) bool) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		if slices.ContainsFunc(list, func(f Config) bool { return used(&f) }) {
			registry.MustRegister(c)
		}
		return c
	}
	kong := func(f *Config) bool { return f.Kong != nil }
	return &counters{
		unmatched: counter("millrace_kong_unmatched_records_total",
			"Records that are no access line of any format given, and passed unchanged; again when they are read again.", kong),
		shortened: counter("millrace_kong_shortened_values_total",
			"Values of access lines of which a field holds only the beginning; again when they are read again.", kong),
		limited: counter("millrace_limit_exceeded_records_total",
			"Records that the filter limit dropped; again when they are read again. The ledger has them under filtered.",
			func(f *Config) bool { return f.Limit != nil }),
	}
}

// New makes the filters of a validated list, in its order. What they count goes
// to registry, which adds the pipeline's label; it is used once for each.
func New(list List, registry prometheus.Registerer) []pipeline.Filter {
	count := newCounters(list, registry)
	fs := make([]pipeline.Filter, len(list))
	last := len(list)
	for i := len(list) - 1; i >= 0; i-- {
		fs[i] = newFilter(&list[i], count)
		// A record is unmatched when no kong filter is left that could read it.
		if k, ok := fs[i].(*parsing); ok {
			k.last = last == len(list)
			last = i
		}
	}
	return fs
}

func newFilter(c *Config, count *counters) pipeline.Filter {
	switch {
	case c.Drop != nil:
		return dropping{c.Drop}
	case c.Keep != nil:
		return keeping{c.Keep}
	case c.Kong != nil:
		return newParsing(c.Kong, count)
	case c.Add != nil:
		return newAdding(c.Add)
	case c.Mask != nil:
		return newMasking(c.Mask)
	case c.Limit != nil:
		return newLimiting(c.Limit, count)
	default:
		panic("BUG: filter of no known kind")
	}
}
