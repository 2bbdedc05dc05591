package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
)

// Defaulter is a section with defaults. SetDefaults assigns them unconditionally, before any key of the section is read:
// to the sections inside a struct first, then to the struct itself, which may override them; and to each pointer section,
// list element and map value when the file brings it into being.
type Defaulter interface {
	SetDefaults()
}

// SetDefaults gives the struct that into points to all its defaults, as File.Decode does, for a configuration that is built
// in Go.
func SetDefaults(into any) {
	setDefaults(target(into))
}

func setDefaults(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		setDefaults(v.Elem())
		return
	case v.Kind() != reflect.Struct || isText(v.Type()):
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		setDefaults(v.FieldByIndex(f.index))
	}
	for _, f := range inlinedIn(v.Type()) {
		callDefaults(v.FieldByIndex(f))
	}
	callDefaults(v)
}

func callDefaults(v reflect.Value) {
	if s, ok := v.Addr().Interface().(Defaulter); ok {
		s.SetDefaults()
	}
}

// field is one key of a section.
type field struct {
	key   string
	index []int
}

// fieldsOf lists the keys of a section in the order of its struct, those of inlined structs in their place.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for sf := range structFields(t) {
		key, inline := tagOf(t, sf)
		switch {
		case inline:
			for _, f := range fieldsOf(sf.Type) {
				out = append(out, field{f.key, append([]int{sf.Index[0]}, f.index...)})
			}
		case key != "-":
			out = append(out, field{key, sf.Index})
		}
	}
	return out
}

// inlinedIn lists the structs whose keys a section takes over, inner ones first.
func inlinedIn(t reflect.Type) [][]int {
	var out [][]int
	for sf := range structFields(t) {
		if _, inline := tagOf(t, sf); !inline {
			continue
		}
		for _, index := range inlinedIn(sf.Type) {
			out = append(out, append([]int{sf.Index[0]}, index...))
		}
		out = append(out, sf.Index)
	}
	return out
}

func structFields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if sf := t.Field(i); sf.IsExported() && !yield(sf) {
				return
			}
		}
	}
}

func tagOf(t reflect.Type, sf reflect.StructField) (key string, inline bool) {
	tag, ok := sf.Tag.Lookup("yaml")
	key, options, _ := strings.Cut(tag, ",")
	inline = key == "" && options == "inline" && sf.Type.Kind() == reflect.Struct
	if !ok || key == "" && !inline {
		panic(fmt.Sprintf("BUG: field %s of %s has no yaml key", sf.Name, t))
	}
	return key, inline
}

// mustLoad panics unless a struct and all that is in it can be written in YAML. It is done at each load, so that not only the
// file that has the key finds out.
func mustLoad(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] || isText(t) {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			mustLoad(t.FieldByIndex(f.index).Type, seen)
		}
		return
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			mustLoad(t.Elem(), seen)
			return
		}
	case reflect.Slice, reflect.Pointer:
		mustLoad(t.Elem(), seen)
		return
	}
	if v := reflect.Zero(t); t.Kind() != reflect.String && t.Kind() != reflect.Bool && !v.CanInt() && !v.CanUint() && !v.CanFloat() {
		panic(fmt.Sprintf("BUG: a configuration cannot hold %s", t))
	}
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// isText tells whether values of a type are written as one scalar that the type itself understands.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshaler) }
