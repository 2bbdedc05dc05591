package tail

import (
	"bytes"
	"time"

	"millrace/agent/cri"
)

// dirSettle is how old a directory's time of change must be before a listing
// counts as complete: kernels stamp files with the time of the last tick, so
// two changes within a few milliseconds look like one.
const dirSettle = time.Second

// discover takes files that appeared in the directory into the chain.
func (c *container) discover(now time.Time) error {
	changed, exists, err := c.statDir()
	if err != nil {
		return err
	}
	c.listed.exists = exists
	if !exists || c.listed.settled && changed == c.listed.changed {
		return nil
	}
	chain, err := listChain(c.dir)
	if err != nil {
		return err
	}
	complete, err := c.extend(chain)
	if err != nil {
		return err
	}
	c.listed.changed = changed
	c.listed.settled = complete && now.Sub(time.Unix(changed.Unix())) > dirSettle
	return nil
}

// extend opens the files of chain that are newer than the newest one known.
func (c *container) extend(chain []entry) (complete bool, err error) {
	if len(c.files) == 0 {
		return c.start(chain)
	}
	return c.open(chain[c.newer(chain):])
}

// open appends files to the chain; a file that was deleted meanwhile is left
// out, and so is all that is beyond the limit, for the time being.
func (c *container) open(chain []entry) (complete bool, err error) {
	complete = true
	for _, e := range chain {
		if len(c.files) >= maxHeld {
			return false, nil
		}
		f, err := openFile(c.dir, e)
		if gone(err) {
			complete = false
			continue
		}
		if err != nil {
			// The chain waits at a file that cannot be read: what is behind
			// it must not overtake it.
			return false, err
		}
		c.nextSeq++
		f.seq = c.nextSeq
		c.files = append(c.files, f)
		c.options.metrics.openFiles.Inc()
	}
	return complete, nil
}

// newer is the index in chain of the first file after the newest one known,
// wherever that one has gone: renamed, compressed or deleted.
func (c *container) newer(chain []entry) int {
	newest := c.files[len(c.files)-1]
	for _, compressed := range []bool{false, true} {
		for i, e := range chain {
			if e.gzip == compressed && e.restart == newest.restart && newest.holds(c.dir, e) {
				newest.rotated = e.rotated
				newest.id.Rotated = e.rotated
				return i + 1
			}
		}
	}
	return after(chain, newest.restart, newest.rotated)
}

// after is the index in chain of the first file that is newer than a file
// which is not there any more. Files are deleted oldest first, so that what
// was still being written when it was last seen is older than all that is left
// of its restart.
func after(chain []entry, restart int, rotated string) int {
	for i, e := range chain {
		if e.restart > restart || e.restart == restart && (e.rotated == "" || e.rotated > rotated) {
			return i
		}
	}
	return len(chain)
}

// start finds where to begin in a container that has no open file yet.
func (c *container) start(chain []entry) (complete bool, err error) {
	if len(chain) == 0 {
		return true, nil
	}
	if c.resume != nil {
		return c.goOn(chain)
	}
	complete, err = c.open(chain)
	if err != nil || len(c.files) == 0 {
		return false, err
	}
	if c.options.Config.StartAt == "end" {
		c.skipOld()
	}
	c.begin(Position{File: c.files[c.at].id, Offset: c.offset, Seq: c.files[c.at].seq})
	return complete, nil
}

// begin makes pos the position from which everything counts.
func (c *container) begin(pos Position) {
	c.acks.Begin(pos)
	c.resume = nil
	c.begun.Store(true)
}

// goOn finds the file of the position that was saved.
func (c *container) goOn(chain []entry) (complete bool, err error) {
	saved := *c.resume
	first := saved.begin()
	i, err := c.find(chain, first.File)
	if err != nil {
		return false, err
	}
	if i < 0 {
		c.options.metrics.missed.Inc()
		c.log.Warn("log file was rotated away while it was not followed; its unread lines are lost",
			"restart", first.File.Restart, "rotated", first.File.Rotated, "read", first.Offset)
		i = after(chain, first.File.Restart, first.File.Rotated)
		if i == len(chain) {
			return true, nil
		}
	}
	found := i < len(chain) && c.is(chain[i], first.File)
	c.nextSeq = first.Seq - 1
	complete, err = c.open(chain[i:])
	if err != nil || len(c.files) == 0 {
		return false, err
	}
	if !found {
		c.begin(Position{File: c.files[0].id, Seq: c.files[0].seq})
		return complete, nil
	}
	c.reposition(saved)
	return complete, nil
}

// reposition sets reading to a saved position, whose first file is files[0].
func (c *container) reposition(saved Position) {
	for _, f := range c.files {
		if saved.File.Print.Length > 0 && saved.File.Restart == f.restart && saved.File.Print.begins(f) {
			saved.Seq = f.seq
		}
	}
	for _, m := range []*Mark{saved.Stdout, saved.Stderr} {
		if m == nil {
			continue
		}
		for _, f := range c.files {
			if m.File.Restart == f.restart && m.File.Print.begins(f) {
				m.Seq = f.seq
				break
			}
		}
	}
	first := saved.begin()
	size, err := c.files[0].size()
	if err == nil && size >= 0 && size < first.Offset {
		c.options.metrics.truncated.Inc()
		c.log.Warn("log file is shorter than what was read of it; reading it from its beginning",
			"file", c.files[0].f.Name(), "size", size, "read", first.Offset)
		c.begin(Position{File: c.files[0].id, Seq: c.files[0].seq})
		return
	}
	c.offset = first.Offset
	c.begin(saved)
	c.replay = &saved
}

// find is the index in chain of the file with the identity id, -1 if it is
// gone.
func (c *container) find(chain []entry, id FileID) (int, error) {
	for i, e := range chain {
		if c.is(e, id) {
			return i, nil
		}
	}
	return -1, nil
}

// is says whether the file of e is the one with the identity id: the same
// inode with the same beginning, or the same beginning after compression.
func (c *container) is(e entry, id FileID) bool {
	if e.restart != id.Restart {
		return false
	}
	f, err := openFile(c.dir, e)
	if err != nil {
		return false
	}
	defer f.close()
	if id.Print.Length == 0 {
		// Nothing was in it when it was last seen, and nothing was read.
		return !e.gzip && f.id.Device == id.Device && f.id.Inode == id.Inode
	}
	return id.Print.begins(f)
}

// skipOld begins behind what was written before the agent was started.
func (c *container) skipOld() {
	last := len(c.files) - 1
	f := c.files[last]
	var head [256]byte
	n, _ := f.ReadAt(head[:], 0)
	line, _, _ := bytes.Cut(head[:n], []byte{'\n'})
	if l, ok := cri.Parse(line); ok {
		// The parser has checked what the standard library wants to see.
		at, err := time.Parse(time.RFC3339Nano, string(l.Time))
		if err == nil && at.After(c.options.started) {
			return
		}
	}
	size, err := f.size()
	if err != nil || size < 0 {
		return
	}
	c.at = last
	c.offset = lineStart(f, size)
}

// lineStart is the offset after the last end of line before end.
func lineStart(f *file, end int64) int64 {
	buf := make([]byte, 64<<10)
	for end > 0 {
		n := min(end, int64(len(buf)))
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return end
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1
		}
		end -= n
	}
	return 0
}
