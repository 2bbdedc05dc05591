package kubelet

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 23, 6, 49, 20, 705005075, time.UTC)

var kong = Pod{Namespace: "kong", Name: "kong-kong-6d5f8c7b9d-x2x7k", UID: "3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11"}

// node makes a node in a folder of the test and starts one container on it.
func node(t *testing.T, change func(*Config)) (*Node, *Container) {
	t.Helper()
	dir := t.TempDir()
	cfg := Config{LogDir: filepath.Join(dir, "pods"), LinkDir: filepath.Join(dir, "containers"),
		MaxSize: 1 << 20, MaxFiles: 3, Interval: time.Second}
	if change != nil {
		change(&cfg)
	}
	n, err := NewNode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Start(kong, "proxy", start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.file != nil {
			c.file.Close()
		}
	})
	return n, c
}

func line(at time.Time, text string) Line { return Line{at, "stdout", text} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// names lists a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// read gives a file's lines, unpacked where it is compressed.
func read(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		r, err = gzip.NewReader(f)
		must(t, err)
	}
	var out []string
	s := bufio.NewScanner(r)
	for s.Scan() {
		out = append(out, s.Text())
	}
	must(t, s.Err())
	return out
}

func TestLayout(t *testing.T) {
	n, c := node(t, nil)
	must(t, c.Write(line(start, "hello"), Line{start.Add(49500 * time.Nanosecond), "stderr", "err"}))
	path := filepath.Join(n.cfg.LogDir, "kong_kong-kong-6d5f8c7b9d-x2x7k_3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11", "proxy", "0.log")
	want := []string{"2026-11-23T06:49:20.705005075Z stdout F hello", "2026-11-23T06:49:20.705054575Z stderr F err"}
	if got := read(t, path); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v", info.Mode())
	}
	links := names(t, n.cfg.LinkDir)
	if len(links) != 1 || links[0] != "kong-kong-6d5f8c7b9d-x2x7k_kong_proxy-"+c.ID()+".log" || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(c.ID()) {
		t.Errorf("links: %q", links)
	}
	if target, err := os.Readlink(filepath.Join(n.cfg.LinkDir, links[0])); err != nil || target != path {
		t.Errorf("link leads to %q, %v", target, err)
	}
}

func TestTrailingZerosAndZone(t *testing.T) {
	_, c := node(t, func(cfg *Config) { cfg.Zone = time.FixedZone("", 9*3600) })
	must(t, c.Write(line(time.Date(2026, 11, 23, 6, 49, 9, 212873600, time.UTC), "short")))
	if got := read(t, c.path); got[0] != "2026-11-23T15:49:09.2128736+09:00 stdout F short" {
		t.Errorf("got %q", got)
	}
}

func TestPieces(t *testing.T) {
	piece := regexp.MustCompile(`^\S+Z (stdout|stderr) ([PF]) (.*)$`)
	for _, c := range []struct {
		size int
		want string
	}{{0, "F0"}, {16383, "F16383"}, {16384, "F16384"}, {16385, "P16384 F1"}, {40000, "P16384 P16384 F7232"}} {
		_, k := node(t, nil)
		text := strings.Repeat("겨울", 7000)[:c.size]
		must(t, k.Write(line(start, text)))
		var got []string
		joined := ""
		for _, l := range read(t, k.path) {
			m := piece.FindStringSubmatch(l)
			got = append(got, fmt.Sprintf("%s%d", m[2], len(m[3])))
			joined += m[3]
		}
		if strings.Join(got, " ") != c.want || joined != text || k.Written() != 1 {
			t.Errorf("%d bytes: %s, %d lines", c.size, got, k.Written())
		}
	}
}

func TestPiecesAreMixedWithTheOtherStream(t *testing.T) {
	_, c := node(t, nil)
	must(t, c.Write(line(start, strings.Repeat("x", 40000)), Line{start.Add(time.Microsecond), "stderr", "oops"}, line(start.Add(time.Millisecond), "next")))
	var got []string
	last := ""
	for _, l := range read(t, c.path) {
		f := strings.SplitN(l, " ", 4)
		got = append(got, f[1]+f[2])
		if f[0] <= last {
			t.Errorf("time %s after %s", f[0], last)
		}
		last = f[0]
	}
	if want := []string{"stdoutP", "stderrF", "stdoutP", "stdoutF", "stdoutF"}; !slices.Equal(got, want) || c.Written() != 3 {
		t.Errorf("got %q, %d lines", got, c.Written())
	}
}

