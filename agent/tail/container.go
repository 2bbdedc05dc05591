package tail

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/agent/cri"
	"millrace/internal/pipeline"
)

const (
	// settle is how long a rotated file stays the one that is read after its
	// successor has appeared: kubelet renames first, and the runtime writes
	// to the renamed file until it has opened the new one.
	settle = 500 * time.Millisecond
	// metadataWait bounds how long a container's lines wait for what the API
	// server has not said yet; after it they go without.
	metadataWait = 10 * time.Second
	// maxHeld bounds the open files of one container. What is beyond is
	// opened when earlier files are delivered, unless it is deleted first.
	maxHeld = 64
)

// container follows the log of one container: the chain of files in its
// directory, oldest first. At any time it belongs to one goroutine, the poller
// or a worker, which Source sees to; only acks and failed are shared with
// whoever reports outcomes.
type container struct {
	target   Target
	dir      string
	log      *slog.Logger
	options  *Options
	account  *pipeline.Account
	acks     pipeline.Acks[Position]
	state    state         // guarded by Source.mu
	leaving  atomic.Uint32 // a leaving
	failed   atomic.Bool   // a batch was not delivered: rewind when none is open
	begun    atomic.Bool   // acks has a position
	metadata atomic.Pointer[MetadataFunc]

	files    []*file // files[at] is being read; before it: read, not delivered
	at       int
	offset   int64 // in files[at]
	nextSeq  int
	resume   *Position // from before the start, until the chain is found
	replay   *Position // lines before it have been read, except unfinished ones
	joiners  [2]joiner
	origins  origins
	listed   listing
	rotated  time.Time // when the successor of files[at] was first seen at its end
	quiet    int       // polls in a row without news
	finished bool      // read to the end, for good
	warned   map[string]bool
}

// joiner is the unfinished line of one stream and where it begins.
type joiner struct {
	cri.Joiner
	start Mark
}

// listing remembers what the directory looked like.
type listing struct {
	changed unix.Timespec // the directory's time of change
	settled bool          // it is old enough that nothing can hide behind it
	exists  bool
}

// poll looks whether there is something to do: it costs two system calls
// while there is not.
func (c *container) poll(now time.Time) (news bool) {
	if c.failed.Load() {
		if c.acks.Open() > 0 {
			return false
		}
		c.rewind()
	}
	c.trim()
	if err := c.discover(now); err != nil {
		c.warn("read container log directory", err)
	}
	if c.finished || len(c.files) == 0 {
		return false
	}
	if !c.origins.ready(c, now) {
		return false
	}
	return c.behind(now)
}

// behind says whether a visit would read something or move on.
func (c *container) behind(now time.Time) bool {
	f := c.files[c.at]
	size, err := f.size()
	switch {
	case err != nil:
		c.warn("stat log file", err)
		return false
	case size < 0 || size > c.offset:
		return true
	case size < c.offset:
		c.truncated(size)
		return true
	}
	return c.canAdvance(now) || c.canFinish()
}

// canAdvance says whether the file being read is final and has a successor.
func (c *container) canAdvance(now time.Time) bool {
	switch {
	case c.at+1 >= len(c.files):
		return false
	case c.at+2 < len(c.files), c.files[c.at].gz != nil:
		return true
	case c.rotated.IsZero():
		c.rotated = now
	}
	return now.Sub(c.rotated) >= settle
}

// canFinish says whether nothing can follow what was read.
func (c *container) canFinish() bool {
	if c.at+1 < len(c.files) {
		return false
	}
	why := leaving(c.leaving.Load())
	return why == unfollowed || why == podGone && !c.listed.exists
}

// advance goes on to the next file of the chain.
func (c *container) advance() {
	from := c.files[c.at]
	c.at++
	c.offset = 0
	c.rotated = time.Time{}
	c.log.Debug("next log file", "file", c.files[c.at].name, "after", from.name)
}

