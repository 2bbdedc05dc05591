package tail

import (
	"bytes"
	"io"
	"log/slog"
	"time"

	"millrace/agent/cri"
)

// start finds out where to begin, once the chain has files.
func (c *container) start() {
	switch {
	case c.resume != nil && c.resume.Left:
		c.begin(c.chain.firstSince(c.followed))
	case c.resume != nil:
		c.goOn(c.resume.clone())
	case c.options.Config.StartAt == "end":
		c.begin(c.chain.firstSince(c.options.started))
	default:
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
	c.acks.Begin(pos)
	c.resume = nil
	c.begun.Store(true)
}

// goOn begins where a saved position says. An unfinished line whose beginning
// is gone is given up; so is what was not read of a file that is gone.
func (c *container) goOn(saved Position) {
	i := c.chain.find(&saved.File)
	if i < 0 {
		c.chain.missed("it was deleted while it was not followed", slog.Int("restart", saved.File.Restart),
			slog.String("rotated", saved.File.Rotated), slog.Int64("read", saved.Offset))
		if i = c.chain.after(&saved.File); i == len(c.chain.files) {
			i = len(c.chain.files) - 1
			c.begin(c.chain.endOf(i))
			return
		}
		c.begin(i, 0)
		return
	}
	if size, err := c.chain.files[i].size(); err == nil && size >= 0 && size < saved.Offset {
		c.options.metrics.truncated.Inc()
		c.log.Warn("log file is shorter than what was read of it; reading it from its beginning",
			"file", c.chain.files[i].f.Name(), "size", size, "read", saved.Offset)
		c.begin(i, 0)
		return
	}
	first := i
	saved.Seq = c.chain.files[i].seq
	for _, mark := range []**Mark{&saved.Stdout, &saved.Stderr} {
		if *mark == nil {
			continue
		}
		j := c.chain.find(&(*mark).File)
		if j < 0 || j > i {
			c.chain.missed("the beginning of an unfinished line was deleted while it was not followed", slog.Int64("offset", (*mark).Offset))
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
	c.replay = &saved
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