// A rotation between two pieces of a line leaves its beginning in one file and
// its end in the next.
func TestPieceBeforeARotation(t *testing.T) {
	_, c := node(t, nil)
	text := strings.Repeat("겨울", 7000)[:40000]
	rest, err := c.Piece(line(start, text))
	must(t, err)
	must(t, c.Rotate(start))
	must(t, c.Write(rest))
	joined := ""
	for i, path := range []string{c.path + ".20261123-064920", c.path} {
		for _, l := range read(t, path) {
			f := strings.SplitN(l, " ", 4)
			if want := []string{"P", "PF"}[i]; !strings.Contains(want, f[2]) {
				t.Errorf("%s holds a piece %s", path, f[2])
			}
			joined += f[3]
		}
	}
	if joined != text || c.Written() != 1 {
		t.Errorf("%d bytes of %d, %d lines", len(joined), len(text), c.Written())
	}
	if _, err := c.Piece(line(start, "short")); err == nil {
		t.Error("a line of one piece was written as the first of several")
	}
}

// Whoever counts hears of every log that goes, by the name it had before it was
// compressed.
func TestDeletedLogsAreTold(t *testing.T) {
	var gone []string
	_, c := node(t, func(cfg *Config) {
		cfg.Deleted = func(path string) { gone = append(gone, filepath.Base(path)) }
	})
	for i := range 4 {
		must(t, c.Rotate(start.Add(time.Duration(i)*time.Second)))
	}
	for i := range 2 {
		must(t, c.Exit(start, ""))
		must(t, c.Restart(start.Add(time.Duration(i)*time.Second)))
	}
	want := []string{"0.log.20261123-064920", "0.log.20261123-064921", "0.log.20261123-064922", "0.log.20261123-064923", "0.log"}
	if !slices.Equal(gone, want) {
		t.Errorf("got %q, want %q", gone, want)
	}
}

func TestExitLeavesAPieceWithoutEnd(t *testing.T) {
	_, c := node(t, nil)
	must(t, c.Write(line(start, "bye")))
	must(t, c.Exit(start.Add(time.Second), "tail without newline"))
	if got := read(t, c.path); got[1] != "2026-11-23T06:49:21.705005075Z stdout P tail without newline" || c.Written() != 1 {
		t.Errorf("got %q", got)
	}
	if err := c.Write(line(start, "more")); err == nil {
		t.Error("an exited container wrote")
	}
}

func TestRestart(t *testing.T) {
	n, c := node(t, nil)
	first := c.ID()
	for i := range 2 {
		at := start.Add(time.Duration(10*i) * time.Second)
		must(t, c.Write(line(at, "up")))
		must(t, c.Rotate(at.Add(2*time.Second)))
		must(t, c.Exit(at.Add(3*time.Second), ""))
		must(t, c.Restart(at.Add(4*time.Second)))
	}
	if got, want := names(t, c.Dir()), []string{"1.log", "1.log.20261123-064932", "2.log"}; !slices.Equal(got, want) {
		t.Errorf("files: %q", got)
	}
	if links := names(t, n.cfg.LinkDir); len(links) != 2 || c.ID() == first || c.Attempt() != 2 {
		t.Errorf("attempt %d, links: %q", c.Attempt(), links)
	}
	must(t, c.Exit(start, ""))
	must(t, n.Delete(kong))
	if left := append(names(t, n.cfg.LinkDir), names(t, n.cfg.LogDir)...); len(left) > 0 {
		t.Errorf("after the pod was deleted: %q", left)
	}
}

func TestAnotherRunGoesOnWithTheNextNumber(t *testing.T) {
	n, c := node(t, nil)
	must(t, c.Exit(start, ""))
	again, err := n.Start(kong, "proxy", start)
	must(t, err)
	defer again.Exit(start, "")
	if again.Attempt() != 1 || again.ID() == c.ID() {
		t.Errorf("attempt %d", again.Attempt())
	}
}
