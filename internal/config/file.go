// Package config reads a YAML file strictly into a struct: defaults first, then the file's keys with ${NAME} taken from the
// environment, then validation. It reports every mistake of a file at once, each with the line and the path of its key.
//
// A package that is configured owns its struct: `yaml` tags name the keys, Defaulter fills in what the file leaves out and
// Validator judges the result. Sections within sections are found by the loader; a parent never calls its children.
//
// Nothing here is kept open or watched, and no goroutine outlives a call.
package config

import (
	"fmt"
	"os"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// File is one parsed YAML document. It is immutable and may be used concurrently.
type File struct {
	name string
	root *yaml.Node
}

// Load reads the file at path and decodes it into the zero struct that into points to. See File.Decode.
func Load(path string, into any) error {
	f, err := Read(path)
	if err != nil {
		return err
	}
	return f.Decode(into)
}

// Read parses the file at path. Its errors are those of the file system and of YAML's syntax; the latter start with
// FILE:LINE.
func Read(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse parses data, which is not kept; name is what messages call the file. An empty file is an error, and so is a
// second document.
func Parse(name string, data []byte) (*File, error) {
	root, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	return &File{name: name, root: root}, nil
}

// Decode fills the zero struct that into points to: SetDefaults, then the file's keys, then Validate on every section that
// exists. The error lists all mistakes, sorted by line, one a line:
//
//	FILE:LINE: pipelines[0].output.kafka.brokers: must not be empty
//
// After an error the struct must not be used. No value that came out of the environment is part of a message of the loader.
// A struct that cannot be loaded at all (a field without a yaml tag, of a kind nobody could write in YAML) is a panic.
func (f *File) Decode(into any) error {
	v := target(into)
	mustLoad(v.Type(), map[reflect.Type]bool{})
	setDefaults(v)
	d := newDecoder()
	d.lines[""] = f.root.Line
	d.value(f.root, v, "")
	d.validate(v, "")
	return d.result(f.name)
}

// Has tells whether the file has a key at the given path, whatever its value. Lists on the way are looked through, so that
// Has("pipelines", "source", "kafka") is true when any pipeline has such a source.
func (f *File) Has(keys ...string) bool {
	return has(newDecoder(), f.root, keys)
}

func has(d *decoder, n *yaml.Node, keys []string) bool {
	if len(keys) == 0 {
		return true
	}
	n = follow(n)
	if n.Kind != yaml.SequenceNode {
		return hasKey(d, n, keys)
	}
	for _, elem := range n.Content {
		if hasKey(d, follow(elem), keys) {
			return true
		}
	}
	return false
}

func hasKey(d *decoder, n *yaml.Node, keys []string) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	for _, e := range d.entries(n, "") {
		if e.name == keys[0] && has(d, e.value, keys[1:]) {
			return true
		}
	}
	return false
}

// target is the struct that into points to.
func target(into any) reflect.Value {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("BUG: configuration is decoded into a pointer to a struct, not into %T", into))
	}
	return v.Elem()
}
