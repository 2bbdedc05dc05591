package tail

import (
	"bytes"
	"io"
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

// reached is the position in a batch's span.
type reached struct {
	container *container
	position  Position
}

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
	// After a failure nothing is read until the poller has gone back.
	if c.failed.Load() || c.finished || len(c.files) == 0 || !c.origins.ready(c, b.now) {
		return false
	}
	b.Begin(c.account)
	more = c.fill(b)
	span := &b.Spans[len(b.Spans)-1]
	if span.Records() == 0 {
		b.Spans = b.Spans[:len(b.Spans)-1]
		return more
	}
	pos := c.position()
	span.Position = &reached{container: c, position: pos}
	span.Seq = c.acks.Add(pos)
	return more
}

func (c *container) fill(b *filling) (more bool) {
	for !b.full() {
		n, err := c.chunk(b, false)
		switch {
		case err != nil:
			c.warn("read log file", err)
			return false
		case n > 0:
			continue
		case b.full():
			return true
		case c.canAdvance(b.now):
			restarted := c.files[c.at+1].restart != c.files[c.at].restart
			c.final(b, restarted)
			c.advance()
			if restarted {
				// Another container id, another image: other origins.
				return true
			}
		case c.canFinish():
			c.final(b, true)
			c.finished = true
			return false
		default:
			return false
		}
	}
	return true
}

// final takes what is left of a file that will not grow any more: text without
// an end of line, and with it pieces whose rest can never come.
func (c *container) final(b *filling, ends bool) {
	if _, err := c.chunk(b, true); err != nil {
		c.warn("read log file", err)
	}
	for i := range c.joiners {
		if j := &c.joiners[i]; ends && j.Open() {
			time, text, cut := j.Take()
			l := cri.Line{Time: b.Mem.Copy(time), Stderr: i == 1, Tag: []byte("P"), Text: b.Mem.Copy(text)}
			c.add(b, &l, cut)
		}
	}
}

// chunk reads one piece of the file and takes the whole lines in it. It
// returns how many bytes of the file they were: 0 at the end of the file, or
// when the batch has no room.
func (c *container) chunk(b *filling, final bool) (taken int, err error) {
	f := c.files[c.at]
	want := min(rawSize-b.raw, rawSize)
	b.Mem.Grow(want)
	for {
		space := b.Mem.Free()[:want]
		n, err := f.ReadAt(space, c.offset)
		if err != nil && err != io.EOF {
			return 0, err
		}
		data := space[:n]
		if end := bytes.LastIndexByte(data, '\n') + 1; end > 0 && !final {
			b.Mem.Reserve(end)
			return c.lines(b, data[:end]), nil
		}
		switch {
		case n == 0, n < want && !final:
			return 0, nil
		case n < want:
			b.Mem.Reserve(n)
			return c.lines(b, data), nil
		case len(b.Records) > 0:
			// The line needs a batch of its own.
			b.raw = rawSize
			return 0, nil
		case want < c.longest():
			want = min(2*want, c.longest())
			b.Mem.Grow(want)
		default:
			b.Mem.Reserve(n)
			return c.longLine(b, data)
		}
	}
}

// longest is the length of line beyond which the rest is not kept.
func (c *container) longest() int { return int(c.options.Config.MaxLine) + headLength }

// longLine takes the beginning of a line that is longer than any limit and
// passes over the rest, once its end is there.
func (c *container) longLine(b *filling, head []byte) (taken int, err error) {
	f := c.files[c.at]
	buf := make([]byte, rawSize)
	for off := c.offset + int64(len(head)); ; {
		n, err := f.ReadAt(buf, off)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			length := int(off-c.offset) + i
			c.line(b, head, c.offset, true)
			c.offset += int64(length) + 1
			b.raw = rawSize
			return length + 1, nil
		}
		if err != nil && err != io.EOF {
			return 0, err
		}
		if n < len(buf) {
			return 0, nil
		}
		off += int64(n)
	}
}

// lines takes lines until the batch is full and returns their length.
func (c *container) lines(b *filling, data []byte) (taken int) {
	for len(data) > taken && b.encoded < encodedSize {
		rest := data[taken:]
		end := bytes.IndexByte(rest, '\n')
		next := end + 1
		if end < 0 {
			end, next = len(rest), len(rest)
		}
		c.line(b, rest[:end], c.offset, false)
		taken += next
		c.offset += int64(next)
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
	if l.Partial() {
		if !j.Open() {
			j.start = Mark{Offset: off, Seq: c.files[c.at].seq}
		}
		j.Add(&l, int(c.options.Config.MaxLine))
		return
	}
	if j.Open() {
		j.Add(&l, int(c.options.Config.MaxLine))
		time, text, short := j.Take()
		l.Time, l.Text, cut = b.Mem.Copy(time), b.Mem.Copy(text), cut || short
	}
	c.add(b, &l, cut)
}

// wasRead says whether a line counts as read already, because reading began
// before the saved position to find the pieces of an unfinished line again.
func (c *container) wasRead(l *cri.Line, ok bool, off int64) bool {
	seq := c.files[c.at].seq
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
			"file", c.files[c.at].f.Name(), "offset", c.offset)
	}
	at := b.Mem.Reserve(len(time.RFC3339Nano))[:0]
	l := cri.Line{Time: b.now.UTC().AppendFormat(at, time.RFC3339Nano), Text: line}
	c.add(b, &l, cut)
	b.Records[len(b.Records)-1].Origin = c.origins.none
}
