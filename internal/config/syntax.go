package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse is the one document of data. An empty file is an error, and so is a second document.
func parse(name string, data []byte) (*yaml.Node, error) {
	docs, err := documents(data)
	switch {
	case err != nil:
		return nil, syntaxError(name, data, err)
	case len(docs) > 1:
		return nil, fileError(name, docs[1].Line, "only one YAML document is allowed in a file")
	case len(docs) == 0 || isNull(docs[0].Content[0]):
		return nil, fileError(name, 1, "the file is empty")
	}
	return docs[0].Content[0], nil
}

func documents(data []byte) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		doc := new(yaml.Node)
		if err := dec.Decode(doc); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

func fileError(name string, line int, message string) error {
	return mistakes{file: name, list: []mistake{{line: line, message: message}}}
}

// What yaml/v3 puts in front of its messages. Its line is left aside: it is that of the section around the mistake, less one,
// or missing.
var yamlPrefix = regexp.MustCompile(`^yaml: (line \d+: )?`)

// syntaxError gives an error of the YAML parser its line, and says better what operators get wrong most.
func syntaxError(name string, data []byte, err error) error {
	lines := bytes.SplitAfter(data, []byte("\n"))
	n := brokenLine(lines)
	text := yamlPrefix.ReplaceAllString(err.Error(), "")
	switch broken := bytes.TrimLeft(lines[n-1], " "); {
	case strings.HasPrefix(text, "unknown anchor"):
		text = "unknown anchor: quote a value that starts with *" // its name may be the start of a password
	case bytes.HasPrefix(broken, []byte("\t")):
		text = "a tab cannot indent YAML: use spaces"
	case strings.Contains(text, "unknown escape character"):
		text = "unknown escape in double quotes: write regular expressions in single quotes"
	case strings.Contains(text, "did not find expected key"):
		text = "this line's indentation or the one above does not fit"
	case strings.Contains(text, "expected ',' or") && bytes.Contains(broken, []byte("${")):
		text = `within { } and [ ] quote what contains braces: "${NAME}"`
	}
	return fileError(name, n, fmt.Sprintf("not YAML: %s", text))
}

// brokenLine is the first line, counted from 1, after the longest run of lines that are YAML by themselves. In a long file it
// is the line after a shorter run, found in fewer tries.
func brokenLine(lines [][]byte) int {
	broken := func(n int) bool {
		_, err := documents(bytes.Join(lines[:n], nil))
		return err != nil
	}
	if len(lines) > 1000 {
		return max(1, sort.Search(len(lines), broken))
	}
	n := len(lines)
	for n > 1 && broken(n-1) {
		n--
	}
	return n
}
