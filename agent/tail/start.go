package tail

import (
	"bytes"
	"io"
	"log/slog"
	"time"

	"millrace/agent/cri"
)

// start finds out where to begin, once the chain has files. It does not begin
// while all there is has been delivered.
func (c *container) start() {
	if c.resume != nil {
		c.chain.pass(c.resume.Passed)
	}
	if len(c.chain.files) == 0 {
		return
	}
	switch {
	case c.resume != nil && c.resume.Left:
		c.begin(c.chain.firstSince(c.followed))
	case c.resume != nil:
		c.goOn(c.resume.clone())
	case c.options.Config.StartAt == "end":
		c.begin(c.chain.firstSince(c.options.since))
	default:
		c.chain.countGap(0)
		c.begin(0, 0)
	}
}

// begin makes an offset in the i-th file the position from which everything
// counts.
func (c *container) begin(i int, off int64) {
	c.chain.at = i
	c.chain.drop(i)
	f := c.chain.current()
	c.offset = off
	c.announce = c.options.Transactional
	c.beginAt(Position{File: c.identity(f), Offset: off, Seq: f.seq})
}

func (c *container) beginAt(pos Position) {
	c.complete(&pos)
	for _, f := range c.chain.files {
		if f.given != nil && f.seq >= pos.Seq {
			c.countGiven(f, &pos)
		}
	}
	c.acks.Begin(pos)
	c.resume, c.chain.begun = nil, true
	c.begun.Store(true)
}

// goOn begins where a saved position says. An unfinished line whose beginning
// is gone is given up; so is what was not read of a file that is gone.
func (c *container) goOn(saved Position) {
	rebooted := saved.Boot != "" && saved.Boot != c.options.BootID
	i := c.chain.find(saved.File, saved.Offset, rebooted)
	if i < 0 {
		c.goOnWithout(&saved, rebooted)
		return
	}
	i = c.chain.reorder(i, &saved.File)
	c.chain.countGap(i)
	f := c.chain.files[i]
	if size, err := f.size(); !f.replaced && err == nil && size >= 0 && size < saved.Offset {
		c.goOnShorter(i, size, rebooted)
		return
	}
	first := i
	saved.File, saved.Seq = c.identity(f), f.seq
	for _, mark := range []**Mark{&saved.Stdout, &saved.Stderr} {
		if *mark == nil {
			continue
		}
		j := c.chain.find((*mark).File, (*mark).Offset, rebooted)
		if j < 0 || j > i || c.chain.files[j].replaced {
			c.chain.missed(missedBeginning, slog.Int64("offset", (*mark).Offset))
			*mark = nil
			continue
		}
		(*mark).Seq = c.chain.files[j].seq
		first = min(first, j)
	}
	c.chain.at = first
	c.chain.drop(first)
	c.offset = saved.begin().Offset
	c.beginAt(saved)
	for i := range c.joiners {
		c.joiners[i].discard = saved.Discard[i]
	}
	c.replay = &saved
}

// goOnShorter begins in a file that has less in it than was read. Either it
// was truncated, and what it holds is new; or the node went down before all of
// it was on the disk: then what it holds was read, and goes on from there.
func (c *container) goOnShorter(i int, size int64, rebooted bool) {
	f := c.chain.files[i]
	if rebooted {
		c.chain.missed(missedCrash, slog.String("file", f.where()), slog.Int64("size", size))
		c.begin(i, size)
		return
	}
	c.options.metrics.truncated.Inc()
	c.log.Warn("log file is shorter than what was read of it; reading it from its beginning",
		"file", f.where(), "size", size)
	c.begin(i, 0)
}

// goOnWithout begins behind a file that is not there any more, or not with
// what was read of it.
func (c *container) goOnWithout(saved *Position, rebooted bool) {
	for i, f := range c.chain.files {
		same := f.id.Inode == saved.File.Inode && f.restart == saved.File.Restart && !f.gzip && !f.replaced
		size, err := f.size()
		switch {
		case !same || err != nil:
		case rebooted && size < min(saved.Offset, int64(saved.File.Print.Length)):
			c.goOnShorter(i, size, true)
			return
		case f.inherited && f.id.Device == saved.File.Device:
			// It was held all the time: no other file can have its inode.
			c.goOnShorter(i, size, false)
			return
		}
	}
	c.chain.missed(missedDeleted, slog.Int("restart", saved.File.Restart),
		slog.String("rotated", saved.File.Rotated), slog.Int64("read", saved.Offset))
	if i := c.chain.after(saved); i < len(c.chain.files) {
		c.begin(i, 0)
		return
	}
	c.begin(c.chain.endOf(len(c.chain.files) - 1))
}

// endOf is the end of what is written to the i-th file: the place after its
// last end of line.
func (c *chain) endOf(i int) (int, int64) {
	f := c.files[i]
	var off int64
	c.eachLine(f, func(_ []byte, end int64) bool {
		off = end
		return true
	})
	return i, off
}

// firstSince is the place of the first line written since a moment, or the end
// of the last file if there is none yet.
func (c *chain) firstSince(moment time.Time) (int, int64) {
	place, offset := c.endOf(len(c.files) - 1)
	for i := len(c.files) - 1; i >= 0; i-- {
		first, whole := true, false
		c.eachLine(c.files[i], func(line []byte, end int64) bool {
			young := since(line, moment)
			if young {
				place, offset, whole = i, end-int64(len(line))-1, first
			}
			first = false
			return !young
		})
		if !whole {
			break
		}
	}
	return place, offset
}

// since says whether a line was written at a moment or later.
func since(line []byte, moment time.Time) bool {
	l, ok := cri.Parse(line)
	if !ok {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, string(l.Time))
	return err == nil && !at.Before(moment)
}

// eachLine calls yield with the finished lines of a file, as far as they fit a
// buffer, and the place after each, until it says no. Only the agent's first
// look at a container reads a file twice.
func (c *chain) eachLine(f *file, yield func(line []byte, end int64) bool) {
	buf := make([]byte, rawSize)
	for off := int64(0); ; {
		n, err := f.ReadAt(buf, off)
		data := buf[:n]
		for {
			i := bytes.IndexByte(data, '\n')
			if i < 0 {
				break
			}
			off += int64(i) + 1
			if !yield(data[:i], off) {
				return
			}
			data = data[i+1:]
		}
		if err != nil {
			if err != io.EOF {
				c.log.Warn("trouble with a log file", "doing", "look for the place to begin", "error", err)
			}
			return
		}
		if len(data) == n {
			off += int64(n) // a line longer than the buffer
		}
	}
}
