package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/demo/audit"
)

// TestCheck runs the whole demo with the real program and few lines: once as
// it is, and once with a line in the book that nobody writes.
func TestCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the program: skipped with -short")
	}
	program, err := build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, table, want string
		plant             func(*audit.Book)
		ok                bool
	}{
		{"as it is", provenanceTable, "lines=6000 rows=6000 lost=0 repeated=0 visible_p99=", func(*audit.Book) {}, true},
		{"a plain table", plainTable, "lines=6000 rows=6000 lost=0 repeated=0 visible_p99=", func(*audit.Book) {}, true},
		{"a lost line", plainTable, "lines=6001 rows=6000 lost=1 repeated=0 visible_p99=", func(b *audit.Book) { b.Enter(time.Now(), "stdout", "never written") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &demo{opts: &options{check: true, lines: 6000, rate: 3000, table: c.table, labels: 1000}, dir: t.TempDir(), program: program}
			book := audit.NewBook()
			c.plant(book)
			if err := d.start(t.Context(), book); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			r, err := (&check{demo: d, out: &out, book: book}).run(ctx)
			if cerr := d.close(); err != nil || cerr != nil {
				t.Fatalf("%v, %v\n%s\n%s", err, cerr, &out, tail(filepath.Join(d.dir, "agent.log")))
			}
			if !strings.HasPrefix(r.String(), c.want) || r.ok() != c.ok {
				t.Errorf("got %s ok=%v\n%s", r, r.ok(), &out)
			}
			if strings.HasSuffix(r.String(), "unknown") {
				t.Errorf("no time to visible: %s", r)
			}
			for _, said := range []string{"restarted the agent", "restarted the collector", "1 container restarts"} {
				if !strings.Contains(out.String(), said) {
					t.Errorf("it never says %q:\n%s", said, &out)
				}
			}
		})
	}
}

// TestCheckUnderFaults has answers lost, labels forgotten and the backend away
// while both ends are killed: each line is in the table once, and it is said
// what struck.
func TestCheckUnderFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the program: skipped with -short")
	}
	program, err := build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	opts, err := parseOptions([]string{"-check", "-lines", "20000", "-rate", "2500", "-kill", "1", "-label-keep", "1", "-outage", "1",
		"-fault", "drop after commit,skip=1", "-fault", "publish timeout,skip=2,delay=300ms", "-fault", "too many versions"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{opts: opts, dir: t.TempDir(), program: program}
	book := audit.NewBook()
	if err := d.start(t.Context(), book); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := (&check{demo: d, out: &out, book: book}).run(ctx)
	if cerr := d.close(); err != nil || cerr != nil {
		t.Fatalf("%v, %v\n%s\n%s", err, cerr, &out, tail(filepath.Join(d.dir, "collector.log")))
	}
	if !r.ok() {
		t.Errorf("%s\n%s", r, &out)
	}
	for _, said := range []string{`"drop after commit" struck 1 times`, `"publish timeout" struck 1 times`, `"too many versions" struck 1 times`, "backend is away for two seconds"} {
		if !strings.Contains(out.String(), said) {
			t.Errorf("it never says %q:\n%s", said, &out)
		}
	}
	if strings.Contains(out.String(), "forgot 0 labels") {
		t.Errorf("no label was forgotten:\n%s", &out)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-lines 0", "no number below its least value"},
		{"more", "no arguments"},
		{"-rate x", "invalid value"},
		{"-table other", "-table is plain or provenance"},
		{"-label-keep 0", "no number below its least value"},
		{"-fault nonesuch", "there is no fault"},
		{"-wrong", "flag provided but not defined"},
	} {
		var out bytes.Buffer
		if _, err := parseOptions(strings.Fields(c.args), &out); err == nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v, %s", c.args, err, &out)
		}
	}
	o, err := parseOptions([]string{"-check"}, nil)
	if err != nil || !o.check || o.lines != 200000 || o.kills != 3 || o.rate != 12000 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestWorkFolder(t *testing.T) {
	dir, remove, err := (&options{}).workFolder()
	if err != nil {
		t.Fatal(err)
	}
	remove()
	if _, err := os.Stat(dir); err == nil {
		t.Error("a temporary folder is left behind")
	}
	own := t.TempDir()
	dir, remove, err = (&options{dir: own}).workFolder()
	if err != nil || dir != own {
		t.Fatal(dir, err)
	}
	remove()
	if err := os.WriteFile(filepath.Join(own, "old"), nil, 0o600); err != nil {
		t.Fatal("the user's folder is gone:", err)
	}
	if _, _, err := (&options{dir: own, check: true}).workFolder(); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a check in a used folder: %v", err)
	}
}
