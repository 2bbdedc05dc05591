package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds what a few aliases of aliases can blow a file up to. A pipeline has about a hundred values.
const maxValues = 100_000

// decoder carries one decoding: what was found wrong, and where each key stands.
type decoder struct {
	list    []mistake
	lines   map[string]int  // key path -> line
	failed  map[string]bool // key paths that hold something else than the file says
	unknown map[string]bool // sections with a key nobody knows
	values  int
}

func newDecoder() *decoder {
	return &decoder{lines: map[string]int{}, failed: map[string]bool{}, unknown: map[string]bool{}}
}

// value decodes a node into v, which is addressable and holds its defaults.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	n = follow(n)
	switch {
	case !d.count(n, key):
	case !knownTag(n.Tag):
		d.wrong(n, key, "the YAML tag %s is not supported", quote(n.Tag))
	case isNull(n):
		d.wrong(n, key, "has no value: %s", emptyHint(v.Type()))
	case v.Kind() == reflect.Pointer:
		d.pointer(n, v, key)
	case isText(v.Type()):
		d.scalar(n, v, key)
	case v.Kind() == reflect.Struct:
		d.section(n, v, key)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v, key)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, key)
	default:
		d.scalar(n, v, key)
	}
}

// count tells whether the file is still of a reasonable size.
func (d *decoder) count(n *yaml.Node, key string) bool {
	d.values++
	if d.values == maxValues {
		d.wrong(n, key, "the file's aliases expand to more than %d values", maxValues)
		d.failed[""] = true // nothing that is missing from here on was left out by its writer
	}
	return d.values < maxValues
}

func (d *decoder) pointer(n *yaml.Node, v reflect.Value, key string) {
	elem := v.Type().Elem()
	if elem.Kind() != reflect.Struct || isText(elem) {
		fresh := reflect.New(elem)
		d.value(n, fresh.Elem(), key)
		if !d.failed[key] { // half a regular expression is nothing a Validate should meet
			v.Set(fresh)
		}
		return
	}
	if v.IsNil() {
		v.Set(reflect.New(elem))
		setDefaults(v.Elem())
	}
	d.value(n, v.Elem(), key)
}

func (d *decoder) section(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, key, "must be a section of keys, not %s", describe(n))
		return
	}
	fields := fieldsOf(v.Type())
	for _, e := range d.entries(n, key) {
		path := join(key, element(e.name))
		d.place(path, e.key.Line)
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == e.name })
		if i < 0 {
			d.unknownKey(e, key, fields)
			continue
		}
		d.value(e.value, v.FieldByIndex(fields[i].index), path)
	}
}

func (d *decoder) unknownKey(e entry, key string, fields []field) {
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.key
	}
	d.unknown[key] = true
	path := join(key, element(e.name))
	switch near := nearest(e.name, known); {
	case near != "":
		d.failed[join(key, near)] = true
		d.wrong(e.key, path, "unknown key, did you mean %s?", near)
	case len(known) == 0:
		d.wrong(e.key, path, "unknown key, this section has none: write {}")
	default:
		d.wrong(e.key, path, "unknown key, known here: %s", strings.Join(known, ", "))
	}
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, key, "must be a list, not %s", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, elem := range n.Content {
		path := fmt.Sprintf("%s[%d]", key, i)
		d.place(path, elem.Line)
		fresh := reflect.New(v.Type().Elem()).Elem()
		setDefaults(fresh)
		d.value(elem, fresh, path)
		out = reflect.Append(out, fresh)
	}
	v.Set(out)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, key, "must be keys with values, not %s", describe(n))
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, e := range d.entries(n, key) {
		path := join(key, element(e.name))
		d.place(path, e.key.Line)
		fresh := reflect.New(v.Type().Elem()).Elem()
		setDefaults(fresh)
		d.value(e.value, fresh, path)
		out.SetMapIndex(reflect.ValueOf(e.name).Convert(v.Type().Key()), fresh)
	}
	v.Set(out)
}

// wrong notes a mistake in the file at n, about key.
func (d *decoder) wrong(n *yaml.Node, key, format string, args ...any) {
	d.failed[key] = true
	d.place(key, n.Line)
	d.list = append(d.list, mistake{line: n.Line, key: key, message: fmt.Sprintf(format, args...)})
}

// place remembers where a key stands; the first place counts.
func (d *decoder) place(key string, line int) {
	if _, ok := d.lines[key]; !ok {
		d.lines[key] = line
	}
}
