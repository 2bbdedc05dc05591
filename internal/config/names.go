package config

import (
	"fmt"
	"regexp"
)

// name is what may stand in a file's path, a label's value, a consumer group and a transactional id alike.
var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Names adds a mistake for each name of a list's elements that is empty, not a DNS label (RFC 1123), or given twice. names
// holds the key `name` of the elements of list, in order.
func (e *Errors) Names(list string, names []string) {
	seen := map[string]bool{}
	for i, n := range names {
		key := fmt.Sprintf("%s[%d].name", list, i)
		switch {
		case n == "":
			e.Add(key, "must not be empty")
		case !name.MatchString(n):
			e.Add(key, "must be lower-case letters, digits and dashes, at most 63, beginning and ending with a letter or digit, not %s", quote(n))
		case seen[n]:
			e.Add(key, "must be unique, %s is taken", quote(n))
		}
		seen[n] = true
	}
}
