package tail

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dirSettle is how old a directory's time of change must be before a
	// listing counts as complete: kernels stamp files with the time of the
	// last tick, so two changes within a few milliseconds look like one.
	dirSettle = time.Second
	// maxHeld bounds the open files of one container. What is beyond is
	// opened when earlier files are delivered, unless it is deleted first.
	maxHeld = 64
	// maxPassed bounds the files that are remembered after they were let go,
	// so that they are known again under another name; kubelet keeps five.
	maxPassed = 32
	// takeTries bounds the listings of a directory that does not hold still.
	takeTries = 5
)

// chain is the files of one container, oldest first: files[at] is being read,
// those before it are read and not delivered. A file enters the chain once,
// whatever it is called by then: renamed by a rotation, compressed, or both.
// One goroutine at a time uses it.
type chain struct {
	dir     string
	log     *slog.Logger
	metrics *metrics

	files   []*file
	at      int
	nextSeq int

	// known are the names in the directory whose files are or were in the
	// chain, with their inodes.
	known map[string]inode
	// passed are files that were let go.
	passed []FileID
	// waiting are names there was no room for.
	waiting []entry

	changed unix.Timespec // the directory's time of change when it was listed
	settled bool          // nothing can hide behind that time
	exists  bool
}

// inode is a file's identity as long as it is not deleted.
type inode struct{ device, number uint64 }

// current is the file being read.
func (c *chain) current() *file { return c.files[c.at] }

// update takes in what is new in the directory. It costs one system call while
// nothing is.
func (c *chain) update(now time.Time) error {
	var st unix.Stat_t
	switch err := unix.Stat(c.dir, &st); err {
	case nil:
	case unix.ENOENT:
		c.exists = false
		return nil
	default:
		return fmt.Errorf("stat %q: %w", c.dir, err)
	}
	c.exists = true
	if c.settled && st.Mtim == c.changed {
		return nil
	}
	c.settled = false
	for range takeTries {
		still, err := c.take()
		if err != nil {
			return err
		}
		if still {
			c.changed = st.Mtim
			c.settled = len(c.waiting) == 0 && now.Sub(time.Unix(st.Mtim.Unix())) > dirSettle
			return nil
		}
	}
	return nil // it does not hold still: the next look will do
}

// take opens the files that are new. Names are listed again afterwards,
// because a file that was renamed in between is not the one that was listed:
// if anything has changed nothing is taken, and still is false.
func (c *chain) take() (still bool, err error) {
	listed, err := listNames(c.dir)
	if err != nil {
		return false, fmt.Errorf("list %q: %w", c.dir, err)
	}
	found, err := c.look(listed)
	again, lerr := listNames(c.dir)
	if lerr != nil || !found.still || !slices.Equal(listed, again) {
		for _, f := range found.opened {
			f.close()
		}
		return false, lerr
	}
	c.admit(listed, found)
	return true, err
}

// finding is what a look at a listing found.
type finding struct {
	names   map[string]inode // of files that are known now
	renamed map[*file]string // stamps of open files that were rotated
	opened  []*file
	waiting []entry
	still   bool
}

// look opens the listed files that are new, up to one that cannot be opened:
// what is behind it must not overtake it.
func (c *chain) look(listed []entry) (found finding, err error) {
	found = finding{names: map[string]inode{}, renamed: map[*file]string{}, still: true}
	for i, e := range listed {
		if len(c.files)+len(found.opened) >= maxHeld {
			found.waiting = listed[i:]
			return found, nil
		}
		if err := c.lookAt(e, &found); err != nil {
			if found.still = !errors.Is(err, fs.ErrNotExist); !found.still {
				err = nil
			}
			return found, err
		}
	}
	return found, nil
}

func (c *chain) lookAt(e entry, found *finding) error {
	id, err := statInode(c.dir, e)
	if err != nil {
		return err
	}
	defer func() { found.names[e.name] = id }()
	if was, ok := c.known[e.name]; ok && was == id {
		return nil
	}
	if f := c.open(id); f != nil {
		found.renamed[f] = e.rotated
		return nil
	}
	f, err := openFile(c.dir, e)
	if err != nil {
		delete(found.names, e.name)
		return err
	}
	if c.had(f) {
		f.close()
		return nil
	}
	found.opened = append(found.opened, f)
	return nil
}

