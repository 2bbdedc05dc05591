package tail

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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
	// lateWait is how long a file stays open after it was left, to see whether
	// the runtime wrote to it even later.
	lateWait = 10 * time.Second
	// maxLineFiles bounds the files that a line may stretch over before it is
	// sent as far as it goes: it keeps all of them open.
	maxLineFiles = 4
)

// container follows the log of one container. What reading needs is guarded by
// mu, which the poller and a worker hold while they look or read, and nobody
// while waiting for anything. state orders reading and emitting: only the
// worker that took the container reads, and gives it back after its batch was
// emitted.
type container struct {
	target   Target
	log      *slog.Logger
	options  *Options
	account  *pipeline.Account
	acks     pipeline.Acks[Position]
	state    state         // guarded by Source.mu
	leaving  atomic.Uint32 // a leaving
	failed   atomic.Bool   // a batch was not delivered: rewind when none is open
	begun    atomic.Bool   // acks has a position
	finished atomic.Bool   // read to the end, for good
	metadata atomic.Pointer[MetadataFunc]

	mu       sync.Mutex
	chain    chain
	offset   int64 // in the chain's current file
	records  int64 // emitted, and not rewound
	followed time.Time
	awaiting bool      // the committed position is not known yet
	announce bool      // the position counts even if no record leads there
	resume   *Position // from before the start, until the chain is found
	replay   *Position // lines before it have been read, except unfinished ones
	joiners  [2]joiner
	origins  origins
	scanned  int64     // there is no end of line before it in the current file
	seen     int64     // size that the current file had when there was news
	rotated  time.Time // when the current file's successor was first seen at its end
	warned   map[string]bool

	quiet int // polls in a row without news; the poller's own
}

// joiner is the unfinished line of one stream and where it begins.
type joiner struct {
	cri.Joiner
	start Mark
	// discard says that the line was sent as far as it goes: its other pieces
	// are passed over.
	discard bool
}

// poll takes in what is new in the directory and says whether there is
// something to read: it costs two system calls while there is not.
func (c *container) poll(now time.Time) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed.Load() && c.acks.Open() == 0 {
		c.rewind()
	}
	c.trim(now)
	c.chain.read = c.offset
	if err := c.chain.update(now); err != nil {
		c.warn("look for log files", err)
	}
	if c.awaiting || len(c.chain.files) == 0 {
		return false
	}
	if !c.begun.Load() {
		if c.start(); !c.begun.Load() {
			return false
		}
	}
	if c.finished.Load() {
		if leaving(c.leaving.Load()) != staying {
			return false
		}
		c.finished.Store(false)
	}
	return !c.failed.Load() && c.origins.ready(c, now) && (c.announce || c.behind(now))
}

// behind says whether a visit would read something or move on.
func (c *container) behind(now time.Time) bool {
	f := c.chain.current()
	if f.replaced {
		return c.canAdvance(now) || c.canFinish()
	}
	size, err := f.size()
	switch {
	case err != nil:
		c.warn("stat log file", err)
		return false
	case size < 0:
		return true
	case size < c.offset, size > c.offset && f.id.Print.Length > 0 && !f.id.Print.begins(f):
		c.truncated(size, now)
		return true
	case size > c.offset && size > c.scanned:
		c.seen = size
		return true
	}
	return c.canAdvance(now) || c.canFinish()
}

// canAdvance says whether the file being read is final and has a successor.
func (c *container) canAdvance(now time.Time) bool {
	f := c.chain.current()
	switch left := len(c.chain.files) - c.chain.at - 1; {
	case left == 0:
		return false
	case left > 1, f.gzip, f.replaced:
		return true
	case c.rotated.IsZero():
		c.rotated = now
	}
	return now.Sub(c.rotated) >= settle
}

// canFinish says whether nothing can follow what was read.
func (c *container) canFinish() bool {
	if c.chain.at+1 < len(c.chain.files) {
		return false
	}
	why := leaving(c.leaving.Load())
	return why == unfollowed || why == podGone && !c.chain.exists
}

// advance goes on to the next file of the chain. inSpan are the records read
// by then that c.records does not have yet.
func (c *container) advance(now time.Time, inSpan int64) {
	from := c.chain.current()
	from.end, from.left, from.records = c.offset, now, c.records+inSpan
	if !from.skipped {
		from.unfinished = c.unfinished()
	}
	c.identity(from) // it may have grown, and is to be known again
	from.rest()
	c.chain.at++
	c.seek(0)
	c.seen = 0
	c.lose(inSpan)
	c.announce = true // or the file would be held until the next line
	c.log.Debug("next log file", "file", c.chain.current().name, "after", from.name)
}

