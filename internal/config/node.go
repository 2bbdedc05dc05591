package config

import (
	"reflect"

	"go.yaml.in/yaml/v3"
)

// entry is one key of a YAML mapping with its value.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries lists the keys of a mapping, those of `<<` last; a key of the mapping itself wins over a merged one.
func (d *decoder) entries(n *yaml.Node, key string) []entry {
	var out, merged []entry
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := follow(n.Content[i]), n.Content[i+1]
		switch first := seen[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			d.wrong(k, key, "a key must be text, not %s", describe(k))
		case k.Tag == "!!merge":
			merged = append(merged, d.merged(v, key)...)
		case first > 0:
			d.wrong(k, join(key, element(k.Value)), "the key is given twice, first in line %d", first)
		default:
			seen[k.Value] = n.Content[i].Line
			out = append(out, entry{k.Value, n.Content[i], v})
		}
	}
	for _, e := range merged {
		if seen[e.name] == 0 {
			seen[e.name] = e.key.Line
			out = append(out, e)
		}
	}
	return out
}

// merged lists what `<<: *anchor` or `<<: [*one, *other]` brings; the first wins.
func (d *decoder) merged(n *yaml.Node, key string) []entry {
	from := []*yaml.Node{n}
	if n = follow(n); n.Kind == yaml.SequenceNode {
		from = n.Content
	}
	var out []entry
	for _, m := range from {
		m = follow(m)
		if !d.count(m, key) {
			break
		}
		if m.Kind != yaml.MappingNode {
			d.wrong(m, key, "<< must name a section, not %s", describe(m))
			continue
		}
		out = append(out, d.entries(m, key)...)
	}
	return out
}

// follow is the node an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// knownTag refuses what would need a meaning of its own, such as !!binary.
func knownTag(tag string) bool {
	switch tag {
	case "!!map", "!!seq", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!merge":
		return true
	}
	return false
}

// describe names what stands in the file, for "must be a list, not …".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section of keys"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value" // which one is nobody's business: it may be a password in the wrong place
	}
}

func emptyHint(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case isText(t):
	case t.Kind() == reflect.Slice:
		return "write [] for an empty list or leave the key out"
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return "write {} or leave the key out"
	}
	return "write one or leave the key out"
}
