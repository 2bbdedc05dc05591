package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// stage is the last stage of a Dockerfile, and the command that makes its
// program.
type stage struct {
	compile    string // a shell command
	product    string // the file that compile makes
	files      []file
	user       string
	entrypoint []string
}

// file is copied into the image; files lie at the same place in all stages.
type file struct{ from, to string }

// parse reads a Dockerfile of two stages, the last one from scratch.
func parse(text string) (*stage, error) {
	s, stages := &stage{}, 0
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "FROM" {
			stages++
		}
		var err error
		if stages < 2 {
			err = s.first(word, rest)
		} else {
			err = s.last(word, rest)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	if stages != 2 || s.compile == "" || s.product == "" || len(s.entrypoint) == 0 {
		return nil, fmt.Errorf("%d stages, compiled by %q to %q, which is started as %q: want two stages and all of it", stages, s.compile, s.product, s.entrypoint)
	}
	return s, nil
}

// first takes an instruction of the stage that compiles.
func (s *stage) first(word, rest string) error {
	switch {
	case word == "RUN" && strings.Contains(rest, "go build"):
		s.compile = rest
		_, output, _ := strings.Cut(rest, " -o ")
		s.product, _, _ = strings.Cut(output, " ")
	case word == "RUN" && rest == "go mod download":
	case word == "FROM", word == "WORKDIR", word == "COPY", word == "ARG":
	default:
		return fmt.Errorf("this instruction is not known here: teach it to this program")
	}
	return nil
}

// last takes an instruction of the stage that becomes the image.
func (s *stage) last(word, rest string) error {
	switch word {
	case "FROM":
		if rest != "scratch" {
			return fmt.Errorf("there is nothing here but scratch to begin with")
		}
	case "COPY":
		f := strings.Fields(rest)
		if len(f) != 3 || f[0] != "--from=build" || !strings.HasPrefix(f[2], "/") {
			return fmt.Errorf("want --from=build, one file and its absolute place")
		}
		s.files = append(s.files, file{from: f[1], to: f[2]})
	case "USER":
		s.user = rest
	case "ENTRYPOINT":
		if err := json.Unmarshal([]byte(rest), &s.entrypoint); err != nil {
			return fmt.Errorf("want a list of words: %w", err)
		}
	default:
		return fmt.Errorf("this instruction is not known here: teach it to this program")
	}
	return nil
}