// seek makes off the place in the current file where reading goes on.
func (c *container) seek(off int64) {
	c.offset, c.scanned = off, 0
	c.rotated = time.Time{}
}

// truncated deals with a file whose content was replaced in place: the new
// content continues the chain as if it were another file. What was not read of
// the old one is read from a copy, if there is one.
func (c *container) truncated(size int64, now time.Time) {
	f := c.chain.current()
	c.log.Warn("log file was truncated in place; reading it from its beginning",
		"file", f.where(), "size", size, "read", c.offset)
	c.options.metrics.truncated.Inc()
	again := *f
	again.id = FileID{Restart: f.restart, Rotated: f.rotated, Device: f.id.Device, Inode: f.id.Inode}
	again.twin, again.copy, again.records = 0, "", 0
	original, err := c.chain.copyOf(f, c.offset)
	if err != nil {
		c.warn("open the copy of a truncated log file", err)
	}
	f.f, f.gz, f.link = nil, nil, ""
	if err := again.fingerprint(); err != nil {
		c.warn("read truncated log file", err)
	}
	if original != nil {
		f.entry, f.id.Device, f.id.Inode, f.id.Rotated, f.f = original.entry, original.id.Device, original.id.Inode, original.rotated, original.f
		f.twin, f.copy = 0, ""
		c.chain.insert(&again)
		c.chain.spool.hold(f, c.chain.spoolDir)
		return
	}
	f.replaced = true
	if unread := c.seen - c.offset; unread > 0 {
		c.chain.missed(missedTruncated, slog.String("file", f.name), slog.Int64("from", c.offset), slog.Int64("to", c.seen))
		c.chain.missedBytes(missedTruncated, unread)
	}
	c.chain.insert(&again)
	c.advance(now, 0)
}

// trim closes files that are delivered to the end.
func (c *container) trim(now time.Time) {
	if c.chain.at == 0 {
		return
	}
	low := c.acks.Low()
	first := low.begin()
	n := 0
	for n < c.chain.at && c.chain.files[n].seq < first.Seq && now.Sub(c.chain.files[n].left) >= lateWait {
		n++
	}
	if n > 0 {
		c.chain.drop(n)
	}
}

// rewind goes back to the last position up to which everything is delivered.
func (c *container) rewind() {
	c.failed.Store(false)
	c.announce = c.options.Transactional
	pos := c.acks.Rewind()
	c.account.Rewound()
	for i := range c.joiners {
		c.joiners[i].Drop()
		c.joiners[i].discard = pos.Discard[i]
	}
	c.finished.Store(false)
	c.records = pos.records
	first := pos.begin()
	c.chain.current().rest()
	c.chain.at, c.replay = c.chain.index(first.Seq), &pos
	c.seek(first.Offset)
	c.lose(0)
}

// lose takes in that reading has come to a file whose content is gone: records
// that were read of it and not delivered cannot be read again.
func (c *container) lose(inSpan int64) {
	f := c.chain.current()
	lost := f.records - c.records - inSpan
	if !f.replaced || lost <= 0 {
		return
	}
	c.records += lost
	if f.lost {
		return
	}
	f.lost = true
	c.account.Lost(lost, f.why())
	if f.given == nil {
		c.chain.missed(missedTruncated, slog.String("file", f.name), slog.Int64("records", lost))
	}
}

// unfinished says in which stream a line has begun and not ended.
func (c *container) unfinished() [2]bool {
	return [2]bool{c.joiners[0].Open(), c.joiners[1].Open()}
}

// position is where reading has got to.
func (c *container) position() Position {
	f := c.chain.current()
	p := Position{File: c.identity(f), Offset: c.offset, Seq: f.seq, records: c.records}
	for i, mark := range []**Mark{&p.Stdout, &p.Stderr} {
		p.Discard[i] = c.joiners[i].discard
		if c.joiners[i].Open() {
			start := c.joiners[i].start
			start.File = c.identity(c.chain.files[c.chain.index(start.Seq)])
			*mark = &start
		}
	}
	c.complete(&p)
	return p
}

// complete adds to a position what is known of the files before it.
func (c *container) complete(p *Position) {
	p.Boot = c.options.BootID
	p.Passed = c.chain.delivered(p.begin().Seq)
}

// identity is the file's, with a fingerprint of what is there by now.
func (c *container) identity(f *file) FileID {
	if err := f.fingerprint(); err != nil {
		c.warn("read log file", err)
	}
	return f.id
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
