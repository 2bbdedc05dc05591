package tail

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dirSettle is how old a directory's time of change must be before a
	// listing counts as complete: kernels stamp files with the time of the
	// last tick, so two changes within a few milliseconds look like one.
	dirSettle = time.Second
	// maxOpen bounds the files of one container that are open because they
	// could not be linked. What is beyond is taken in when earlier ones are
	// delivered, unless it is deleted first.
	maxOpen = 64
	// maxPassed bounds the files that are remembered after they were let go
	// and have lost their names, so that they are known again under others.
	maxPassed = 32
	// takeTries bounds the listings of a directory that does not hold still.
	takeTries = 5
)

// chain is the files of one container, oldest first: files[at] is being read,
// those before it are read and not delivered. A file enters the chain once,
// whatever it is called by then: renamed by a rotation, compressed, or both;
// from then on it is held, see spool. One goroutine at a time uses it.
type chain struct {
	dir      string
	spoolDir string // of its links
	spool    *spool
	log      *slog.Logger
	metrics  *metrics

	files   []*file
	at      int
	nextSeq int
	loaded  bool // files holds what a former process held
	// newest is the last of them, until the directory was looked at again.
	newest *file
	// begun says that reading has: gaps that are found are counted at once.
	begun bool

	// known are the names in the directory whose files are or were in the
	// chain, with their inodes.
	known map[string]inode
	// passed are files that were let go.
	passed []Passed
	// waiting are names there was no room for.
	waiting []entry
	// symlinks are the names being written that lead elsewhere: a rotation
	// there does not change the directory.
	symlinks []entry

	changed unix.Timespec // the directory's time of change when it was listed
	settled bool          // nothing can hide behind that time
	exists  bool

	weight  atomic.Int64 // of files that only we keep on the disk
	read    int64        // of the current file
	version int          // rises when delivered may have changed
	before  deliveredBefore
}

// inode is a file's identity as long as it is not deleted.
type inode struct{ device, number uint64 }

// current is the file being read.
func (c *chain) current() *file { return c.files[c.at] }

