package main

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"millrace/demo/audit"
)

var update = flag.Bool("update", false, "draw the pictures of docs/demo.md anew")

// pictures is where the documentation finds them.
const pictures = "../docs/pictures"

// TestPictures draws the pictures of the documentation, of a demo with both
// ends that has run for a minute and whose table is older.
func TestPictures(t *testing.T) {
	if !*update {
		t.Skip("it draws pictures: go test ./demo -run TestPictures -update")
	}
	browser := openBrowser(t)
	d := furnished(t)
	srv := httptest.NewServer(newPage(d).handler())
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { d.flow.run(ctx) })
	all.Go(func() {
		if err := d.write(ctx, d.rate, func() error { return nil }); err != nil {
			t.Error(err)
		}
	})
	until(t, "samples of the flow", func() bool { return len(d.flow.since(time.Time{})) > 50 })
	for _, p := range []struct {
		name, scheme  string
		width, height int64
	}{{"demo-wide", "light", 1440, 0}, {"demo-dark", "dark", 1440, 1290}, {"demo-narrow", "light", 360, 1600}} {
		b := newTab(browser, t, p.width, p.scheme).open(srv.URL)
		b.until(`document.querySelector('#flow canvas') && document.querySelector('#newest tbody tr') && document.querySelector('[data-sum=table] .state')`)
		height := p.height
		if height == 0 {
			height = eval[int64](b, `document.querySelector('#error_list').getBoundingClientRect().bottom + scrollY + 24 | 0`)
		}
		b.do(chromedp.EmulateViewport(p.width, height))
		b.until(fmt.Sprintf(`innerHeight === %d`, height))
		if p.width < 500 { // a telephone, scrolled to the dashboard
			eval[bool](b, `document.querySelector('#dashboard').scrollIntoView(), true`)
		}
		png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(pictures, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(pictures, p.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
		b.quiet(srv.URL)
	}
}

// furnished is a real demo, which goes on with a table of some minutes.
func furnished(t *testing.T) *demo {
	t.Helper()
	dir := t.TempDir()
	opts := &options{rate: 100, table: provenanceTable, labels: 1000, keep: 500_000}
	secrets, err := loadSecrets(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := startWarehouse(filepath.Join(dir, "starrocks"), secrets, opts)
	if err != nil {
		t.Fatal(err)
	}
	program, err := build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	past := &shelf{warehouse: w, book: audit.NewBook()}
	load(t, w, secrets["starrocks"], past.write(time.Now().Add(-7*time.Minute), 12*time.Millisecond, 7*60*1000/12))
	w.close()
	d := &demo{opts: opts, dir: dir, program: program}
	if err := d.start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
