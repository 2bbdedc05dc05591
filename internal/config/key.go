package config

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A key path is written as an operator would point at it: pipelines[0].output.kafka.brokers, and columns["a.b"] where a
// key is not one plain word.

var plainKey = regexp.MustCompile(`^[\pL\pN_-]+$`)

// element is one key as a part of a path.
func element(name string) string {
	if plainKey.MatchString(name) && len(name) <= 60 {
		return name
	}
	return "[" + quote(name) + "]"
}

// quotedPlain is a plain word that was quoted because its writer could not know.
var quotedPlain = regexp.MustCompile(`\["([\pL\pN_-]+)"\]`)

func join(section, key string) string {
	switch {
	case section == "":
		return key
	case key == "" || key[0] == '[':
		return section + key
	default:
		return section + "." + key
	}
}

// parent is the path of the section or list that holds a key; "" is the file.
func parent(path string) string {
	cut := strings.LastIndexByte(path, '.')
	if strings.HasSuffix(path, `"]`) {
		cut = strings.LastIndex(path, `["`)
	} else if strings.HasSuffix(path, "]") {
		cut = strings.LastIndexByte(path, '[')
	}
	return path[:max(cut, 0)]
}

// lineOf is the line of a key, or of the nearest section around it that is in the file.
func (d *decoder) lineOf(path string) int {
	for {
		if line, ok := d.lines[path]; ok || path == "" {
			return line
		}
		path = parent(path)
	}
}

// quote shows text of the file in a message: on one line, not too long.
func quote(text string) string {
	if utf8.RuneCountInString(text) > 60 {
		text = string([]rune(text)[:60]) + "…"
	}
	return strconv.Quote(text)
}

// either lists words as "a, b or c".
func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// nearest is the known key that was most likely meant, "" if none looks alike.
func nearest(name string, known []string) string {
	best, least := "", max(2, len(name)/3)+1
	if len(name) <= 4 {
		least = 2 // two changes make any short word of any other
	}
	for _, k := range known {
		n := distance(plain(name), plain(k))
		if len(name) > 2 && strings.HasPrefix(plain(k), plain(name)) {
			n = 1 // memory for memory_limit
		}
		if n < least && n < len(k) {
			best, least = k, n
		}
	}
	return best
}

// plain makes maxAge, max-age and max_age the same.
func plain(key string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
}

// distance is Levenshtein's: the least number of bytes to insert, remove or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