// update takes in what is new in the directory. It costs one system call while
// nothing is, and one more for a symbolic link.
func (c *chain) update(now time.Time) error {
	if err := c.load(); err != nil {
		return err
	}
	var st unix.Stat_t
	switch err := unix.Stat(c.dir, &st); err {
	case nil:
	case unix.ENOENT:
		if c.exists || c.known == nil {
			c.vanished()
		}
		return nil
	default:
		return fmt.Errorf("stat %q: %w", c.dir, err)
	}
	c.exists = true
	if c.settled && st.Mtim == c.changed && !c.ledElsewhere() {
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

// load takes in what a former process held, once.
func (c *chain) load() error {
	if c.loaded {
		return nil
	}
	files, err := c.held()
	if err != nil {
		return err
	}
	c.loaded, c.files = true, files
	if len(files) > 0 {
		c.newest = files[len(files)-1]
		c.nextSeq = max(c.nextSeq, c.newest.seq)
	}
	return nil
}

// vanished takes in that the directory is gone, and all names with it.
func (c *chain) vanished() {
	c.exists, c.settled = false, false
	c.known, c.waiting, c.symlinks, c.newest = map[string]inode{}, nil, nil, nil
	c.weigh()
}

// ledElsewhere says whether a symbolic link stands for another file now.
func (c *chain) ledElsewhere() bool {
	return slices.ContainsFunc(c.symlinks, func(e entry) bool {
		id, err := statInode(c.dir, e)
		was, known := c.known[e.name]
		return (err == nil) != known || id != was
	})
}

// admit makes what was found part of the chain.
func (c *chain) admit(listed []entry, found finding) {
	for f, e := range found.renamed {
		f.entry, f.dir, f.id.Rotated = e, c.dir, e.rotated
		c.retitle(f)
	}
	if n := len(c.files); c.newest == nil && n > 0 && c.files[n-1].named && len(c.waiting) == 0 {
		c.newest = c.files[n-1]
	}
	for f, t := range found.twins {
		if f.twin = t.inode; !t.gzip {
			f.copy = t.name
		}
		if f.rotated == "" && t.rotated != "" {
			f.rotated, f.id.Rotated = t.rotated, t.rotated
		}
	}
	for _, f := range found.opened {
		f.id.Previous = previous(listed, f.entry)
		c.nextSeq++
		f.seq = c.nextSeq
		c.files = append(c.files, f)
	}
	c.hold()
	c.countMissed(listed)
	c.known, c.waiting = found.names, found.waiting
	c.symlinks = c.symlinks[:0]
	for _, e := range listed {
		if e.symlink && e.rotated == "" {
			c.symlinks = append(c.symlinks, e)
		}
	}
	c.weigh()
	c.findGap()
}

// hold links the files that are not linked yet; what failed once may work now.
func (c *chain) hold() {
	for _, f := range c.files {
		if f.link == "" && f.f != nil && !f.replaced {
			c.spool.hold(f, c.spoolDir)
			f.relax()
		}
	}
}

// anew says whether the file after the current one is the beginning of
// something else, so that no line goes on in it: of another run of the
// container, behind a gap, or beside a file that is gone and was not rotated.
// Static pods begin again so, with the same UID and restart count.
func (c *chain) anew() bool {
	last, next := c.files[c.at], c.files[c.at+1]
	return next.restart != last.restart || next.gap || next.rotated == "" && last.rotated == "" && !next.symlink && !last.replaced
}

// retitle makes a file's link carry its place and name.
func (c *chain) retitle(f *file) {
	if err := c.spool.retitle(f); err != nil {
		c.metrics.errors.Inc()
		c.log.Warn("trouble with a held file; its order is kept only until a restart", "error", err)
	}
}

// unlinked counts the files that have to stay open.
func (c *chain) unlinked() (n int) {
	for _, f := range c.files {
		if f.link == "" && !f.replaced {
			n++
		}
	}
	return n
}

// weigh finds out which files have no name any more, and what they take.
func (c *chain) weigh() {
	c.version++
	names := make(map[uint64]bool, len(c.known))
	for _, id := range c.known {
		names[id.number] = true
	}
	for i := range c.passed {
		c.passed[i].there = names[c.passed[i].Inode]
	}
	var sum int64
	for _, f := range c.files {
		f.named = names[f.id.Inode] && !f.replaced
		if !names[f.twin] {
			f.twin = 0
		}
		var st unix.Stat_t
		switch {
		case f.replaced || f.named:
			f.weight = 0
		case f.weight == 0 && f.stat(&st) == nil:
			f.weight = max(st.Size, 1)
		}
		sum += f.weight
	}
	c.weight.Store(sum)
}

// countMissed counts the files there was no room for and that are gone.
func (c *chain) countMissed(listed []entry) {
	for _, e := range c.waiting {
		there := slices.ContainsFunc(listed, func(l entry) bool {
			return l.restart == e.restart && (l.rotated == e.rotated || e.rotated == "")
		})
		if !there {
			c.missed(missedNoRoom, slog.String("file", e.name))
		}
	}
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

// drop lets go of the first n files, all before the current one, and remembers
// them.
func (c *chain) drop(n int) {
	for _, f := range c.files[:n] {
		f.fingerprint() //nolint:errcheck // what is known of it is what counts
		if size, err := f.size(); !f.replaced && f.end > 0 && err == nil && size > f.end {
			c.missed(missedLate, slog.String("file", f.name), slog.Int64("from", f.end), slog.Int64("to", size))
			c.missedBytes(missedLate, size-f.end)
		}
		if !f.replaced {
			c.passed = append(c.passed, Passed{Inode: cmp.Or(f.twin, f.id.Inode), Print: f.id.Print})
		}
		c.spool.letGo(f)
		f.close()
	}
	c.files = slices.Delete(c.files, 0, n)
	c.at -= n
	c.weigh()
	c.forget()
}

// forget lets the oldest passed files go that are not in the directory any
// more, if there are too many.
func (c *chain) forget() {
	over := len(c.passed) - maxPassed
	c.passed = slices.DeleteFunc(c.passed, func(p Passed) bool {
		over--
		return over >= 0 && !p.there
	})
}

// close closes all files. They stay held.
func (c *chain) close() {
	for _, f := range c.files {
		f.close()
	}
	c.files = nil
	c.weight.Store(0)
}

// leave lets go of all files: they are delivered, or nobody wants them.
func (c *chain) leave() {
	for _, f := range c.files {
		c.spool.letGo(f)
	}
	c.close()
	c.spool.tidy(c.spoolDir)
}

// index is the index of the file with the given place in the chain. Files stay
// in it as long as a position, or an unfinished line, begins in them.
func (c *chain) index(seq int) int {
	i := slices.IndexFunc(c.files, func(f *file) bool { return f.seq == seq })
	if i < 0 {
		panic("BUG: position in a file that was let go")
	}
	return i
}
