package starrockstest

import (
	"strconv"
	"strings"
	"unsafe"
)

// pathStep is one step of a JSON path: a key, or an array index when key is
// empty and index is not negative.
type pathStep struct {
	key   string
	index int
}

// parsePath reads $.a.b[0]."c.d"; the leading $ may be missing, as the arrow
// operator allows. ok is false for what this server does not know ([*], ..).
func parsePath(path string) (steps []pathStep, ok bool) {
	p := strings.TrimPrefix(path, "$")
	for p != "" {
		switch {
		case p[0] == '[':
			end := strings.IndexByte(p, ']')
			if end < 0 {
				return nil, false
			}
			n, err := strconv.Atoi(p[1:end])
			if err != nil || n < 0 {
				return nil, false
			}
			steps, p = append(steps, pathStep{index: n}), p[end+1:]
			continue
		case p[0] == '.':
			p = p[1:]
		case len(steps) > 0 || p != path:
			return nil, false
		}
		key, rest, ok := pathKey(p)
		if !ok {
			return nil, false
		}
		steps, p = append(steps, pathStep{key: key, index: -1}), rest
	}
	return steps, true
}

func pathKey(p string) (key, rest string, ok bool) {
	if strings.HasPrefix(p, `"`) {
		end := strings.IndexByte(p[1:], '"')
		if end < 0 {
			return "", "", false
		}
		return p[1 : end+1], p[end+2:], true
	}
	end := strings.IndexAny(p, ".[")
	if end < 0 {
		end = len(p)
	}
	return p[:end], p[end:], end > 0 && p[:end] != "*"
}

// lookup finds the value at a path in printed JSON.
func lookup(printed string, steps []pathStep) (string, bool) {
	// The reader only reads: no copy of a kilobyte per row.
	r := jsonReader{body: unsafe.Slice(unsafe.StringData(printed), len(printed))}
	for _, step := range steps {
		var found bool
		if step.index >= 0 {
			found = r.enterElement(step.index)
		} else {
			found = r.enterMember(step.key)
		}
		if !found {
			return "", false
		}
	}
	r.skipSpace()
	from := r.pos
	if r.skip() != nil {
		return "", false
	}
	return printed[from:r.pos], true
}

func (r *jsonReader) enterMember(key string) bool {
	if r.peek() != '{' {
		return false
	}
	r.pos++
	for r.peek() == '"' {
		name, err := r.text()
		if err != nil || r.expect(':') != nil {
			return false
		}
		if string(name) == key {
			return true
		}
		if r.skip() != nil || r.expect(',') != nil {
			return false
		}
	}
	return false
}

func (r *jsonReader) enterElement(n int) bool {
	if r.peek() != '[' {
		return n == 0 // velocypack: element 0 of a scalar is the scalar
	}
	r.pos++
	if r.peek() == ']' {
		return false
	}
	for ; n > 0; n-- {
		if r.skip() != nil || r.expect(',') != nil {
			return false
		}
	}
	return true
}