// open is the chain's open file with the inode, nil if there is none.
func (c *chain) open(id inode) *file {
	for _, f := range c.files {
		if f.id.Device == id.device && f.id.Inode == id.number {
			return f
		}
	}
	return nil
}

// had says whether a file is, under another name or compressed, one that the
// chain has or had.
func (c *chain) had(f *file) bool {
	for _, g := range c.files {
		if g.fingerprint() == nil && f.is(&g.id) {
			return true
		}
	}
	return slices.ContainsFunc(c.passed, func(id FileID) bool { return f.is(&id) })
}

// admit makes what was found part of the chain.
func (c *chain) admit(listed []entry, found finding) {
	for f, stamp := range found.renamed {
		f.rotated, f.id.Rotated = stamp, stamp
	}
	for _, f := range found.opened {
		c.nextSeq++
		f.seq = c.nextSeq
		f.id.Previous = previous(listed, f.entry)
		c.files = append(c.files, f)
		c.metrics.openFiles.Inc()
	}
	c.countMissed(listed)
	c.known, c.waiting = found.names, found.waiting
}

// countMissed counts the files there was no room for and that are gone.
func (c *chain) countMissed(listed []entry) {
	for _, e := range c.waiting {
		there := slices.ContainsFunc(listed, func(l entry) bool {
			return l.restart == e.restart && (l.rotated == e.rotated || e.rotated == "")
		})
		if !there {
			c.missed("log file was deleted before there was room to open it", slog.String("file", e.name))
		}
	}
}

// missed counts and tells that lines were lost.
func (c *chain) missed(what string, attrs ...any) {
	c.metrics.missed.Inc()
	c.log.Warn("lines of a log file are lost", append([]any{"because", what}, attrs...)...)
}

// previous is the stamp of the youngest rotated file that is older than e.
func previous(listed []entry, e entry) string {
	stamp := ""
	for _, l := range listed {
		if l.restart == e.restart && l.rotated != "" && compareEntries(l, e) < 0 {
			stamp = l.rotated
		}
	}
	return stamp
}

// drop closes the first n files, all before the current one, and remembers
// them.
func (c *chain) drop(n int) {
	for _, f := range c.files[:n] {
		f.fingerprint() //nolint:errcheck // what is known of it is what counts
		if size, err := f.size(); err == nil && !f.replaced && f.end > 0 && size > f.end {
			c.missed("the runtime wrote to a rotated file after it was left", slog.String("file", f.name), slog.Int64("from", f.end), slog.Int64("to", size))
		}
		c.passed = append(c.passed, f.id)
		f.close()
		c.metrics.openFiles.Dec()
	}
	c.passed = c.passed[max(0, len(c.passed)-maxPassed):]
	c.files = slices.Delete(c.files, 0, n)
	c.at -= n
}

// close closes all files.
func (c *chain) close() {
	for _, f := range c.files {
		f.close()
		c.metrics.openFiles.Dec()
	}
	c.files = nil
}

// index is the index of the file with the given place in the chain. Files stay
// open as long as a position, or an unfinished line, begins in them.
func (c *chain) index(seq int) int {
	i := slices.IndexFunc(c.files, func(f *file) bool { return f.seq == seq })
	if i < 0 {
		panic("BUG: position in a file that was let go")
	}
	return i
}

// find is the index of the file with the identity id, -1 if it is not there.
func (c *chain) find(id *FileID) int {
	return slices.IndexFunc(c.files, func(f *file) bool { return f.is(id) })
}

// after is the index of the first file that is younger than a file which is
// not there any more. Files are deleted oldest first, so that the youngest
// rotated file it had before it tells, where its own name does not. A chain
// that has only lower restart counts is another container's by the same name.
func (c *chain) after(id *FileID) int {
	stamp := max(id.Rotated, id.Previous)
	for i, f := range c.files {
		if f.restart > id.Restart || f.restart == id.Restart && (f.rotated == "" || f.rotated > stamp) {
			return i
		}
	}
	if n := len(c.files); n > 0 && c.files[n-1].restart < id.Restart {
		return 0
	}
	return len(c.files)
}
