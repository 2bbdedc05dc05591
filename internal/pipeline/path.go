package pipeline

import (
	"bytes"
	"fmt"
	"strings"

	"millrace/internal/jsonscan"
)

// Path names a field of a record as filters' configurations write it: message,
// or nested with dots, kubernetes.pod_name, with quotation marks around a name
// that holds dots itself: kubernetes.labels."app.kubernetes.io/name".
type Path struct {
	// Names are the members to follow, from the top.
	Names []string
	// Key is the names in one string, as Origin.Fields has them.
	Key string
}

// PathKey is the key under which Origin.Fields holds the field at names.
func PathKey(names ...string) string { return strings.Join(names, "\x00") }

// ParsePath reads a field's path.
func ParsePath(s string) (Path, error) {
	var names []string
	for rest := s; ; {
		name, after, err := cutName(rest)
		if err != nil {
			return Path{}, fmt.Errorf("field %q: %w", s, err)
		}
		names = append(names, name)
		if after == "" {
			return Path{Names: names, Key: PathKey(names...)}, nil
		}
		rest = after[1:]
	}
}

// cutName takes the first name off s; after is empty or begins with a dot.
func cutName(s string) (name, after string, err error) {
	if quoted, ok := strings.CutPrefix(s, `"`); ok {
		name, after, ok = strings.Cut(quoted, `"`)
		if !ok {
			return "", "", fmt.Errorf("a quotation mark is not closed")
		}
		if after != "" && after[0] != '.' {
			return "", "", fmt.Errorf("a dot must follow the closing quotation mark")
		}
	} else if i := strings.IndexByte(s, '.'); i >= 0 {
		name, after = s[:i], s[i:]
	} else {
		name = s
	}
	if name == "" {
		return "", "", fmt.Errorf("a name between dots is empty; write names that hold dots in quotation marks")
	}
	return name, after, nil
}

// Lookup returns the string value of the field at p and whether the record
// has it. At the collector, where the record is JSON, a string is returned
// unescaped and any other value as its JSON text. The bytes belong to the
// record, to its origin or to mem.
func (r *Record) Lookup(p *Path, mem *Arena) (value []byte, ok bool) {
	if len(p.Names) == 1 {
		for i := range r.Added {
			if r.Added[i].Name == p.Key {
				return textOf(r.Added[i].JSON, mem), true
			}
		}
	}
	if r.Raw != nil {
		value, ok := jsonscan.Lookup(r.Raw, p.Names)
		if !ok {
			return nil, false
		}
		return textOf(value, mem), true
	}
	switch p.Key {
	case "message":
		return r.Message, len(r.Message) > 0
	case "time":
		return r.Time, true
	case "logtag":
		return r.Tag, r.Tag != nil
	case "stream":
		return r.Origin.Stream, len(r.Origin.Stream) > 0
	}
	value, ok = r.Origin.Fields[p.Key]
	return value, ok
}

// textOf is what a JSON value says: a string unescaped, null as nothing, any
// other value as its JSON text.
func textOf(value []byte, mem *Arena) []byte {
	switch value[0] {
	case 'n':
		return nil
	case '"':
		text := value[1 : len(value)-1]
		if bytes.IndexByte(text, '\\') < 0 {
			return text
		}
		// Unescaping never makes a string longer.
		return jsonscan.AppendUnquoted(mem.Reserve(len(text))[:0], text)
	}
	return value
}
