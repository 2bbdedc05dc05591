package line

import (
	"regexp"
	"testing"
	"unicode/utf8"
)

func TestLines(t *testing.T) {
	dropped, long, edge := 0, 0, 0
	drop := regexp.MustCompile(DropPattern)
	sizes := int64(0)
	const lines = 20_000
	for n := range int64(lines) {
		for _, s := range []Source{{3, false}, {3, true}} {
			text := Text(1, s, n)
			got, k, ok := Parse(text)
			if !ok || got != s || k != n {
				t.Fatalf("%v %d: parsed as %v %d %v", s, n, got, k, ok)
			}
			if text != Text(1, s, n) || !utf8.ValidString(text) || regexp.MustCompile(`[\r\n]`).MatchString(text) {
				t.Fatalf("%v %d: not a line, or not the same again", s, n)
			}
			if drop.MatchString(text) != Dropped(1, s, n) {
				t.Fatalf("%.40q: the filter does not drop what it has to", text)
			}
			if Dropped(1, s, n) {
				dropped++
			}
			if Long(text) {
				long++
			}
			if len(text) == pieceSize {
				edge++
			}
			if len(text) > 4*pieceSize {
				t.Fatalf("%d bytes", len(text))
			}
			sizes += int64(len(text))
		}
	}
	if dropped < lines/50 || dropped > lines/20 || long < lines/1000 || edge == 0 {
		t.Errorf("of %d lines %d are dropped, %d are long, %d are a whole piece", 2*lines, dropped, long, edge)
	}
	if mean := sizes / (2 * lines); mean < 150 || mean > 800 {
		t.Errorf("lines have %d bytes on average", mean)
	}
}

func TestLinesDiffer(t *testing.T) {
	a := Text(1, Source{1, false}, 5)
	for _, b := range []string{Text(2, Source{1, false}, 5), Text(1, Source{2, false}, 5), Text(1, Source{1, true}, 5), Text(1, Source{1, false}, 6)} {
		if a == b {
			t.Errorf("two lines are the same: %.60q", a)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "keep", "keep 1 stdout 5", "keep x stdout 5 .", "keep 1 stdin 5 .", "keep 1 stdout -5 .", "lost 1 stdout 5 ."} {
		if _, _, ok := Parse(text); ok {
			t.Errorf("%q was taken for a line", text)
		}
	}
}
