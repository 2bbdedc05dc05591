package tail

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"time"
	"unicode/utf8"

	"millrace/agent/cri"
	"millrace/internal/pipeline"
)

const (
	// rawSize is how many bytes of log a batch takes in.
	rawSize = 64 << 10
	// encodedSize bounds the estimated size of a batch's encoded records,
	// most of which is the metadata that each record carries.
	encodedSize = 512 << 10
	// recordOverhead is the estimate for a record's keys and time stamp.
	recordOverhead = 128
	// headLength bounds what precedes the text in a line of a container
	// runtime.
	headLength = 256
	// minSpace is the room a batch must have left for another container.
	minSpace = 4 << 10
)

// filling is a batch while a worker reads into it.
type filling struct {
	*pipeline.Batch
	raw, encoded int
	now          time.Time
}

func (b *filling) full() bool {
	return b.raw > rawSize-minSpace || b.encoded >= encodedSize
}

// visit reads what is new into b, until there is nothing more for now or b is
// full; more says which. The records and the position they reach are a span of
// the batch.
func (c *container) visit(b *filling) (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// After a failure nothing is read until the poller has gone back.
	if c.failed.Load() || c.finished.Load() || !c.origins.ready(c, b.now) {
		return false
	}
	b.Begin(c.account)
	more = c.fill(b)
	span := &b.Spans[len(b.Spans)-1]
	if span.Records() == 0 && !c.announce {
		b.Spans = b.Spans[:len(b.Spans)-1]
		return more
	}
	c.announce = false
	c.records += int64(span.Records())
	pos := c.position()
	r := &reached{container: c, key: c.target.Key, read: pos}
	r.position = &r.read
	span.Position = r
	span.Seq = c.acks.Add(pos)
	return more
}

func (c *container) fill(b *filling) (more bool) {
	for !b.full() {
		n, err := c.chunk(b, false)
		switch {
		case n > 0:
			continue
		case b.full():
			return true
		case err != nil:
			c.warn("read log file", err)
			if !c.canAdvance(b.now) || errors.Is(err, errNotOpen) {
				return false
			}
			// It will not get better, and others wait behind it.
			c.chain.missed(missedUnreadable, slog.String("file", c.chain.current().name), slog.Int64("from", c.offset))
			c.next(b)
		case c.canAdvance(b.now):
			if c.next(b) {
				return true
			}
		case c.canFinish():
			c.final(b, true)
			c.finished.Store(true)
			return false
		default:
			return false
		}
	}
	return true
}

// next goes on to the next file. restarted says that it is of another run of
// the container, with another id and image: other origins.
func (c *container) next(b *filling) (restarted bool) {
	restarted = c.chain.files[c.chain.at+1].restart != c.chain.current().restart
	c.final(b, c.chain.anew())
	c.advance(b.now, int64(b.Spans[len(b.Spans)-1].Records()))
	for i := range c.joiners {
		if j := &c.joiners[i]; j.Open() && c.chain.at-c.chain.index(j.start.Seq) >= maxLineFiles {
			c.flush(b, i, true)
			j.discard = true
		}
	}
	return restarted
}

// final takes what is left of a file that will not grow any more: text without
// an end of line, and with it pieces whose rest can never come.
func (c *container) final(b *filling, ends bool) {
	if f := c.chain.current(); f.replaced {
		c.skip(f)
	}
	if _, err := c.chunk(b, true); err != nil {
		c.warn("read the end of a log file", err)
	}
	for i := range c.joiners {
		if !ends {
			continue
		}
		if c.joiners[i].Open() {
			c.flush(b, i, false)
		}
		c.joiners[i].discard = false
	}
}

// flush makes a record of an unfinished line.
func (c *container) flush(b *filling, i int, short bool) {
	time, text, cut := c.joiners[i].Take()
	l := cri.Line{Time: b.Mem.Copy(time), Stderr: i == 1, Tag: []byte("P"), Text: b.Mem.Copy(text)}
	c.joiners[i].Drop()
	c.add(b, &l, cut || short)
}

// chunk reads one piece of the file and takes the whole lines in it, or what
// is left when the file is final. It returns how many bytes of the file they
// were: 0 at the end of the file, or when the batch has no room.
func (c *container) chunk(b *filling, final bool) (taken int, err error) {
	f := c.chain.current()
	want := rawSize - b.raw
	if final {
		want = rawSize
	}
	b.Mem.Grow(want)
	for {
		space := b.Mem.Free()[:want]
		n, err := f.ReadAt(space, c.offset)
		atEnd := err == io.EOF
		if n == 0 {
			if atEnd {
				err = nil
			}
			return 0, err
		}
		data := space[:n]
		end := bytes.LastIndexByte(data, '\n') + 1
		switch {
		case end > 0:
			b.Mem.Reserve(end)
			taken += c.lines(b, data[:end], final)
			if !final || taken < end {
				return taken, nil
			}
			// What follows the last end of line is the rest of the file.
			want = rawSize
			b.Mem.Grow(want)
		case n < want && final:
			b.Mem.Reserve(n)
			return taken + c.lines(b, data, true), nil
		case n < want:
			c.scanned = c.offset + int64(n)
			if atEnd {
				err = nil
			}
			return 0, err
		case len(b.Records) > 0 && !final:
			// The line needs a batch of its own.
			b.raw = rawSize
			return 0, nil
		case want < c.longest():
			want = min(2*want, c.longest())
			b.Mem.Grow(want)
		default:
			b.Mem.Reserve(n)
			return c.longLine(b, data, final)
		}
	}
}

