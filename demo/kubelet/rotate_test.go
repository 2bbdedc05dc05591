package kubelet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRotationStory looks at the folder after each step of three rotations of
// a container that keeps three files.
func TestRotationStory(t *testing.T) {
	var c *Container
	var story []string
	_, c = node(t, func(cfg *Config) {
		cfg.Between = func(step string) {
			var files []string
			for _, f := range names(t, c.Dir()) {
				files = append(files, strings.Replace(f, "0.log.20261123-0649", "@", 1))
			}
			story = append(story, step+": "+strings.Join(files, " "))
		}
	})
	for i := range 3 {
		at := start.Add(time.Duration(3*i) * time.Second)
		must(t, c.Write(line(at, fmt.Sprint("first of ", i))))
		must(t, c.Rotate(at, line(at, fmt.Sprint("late ", i, " a")), line(at, fmt.Sprint("late ", i, " b"))))
	}
	want := []string{
		"rename: @20",
		"create: 0.log @20",
		"reopen: 0.log @20",
		"tmp: 0.log @20 @20.tmp",
		"gz: 0.log @20 @20.gz",
		"original: 0.log @20.gz",
		"rename: @20.gz @23",
		"create: 0.log @20.gz @23",
		"reopen: 0.log @20.gz @23",
		"excess: 0.log @23",
		"tmp: 0.log @23 @23.tmp",
		"gz: 0.log @23 @23.gz",
		"original: 0.log @23.gz",
		"rename: @23.gz @26",
		"create: 0.log @23.gz @26",
		"reopen: 0.log @23.gz @26",
	}
	if !slices.Equal(story, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(story, "\n"), strings.Join(want, "\n"))
	}
	for file, i := range map[string]int{"0.log.20261123-064923.gz": 1, "0.log.20261123-064926": 2} {
		var texts []string
		for _, l := range read(t, filepath.Join(c.Dir(), file)) {
			texts = append(texts, strings.SplitN(l, " ", 4)[3])
		}
		if want := []string{fmt.Sprint("first of ", i), fmt.Sprint("late ", i, " a"), fmt.Sprint("late ", i, " b")}; !slices.Equal(texts, want) {
			t.Errorf("%s holds %q", file, texts)
		}
	}
	if c.Rotations() != 3 || c.Written() != 9 {
		t.Errorf("%d rotations, %d lines", c.Rotations(), c.Written())
	}
}

// TestRotationLosesNothing writes a flood that kubelet cannot keep up with
// and finds every line that was not deleted, in order.
func TestRotationLosesNothing(t *testing.T) {
	_, c := node(t, func(cfg *Config) { cfg.MaxSize, cfg.MaxFiles = 10<<10, 50 })
	at := start
	for i := 0; i < 20000; i += 10 {
		var lines []Line
		for k := range 10 {
			at = at.Add(time.Millisecond)
			lines = append(lines, line(at, strconv.Itoa(i+k)))
		}
		must(t, c.Write(lines...))
	}
	files := names(t, c.Dir())
	files = append(files[1:], files[0]) // 0.log is the newest
	next := 0
	for _, f := range files {
		for _, l := range read(t, filepath.Join(c.Dir(), f)) {
			if got := strings.SplitN(l, " ", 4)[3]; got != strconv.Itoa(next) {
				t.Fatalf("%s: line %s instead of %d", f, got, next)
			}
			next++
		}
	}
	if next != 20000 || c.Written() != 20000 || c.Rotations() != 19 {
		t.Errorf("%d lines found, %d counted, %d rotations", next, c.Written(), c.Rotations())
	}
}

func TestLeftoversOfACompressionAreSwept(t *testing.T) {
	_, c := node(t, func(cfg *Config) { cfg.MaxFiles = 5 })
	for _, f := range []string{".20261123-064901", ".20261123-064901.gz", ".20261123-064905", ".20261123-064905.tmp"} {
		must(t, os.WriteFile(c.path+f, nil, 0o640))
	}
	must(t, c.Rotate(start))
	want := []string{"0.log", "0.log.20261123-064901.gz", "0.log.20261123-064905.gz", "0.log.20261123-064920"}
	if got := names(t, c.Dir()); !slices.Equal(got, want) {
		t.Errorf("files: %q", got)
	}
}