// truncated deals with a file that became shorter than what was read of it:
// its content is new, so it continues the chain as if it were another file.
func (c *container) truncated(size int64) {
	f := c.files[c.at]
	c.log.Warn("log file was truncated in place; reading it from its beginning",
		"file", f.f.Name(), "size", size, "read", c.offset)
	c.options.metrics.truncated.Inc()
	again, err := openFile(c.dir, f.entry)
	if err != nil {
		c.warn("open truncated log file", err)
		return
	}
	c.nextSeq++
	again.seq = c.nextSeq
	rest := append([]*file{again}, c.files[c.at+1:]...)
	for _, later := range rest[1:] {
		c.nextSeq++
		later.seq = c.nextSeq
	}
	c.files = append(c.files[:c.at+1], rest...)
	c.advance()
}

// trim closes files that are delivered to the end.
func (c *container) trim() {
	if c.at == 0 {
		return
	}
	low := c.acks.Low()
	first := low.begin()
	for c.at > 0 && c.files[0].seq < first.Seq {
		c.files[0].close()
		c.options.metrics.openFiles.Dec()
		c.files = append(c.files[:0], c.files[1:]...)
		c.at--
	}
}

// rewind goes back to the last position up to which everything is delivered.
func (c *container) rewind() {
	c.failed.Store(false)
	pos := c.acks.Rewind()
	for i := range c.joiners {
		c.joiners[i].Drop()
	}
	c.finished = false
	c.rotated = time.Time{}
	first := pos.begin()
	for i, f := range c.files {
		if f.seq == first.Seq {
			c.at, c.offset = i, first.Offset
			c.replay = &pos
			return
		}
	}
	// Without a file the container has not begun: resume is still in place.
	if len(c.files) > 0 {
		c.at, c.offset, c.replay = 0, 0, nil
	}
}

// position is where reading has got to.
func (c *container) position() Position {
	f := c.files[c.at]
	p := Position{File: c.identity(f), Offset: c.offset, Seq: f.seq}
	for i, mark := range []**Mark{&p.Stdout, &p.Stderr} {
		if c.joiners[i].Open() {
			start := c.joiners[i].start
			start.File = c.identity(c.fileAt(start.Seq))
			*mark = &start
		}
	}
	return p
}

// identity is the file's, with a fingerprint of what is there by now.
func (c *container) identity(f *file) FileID {
	if err := f.fingerprint(); err != nil {
		c.warn("read log file", err)
	}
	return f.id
}

// fileAt is the open file with the given place in the chain. Files stay open
// as long as a position, or an unfinished line, begins in them.
func (c *container) fileAt(seq int) *file {
	for _, f := range c.files {
		if f.seq == seq {
			return f
		}
	}
	panic("BUG: position in a file that was let go")
}

// close lets go of the files.
func (c *container) close() {
	for _, f := range c.files {
		f.close()
		c.options.metrics.openFiles.Dec()
	}
	c.files = nil
}

// warn counts trouble with this container's files, and logs it the first time
// for each thing that was being done; the other containers go on.
func (c *container) warn(doing string, err error) {
	c.options.metrics.errors.Inc()
	if c.once(doing) {
		c.log.Warn("trouble with a log file, tried again; other containers are not affected", "doing", doing, "error", err)
	}
}

// once says yes the first time it is asked about a thing.
func (c *container) once(thing string) bool {
	if c.warned[thing] {
		return false
	}
	if c.warned == nil {
		c.warned = map[string]bool{}
	}
	c.warned[thing] = true
	return true
}

// statDir reads the directory's time of change.
func (c *container) statDir() (changed unix.Timespec, exists bool, err error) {
	var st unix.Stat_t
	switch err := unix.Stat(c.dir, &st); err {
	case nil:
		return st.Mtim, true, nil
	case unix.ENOENT:
		return unix.Timespec{}, false, nil
	default:
		return unix.Timespec{}, false, fmt.Errorf("stat %q: %w", c.dir, err)
	}
}
