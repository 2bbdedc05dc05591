package generator

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/chaos/book"
	"millrace/chaos/line"
)

// spell has the generator write for so long on a clock of its own, with all
// lines seen at once.
func spell(t *testing.T, g *generator, d time.Duration) {
	t.Helper()
	for end := g.at.Add(d); g.at.Before(end); {
		if err := g.advance(g.at.Add(tick)); err != nil {
			t.Fatal(err)
		}
		if !g.away {
			g.seen = g.tell().Counts
		}
	}
}

func start(t *testing.T, change func(*Config)) *generator {
	t.Helper()
	dir := t.TempDir()
	cfg := Config{Seed: 1, LogDir: filepath.Join(dir, "pods"), Book: filepath.Join(dir, "book"), Containers: 7, Rate: 2000,
		Rotate: time.Second, Files: 5, Straddle: true, Churn: true}
	if change != nil {
		change(&cfg)
	}
	g, err := newGenerator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.book.Close() })
	return g
}

// read gives a file's content, decompressed.
func read(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every file holds exactly what the generator says of it, to the byte, and all
// lines are whole and in order.
func TestFilesAreAsCounted(t *testing.T) {
	g := start(t, func(c *Config) { c.Files, c.Churn, c.Rate = 1000, false, 4000 })
	spell(t, g, 12*time.Second)
	if g.status.Rotations < 7*11 || g.status.Straddled < 3 {
		t.Errorf("%d rotations, %d of them within a line", g.status.Rotations, g.status.Straddled)
	}
	for _, p := range g.slots {
		for _, c := range p.containers {
			checkFiles(t, g, c)
		}
	}
}

func checkFiles(t *testing.T, g *generator, c *container) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(c.log.Dir(), "*"))
	if err != nil || len(names) != len(c.files)+1 {
		t.Fatalf("%d files, %d counted: %v", len(names), len(c.files)+1, err)
	}
	next := book.Counts{}
	partial := map[string]string{}
	for _, name := range append(names[1:], names[0]) { // 0.log is the newest
		f, ok := c.files[strings.TrimSuffix(name, ".gz")]
		if !ok {
			f = c.file
			f.to = c.lines
		}
		text := read(t, name)
		if next != f.from || int64(len(text)) != f.bytes {
			t.Fatalf("%s begins at %v and has %d bytes, counted %v and %d", name, next, len(text), f.from, f.bytes)
		}
		for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			part := strings.SplitN(l, " ", 4)
			if len(part[0]) != 30 {
				t.Fatalf("time %s", part[0])
			}
			whole := partial[part[1]] + part[3]
			if partial[part[1]] = ""; part[2] == "P" {
				partial[part[1]] = whole
				continue
			}
			i := strings.Index("ote", part[1][3:4]) / 2 // stdout, stderr
			if whole != line.Text(1, source(c.id, i), next[i]) {
				t.Fatalf("%s: line %d is %.80q", name, next[i], whole)
			}
			next[i]++
		}
		if next != f.to {
			t.Fatalf("%s ends at %v, counted %v", name, next, f.to)
		}
	}
}

// The book adds up: what was deleted and what is there is what was written.
func TestBookAddsUp(t *testing.T) {
	g := start(t, func(c *Config) { c.Rate = 1000 })
	spell(t, g, 60*time.Second)
	if err := g.book.Flush(); err != nil {
		t.Fatal(err)
	}
	b, err := book.Read(g.cfg.Book)
	if err != nil {
		t.Fatal(err)
	}
	all, dropped := b.Lines(1)
	if all != g.status.Lines || all-dropped != g.status.Due || all < 50_000 {
		t.Errorf("the book has %d lines, %d of them dropped; %d were counted, %d due", all, dropped, g.status.Lines, g.status.Due)
	}
	if b.Rotations != g.status.Rotations || b.Restarts < 5 || b.Gone < 2 || g.status.Tails == 0 {
		t.Errorf("%d rotations, %d restarts, %d tails, %d containers gone", b.Rotations, b.Restarts, g.status.Tails, b.Gone)
	}
	for _, p := range g.slots {
		for _, c := range p.containers {
			files := b.Containers[c.id].Deleted
			for name, f := range c.files {
				files = append(files, book.File{Name: name, From: f.from, To: f.to})
			}
			slices.SortFunc(files, func(a, b book.File) int { return int(a.From.Sum() - b.From.Sum()) })
			to := book.Counts{}
			for _, f := range files {
				if f.From != to {
					t.Errorf("container %d: %s begins at %v, the one before ended at %v", c.id, f.Name, f.From, to)
				}
				to = f.To
			}
			if to != c.file.from {
				t.Errorf("container %d: the current file begins at %v, the one before ended at %v", c.id, c.file.from, to)
			}
		}
	}
}

// Nothing is deleted that was not seen, unless the one who follows is trusted
// to hold it, and then no more than is fair while it is away.
func TestRotationsWait(t *testing.T) {
	for _, c := range []struct {
		name        string
		trust, away bool
		limit       int
		most, least int // rotations of a container in 20 seconds
	}{
		{"nothing seen", false, false, 0, 4, 4},
		{"away for three at most", true, true, 3, 3, 3},
		{"away for ten", true, true, 10, 10, 10},
		{"away for ten, no trust", false, true, 10, 10, 10},
		{"trusted", true, false, 0, 25, 19},
	} {
		g := start(t, func(cfg *Config) { cfg.Trust, cfg.Churn, cfg.Rate = c.trust, false, 200 })
		if c.away {
			g.leave(c.limit)
		}
		for range 20 * time.Second / tick {
			if err := g.advance(g.at.Add(tick)); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range g.slots {
			for _, k := range p.containers {
				if n := int(k.log.Rotations()); n < c.least || n > c.most {
					t.Errorf("%s: container %d rotated %d times", c.name, k.id, n)
				}
			}
		}
	}
}
