package tail

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// What a later version held is not touched.
func TestSpoolRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ content, want string }{
		"a later one's": {"2\n", "its version is 2 and this millrace knows versions up to 1"},
		"not ours":      {"hello", "it names no version"},
		"torn":          {"", ""},
		"ours":          {"1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "p")
			if _, _, err := openStore(data); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(data, spoolName), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(data, spoolName, spoolVersionName), []byte(tc.content), 0o644); err != nil {
				t.Fatal(err)
			}
			var c Config
			config.SetDefaults(&c)
			_, err := New(Options{Config: c, LogDir: t.TempDir(), DataDir: data, Pool: pipeline.NewPool(1, 1), Ledger: pipeline.NewLedger("test", LabelNames...),
				Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

// The link is to the file that is open, whatever its name stands for by then.
func TestLinkIsToTheOpenFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "0.log"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	symbolic := filepath.Join(dir, "symbolic")
	if err := os.Symlink(path, symbolic); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(symbolic)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, []byte("new"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := linkFile(f, link); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(link); err != nil || string(got) != "old" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := linkFile(f, link); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a link that is there: %v", err)
	}
	if err := errors.Join(os.Remove(path+".1"), os.Remove(link)); err != nil {
		t.Fatal(err)
	}
	if err := linkFile(f, link); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a deleted file: %v", err)
	}
}

// Between two file systems there are no links: that is said once, with what to
// do about it.
func TestLinksBetweenFileSystems(t *testing.T) {
	here := t.TempDir()
	there, err := os.MkdirTemp("/dev/shm", "millrace-test-")
	if err != nil {
		t.Skip("no second file system")
	}
	t.Cleanup(func() { os.RemoveAll(there) })
	var a, b syscall.Stat_t
	if err := errors.Join(syscall.Stat(here, &a), syscall.Stat(there, &b)); err != nil || a.Dev == b.Dev {
		t.Skip("no second file system")
	}
	var said strings.Builder
	m := newMetrics(prometheus.NewRegistry())
	o := Options{DataDir: there, Logger: slog.New(slog.NewTextHandler(&said, nil)), metrics: m}
	sp, err := openSpool(&o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0.log", "1.log"} {
		path := filepath.Join(here, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		e, _ := parseName(name)
		f, err := openFile(here, e, &m)
		if err != nil {
			t.Fatal(err)
		}
		defer f.close()
		if f.seq = 1; sp.hold(f, sp.container("a/b")) {
			t.Fatal("a link between file systems")
		}
		f.relax()
		if f.f == nil {
			t.Error("neither linked nor open")
		}
	}
	if text := said.String(); strings.Count(text, "cannot be linked") != 1 || !strings.Contains(text, "holds both log_dir and data_dir") ||
		!strings.Contains(text, unix.EXDEV.Error()) {
		t.Errorf("it says %q", text)
	}
}