// longest is the length of line beyond which the rest is not kept.
func (c *container) longest() int { return int(c.options.Config.MaxLine) + headLength }

// longLine takes the beginning of a line that is longer than any limit and
// passes over the rest, once its end is there.
func (c *container) longLine(b *filling, head []byte, final bool) (taken int, err error) {
	f := c.chain.current()
	buf := make([]byte, rawSize)
	for off := max(c.offset+int64(len(head)), c.scanned); ; {
		n, err := f.ReadAt(buf, off)
		i := bytes.IndexByte(buf[:n], '\n')
		if i < 0 && n == len(buf) {
			off += int64(n)
			continue
		}
		if i < 0 && !final {
			c.scanned = off + int64(n)
			if err == io.EOF {
				err = nil
			}
			return 0, err
		}
		next := off + int64(n)
		if i >= 0 {
			next = off + int64(i) + 1
		}
		c.line(b, head, c.offset, true)
		taken = int(next - c.offset)
		c.seek(next)
		b.raw = rawSize
		return taken, nil
	}
}

// lines takes lines until the batch is full, or all of them, and returns their
// length.
func (c *container) lines(b *filling, data []byte, all bool) (taken int) {
	for len(data) > taken && (all || b.encoded < encodedSize) {
		rest := data[taken:]
		end := bytes.IndexByte(rest, '\n')
		next := end + 1
		if end < 0 {
			end, next = len(rest), len(rest)
		}
		c.line(b, rest[:end], c.offset, false)
		taken += next
		c.seek(c.offset + int64(next))
	}
	b.raw += taken
	return taken
}

// line turns one line of a file, which begins at off, into a record or adds it
// to an unfinished one.
func (c *container) line(b *filling, line []byte, off int64, cut bool) {
	l, ok := cri.Parse(line)
	if c.replay != nil && c.wasRead(&l, ok, off) {
		return
	}
	if !ok {
		c.unparsed(b, line, cut)
		return
	}
	if !c.options.Config.JoinPartial {
		c.add(b, &l, cut)
		return
	}
	i := 0
	if l.Stderr {
		i = 1
	}
	j := &c.joiners[i]
	if j.discard {
		j.discard = l.Partial()
		return
	}
	if l.Partial() {
		if !j.Open() {
			j.start = Mark{Offset: off, Seq: c.chain.current().seq}
		}
		j.Add(&l, int(c.options.Config.MaxLine))
		return
	}
	if j.Open() {
		j.Add(&l, int(c.options.Config.MaxLine))
		time, text, short := j.Take()
		l.Time, l.Text, cut = b.Mem.Copy(time), b.Mem.Copy(text), cut || short
		j.Drop()
	}
	c.add(b, &l, cut)
}

// wasRead says whether a line counts as read already, because reading began
// before the saved position to find the pieces of an unfinished line again.
func (c *container) wasRead(l *cri.Line, ok bool, off int64) bool {
	seq := c.chain.current().seq
	if seq > c.replay.Seq || seq == c.replay.Seq && off >= c.replay.Offset {
		c.replay = nil
		return false
	}
	if !ok {
		return true
	}
	start := c.replay.Stdout
	if l.Stderr {
		start = c.replay.Stderr
	}
	return start == nil || seq < start.Seq || seq == start.Seq && off < start.Offset
}

// add makes a record of a whole line.
func (c *container) add(b *filling, l *cri.Line, cut bool) {
	text := bytes.TrimSuffix(l.Text, []byte{'\r'})
	if limit := int(c.options.Config.MaxLine); len(text) > limit {
		text, cut = text[:limit], true
	}
	if cut {
		text = wholeRunes(text)
		c.account.Cut.Add(1)
	}
	o := c.origins.stdout
	if l.Stderr {
		o = c.origins.stderr
	}
	r := b.Add()
	r.Origin, r.Time, r.Tag, r.Message, r.Cut = o, l.Time, l.Tag, text, cut
	b.encoded += recordOverhead + len(o.Tail) + len(text)
}

// wholeRunes takes an incomplete UTF-8 sequence off the end of a cut text.
func wholeRunes(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}

// unparsed makes a record of a line that no container runtime wrote.
func (c *container) unparsed(b *filling, line []byte, cut bool) {
	c.account.Unparsed.Add(1)
	if c.once("unparsed") {
		c.log.Warn("log file holds a line that is not of the form TIME STREAM TAG TEXT; such lines are sent as they are",
			"file", c.chain.current().where(), "offset", c.offset)
	}
	at := b.Mem.Reserve(len(time.RFC3339Nano))[:0]
	l := cri.Line{Time: b.now.UTC().AppendFormat(at, time.RFC3339Nano), Text: line}
	c.add(b, &l, cut)
	b.Records[len(b.Records)-1].Origin = c.origins.none
}
