package tail

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

const (
	spoolName = "spool"
	// spoolVersion is the version of the spool's layout and of its notes. A
	// later version reads this one; this one refuses a later one.
	spoolVersion     = 1
	spoolVersionName = "version"
)

// spool is the directory of hard links that keep a source's files from being
// taken away before they are delivered. Each container has a directory of its
// own in it, by the same path as below the log directory, with a link for each
// file that is in its chain: SEQ-NAME, where SEQ is the file's place in the
// chain and NAME what it was called when that was last known. A link costs
// neither space nor a copy as long as the file has its own name, too; it makes
// the file safe and its inode unmistakable, also while no process runs.
//
// Links are made, renamed and removed by the poller alone.
type spool struct {
	dir    string
	link   func(f *os.File, path string) error
	log    *slog.Logger
	errors prometheus.Counter
	told   atomic.Bool // that links cannot be made
}

// openSpool makes the spool in a source's directory, or finds it there.
func openSpool(o *Options) (*spool, error) {
	s := &spool{dir: filepath.Join(o.DataDir, spoolName), link: o.link, log: o.Logger, errors: o.metrics.errors}
	if s.link == nil {
		s.link = linkFile
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	path := filepath.Join(s.dir, spoolVersionName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeSynced(path, fmt.Appendf(nil, "%d\n", spoolVersion)); err != nil {
			return nil, fmt.Errorf("make spool: %w", err)
		}
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	return s, checkSpoolVersion(path, data)
}

func checkSpoolVersion(path string, data []byte) error {
	text := strings.TrimSpace(string(data))
	if text == "" {
		return nil // a crash came between making and writing it, and nothing is held
	}
	switch version, err := strconv.Atoi(text); {
	case err != nil || version < 1:
		return fmt.Errorf("read %q: it names no version: write %d to it, or remove its directory, and with it what was held", path, spoolVersion)
	case version > spoolVersion:
		return fmt.Errorf("read %q: its version is %d and this millrace knows versions up to %d: run the millrace that wrote it, or a later one",
			path, version, spoolVersion)
	}
	return nil
}

// linkFile gives an open file another name. Through /proc it is the very file
// that is open, whatever its own name stands for by now, and symbolic links
// are followed already (see link(2)).
func linkFile(f *os.File, path string) error {
	from := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	if err := unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW); err != nil {
		return &os.LinkError{Op: "link", Old: f.Name(), New: path, Err: err}
	}
	return nil
}

// heldName is what a file's link is called.
func heldName(seq int, e entry) string {
	return fmt.Sprintf("%010d-%s", seq, e.name)
}

// parseHeld reads heldName's form.
func parseHeld(name string) (seq int, e entry, ok bool) {
	number, file, found := strings.Cut(name, "-")
	if !found || len(number) < 10 {
		return 0, entry{}, false
	}
	seq, err := strconv.Atoi(number)
	if err != nil || seq < 1 {
		return 0, entry{}, false
	}
	e, ok = parseName(file)
	return seq, e, ok && heldName(seq, e) == name
}

// hold links an open file of a container, and says whether that worked. A file
// without a link stays open instead.
func (s *spool) hold(f *file, dir string) bool {
	path := filepath.Join(dir, heldName(f.seq, f.entry))
	var err error
	for range 3 {
		if err = s.link(f.f, path); !errors.Is(err, fs.ErrNotExist) || f.gone() {
			break
		}
		// Directories come with the first link and go with the last, and the
		// pod's is that of its other containers, too.
		if err := os.MkdirAll(dir, 0o755); err != nil {
			break
		}
	}
	if errors.Is(err, fs.ErrExist) && s.replace(path) {
		err = s.link(f.f, path)
	}
	if err != nil {
		s.tell(err)
		return false
	}
	f.link = path
	return true
}

// replace removes a link that nobody knows, by the name of one that is to be
// made.
func (s *spool) replace(path string) bool { return os.Remove(path) == nil }

// tell says once that links cannot be made, and what that means.
func (s *spool) tell(err error) {
	if errors.Is(err, fs.ErrNotExist) || s.told.Swap(true) {
		return // deleted already: only the descriptor is left of it
	}
	what := "give millrace's user write access to data_dir and ownership of the log files, or the capability FOWNER"
	switch {
	case errors.Is(err, unix.EXDEV):
		what = "mount one directory that holds both log_dir and data_dir: links cannot lead from one mount to another, even of one file system"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		what = "make room on the file system"
	}
	s.log.Warn("log files cannot be linked into data_dir: rotated files that are not delivered are kept open instead, "+
		"which neither survives a restart nor holds more than a few for each container", "error", err, "to do", what)
}

// retitle renames a file's link after its place or its name has changed.
func (s *spool) retitle(f *file) error {
	if f.link == "" {
		return nil
	}
	path := filepath.Join(filepath.Dir(f.link), heldName(f.seq, f.entry))
	if path == f.link {
		return nil
	}
	if err := os.Rename(f.link, path); err != nil {
		return fmt.Errorf("rename held file: %w", err)
	}
	f.link = path
	return nil
}

// letGo removes a file's link, or the note in its place.
func (s *spool) letGo(f *file) {
	if f.link == "" {
		return
	}
	if err := os.Remove(f.link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.errors.Inc()
		s.log.Warn("let go of a held file", "error", err)
	}
	f.link = ""
}

// tidy removes a container's directory, and its pod's if it was the last.
func (s *spool) tidy(dir string) {
	for dir != s.dir && strings.HasPrefix(dir, s.dir) && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

// container is the directory of a container's links.
func (s *spool) container(key string) string { return filepath.Join(s.dir, key) }

// keys are the containers that have files in the spool.
func (s *spool) keys() ([]string, error) {
	var keys []string
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // let go of meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		if key, err := filepath.Rel(s.dir, filepath.Dir(path)); err == nil && key != "." {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	return slices.Compact(keys), nil
}

// held are the files that a former process held for a container, in the order
// of its chain, opened only to be known again.
func (c *chain) held() ([]*file, error) {
	names, err := os.ReadDir(c.spoolDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list held files: %w", err)
	}
	var files []*file
	for _, n := range names {
		f, err := c.heldFile(n.Name())
		if err != nil {
			for _, f := range files {
				f.close()
			}
			return nil, err
		}
		if f != nil {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b *file) int { return a.seq - b.seq })
	return files, nil
}

// heldFile opens one link, or reads the note in its place; nil for neither.
func (c *chain) heldFile(name string) (*file, error) {
	path := filepath.Join(c.spoolDir, name)
	if link, ok := strings.CutSuffix(name, noteSuffix); ok {
		if seq, e, ok := parseHeld(link); ok {
			return readNote(path, seq, e)
		}
	}
	seq, e, ok := parseHeld(name)
	if !ok {
		c.log.Warn("the spool holds a file that is none of its own; it is left alone", "file", path)
		return nil, nil
	}
	f := &file{entry: e, seq: seq, link: path, dir: c.dir, metrics: c.metrics, inherited: true,
		id: FileID{Restart: e.restart, Rotated: e.rotated}}
	if err := f.identify(); err != nil {
		return nil, fmt.Errorf("open held file: %w", err)
	}
	f.relax()
	return f, nil
}
