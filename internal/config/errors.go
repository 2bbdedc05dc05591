package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Validator is a section that judges itself. Validate sees defaults and the file's values together, also when other keys of
// the section could not be read (they then hold their default). It is called for every section that exists, once, after the
// whole file was read; sections below are called by the loader. It must not touch files or the network: a configuration is
// validated far from where it runs.
type Validator interface {
	Validate(*Errors)
}

// Errors takes the mistakes that Validate finds in one section. Keys are relative to that section: "brokers",
// "tls.ca_file", "include[0].labels", fmt.Sprintf("columns[%q]", name); "" is the section itself. Only the loader makes one; it is not for concurrent use
// and must not be kept.
type Errors struct {
	section string
	d       *decoder
}

// Add notes a mistake. The message continues the key: "must be at least 1s". It must not hold a secret. It is left out when
// the file's value for that key could not be read in the first place, which is then reported already.
func (e *Errors) Add(key, format string, args ...any) {
	path := join(e.section, quotedPlain.ReplaceAllString(key, ".$1"))
	for p := path; ; p = parent(p) {
		if e.d.failed[p] {
			return
		}
		if p == "" {
			break
		}
	}
	m := mistake{line: e.d.lineOf(path), key: path, message: fmt.Sprintf(format, args...)}
	if !slices.Contains(e.d.list, m) { // an embedded section's Validate is its owner's too
		e.d.list = append(e.d.list, m)
	}
}

// NotEmpty adds a mistake when value is the zero value of its type, an empty list or an empty map.
func (e *Errors) NotEmpty(key string, value any) {
	v := reflect.ValueOf(value)
	list := v.Kind() == reflect.Slice || v.Kind() == reflect.Map
	if !v.IsValid() || v.IsZero() || list && v.Len() == 0 {
		e.Add(key, "must not be empty")
	}
}

// Enum adds a mistake when value is not one of those allowed.
func (e *Errors) Enum(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		e.Add(key, "must be %s, not %s", either(allowed), quote(value))
	}
}

// OneOf adds a mistake when not exactly one of the keys is given in section, which is the struct being validated or a
// pointer to it. Given means: not the zero value. Without keys it looks at all of the section's keys that hold pointers,
// which are nil unless given: the kinds of an output, of a filter.
func (e *Errors) OneOf(section any, keys ...string) {
	v := reflect.Indirect(reflect.ValueOf(section))
	var names, given []string
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if len(keys) == 0 && fv.Kind() != reflect.Pointer || len(keys) > 0 && !slices.Contains(keys, f.key) {
			continue
		}
		if e.d.failed[join(e.section, f.key)] {
			return
		}
		names = append(names, f.key)
		if !fv.IsZero() {
			given = append(given, f.key)
		}
	}
	switch {
	case len(names) < len(keys):
		panic(fmt.Sprintf("BUG: %s does not have all keys of %q", v.Type(), keys))
	case len(given) > 1:
		e.Add("", "must have exactly one of %s, has %s", strings.Join(names, ", "), strings.Join(given, " and "))
	case len(given) == 0 && !e.d.unknown[e.section]:
		if len(names) == 1 {
			e.Add("", "must have %s", names[0])
			return
		}
		e.Add("", "must have exactly one of %s, has none", strings.Join(names, ", "))
	}
}

// validate calls every section in v.
func (d *decoder) validate(v reflect.Value, key string) {
	if v.Kind() == reflect.Pointer {
		if !v.IsNil() {
			d.validate(v.Elem(), key)
		}
		return
	}
	if !v.CanAddr() { // the value of a map
		addressable := reflect.New(v.Type()).Elem()
		addressable.Set(v)
		v = addressable
	}
	d.callValidate(v, key)
	switch {
	case isText(v.Type()):
	case v.Kind() == reflect.Struct:
		for _, index := range inlinedIn(v.Type()) {
			d.callValidate(v.FieldByIndex(index), key)
		}
		for _, f := range fieldsOf(v.Type()) {
			d.validate(v.FieldByIndex(f.index), join(key, element(f.key)))
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			d.validate(v.Index(i), fmt.Sprintf("%s[%d]", key, i))
		}
	case v.Kind() == reflect.Map:
		for iter := v.MapRange(); iter.Next(); {
			d.validate(iter.Value(), join(key, element(iter.Key().String())))
		}
	}
}

func (d *decoder) callValidate(v reflect.Value, key string) {
	if s, ok := v.Addr().Interface().(Validator); ok {
		s.Validate(&Errors{section: key, d: d})
	}
}

// mistake is one thing wrong in a file; key is empty for the file as a whole.
type mistake struct {
	line    int
	key     string
	message string
}

// mistakes is the error of a file.
type mistakes struct {
	file string
	list []mistake
}

func (m mistakes) Error() string {
	lines := make([]string, len(m.list))
	for i, one := range m.list {
		what := one.message
		if one.key != "" {
			what = one.key + ": " + what
		}
		lines[i] = fmt.Sprintf("%s:%d: %s", m.file, one.line, what)
	}
	return strings.Join(lines, "\n")
}

func (d *decoder) result(file string) error {
	if len(d.list) == 0 {
		return nil
	}
	slices.SortStableFunc(d.list, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.key, b.key))
	})
	return mistakes{file: file, list: d.list}
}
