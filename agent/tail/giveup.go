package tail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"millrace/agent/cri"
	"millrace/internal/pipeline"
)

// noteSuffix marks the note that takes the place of a link whose file was
// given up, so that a restart counts nothing twice.
const noteSuffix = ".given-up"

// given is what was given up of a file.
type given struct {
	From int64 `json:"from"` // content before it had been read
	To   int64 `json:"to"`   // its end; of a compressed file, in content
	// Records are those that begin or go on after From and end in the file.
	Records int64 `json:"records"`
	// Ended says for which stream there is one, and Open for which the last
	// line goes on in the next file.
	Ended [2]bool `json:"ended"`
	Open  [2]bool `json:"open"`
	// Counted says that Records are in the ledger.
	Counted bool `json:"counted"`
}

// note is the content of the note.
type note struct {
	Version int    `json:"version"`
	File    FileID `json:"file"`
	given
}

func parseNote(data []byte) (note, error) {
	var n note
	err := json.Unmarshal(data, &n)
	switch {
	case n.Version > spoolVersion:
		return note{}, fmt.Errorf("its version is %d and this millrace knows versions up to %d: run the millrace that wrote it, or a later one", n.Version, spoolVersion)
	case err != nil:
		return note{}, err
	case n.Version < 1:
		return note{}, errors.New("it names no version")
	}
	return n, nil
}

// readNote is the file that a note stands for.
func readNote(path string, seq int, e entry) (*file, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read note about a file that was given up: %w", err)
	}
	n, err := parseNote(data)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w: restore it, or remove it, and with it the count of what was given up", path, err)
	}
	return &file{entry: e, seq: seq, link: path, id: n.File, replaced: true, inherited: true, given: &n.given}, nil
}

// writeNote puts a note in the place of a file's link.
func (c *chain) writeNote(f *file) error {
	data, err := json.Marshal(note{Version: spoolVersion, File: f.id, given: *f.given})
	if err != nil {
		return fmt.Errorf("encode note: %w", err)
	}
	path := filepath.Join(c.spoolDir, heldName(f.seq, f.entry)) + noteSuffix
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	if f.link != path {
		c.spool.letGo(f)
	}
	f.link = path
	return nil
}

// limitSpool keeps what deleted files take on the disk under the limit: what is
// delivered goes first, then the files that were written to last the longest
// ago are given up, whosever they are. Only the poller calls it.
func (s *Source) limitSpool(now time.Time) {
	s.leaveOrphans(now)
	over := func(containers []*container) bool {
		var sum int64
		for _, c := range containers {
			sum += c.chain.weight.Load()
		}
		s.options.metrics.heldBytes.Set(float64(sum))
		return sum > int64(s.options.Config.SpoolLimit)
	}
	s.mu.Lock()
	containers := make([]*container, 0, len(s.containers))
	for _, c := range s.containers {
		containers = append(containers, c)
	}
	s.mu.Unlock()
	if !over(containers) {
		return
	}
	for _, c := range containers {
		c.mu.Lock()
		c.trim(now.Add(lateWait))
		c.mu.Unlock()
	}
	for over(containers) {
		var oldest *container
		var age time.Time
		for _, c := range containers {
			if at, ok := c.oldest(); ok && (oldest == nil || at.Before(age)) {
				oldest, age = c, at
			}
		}
		if oldest == nil {
			return
		}
		oldest.giveUp()
	}
}

// oldest is when the container's oldest deleted file was written to last.
func (c *container) oldest() (time.Time, bool) {
	if c.chain.weight.Load() == 0 {
		return time.Time{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.chain.files {
		var st unix.Stat_t
		if f.weight > 0 {
			f.stat(&st) //nolint:errcheck // what cannot be looked at is given up first
			return time.Unix(st.Mtim.Unix()), true
		}
	}
	return time.Time{}, false
}

// giveUp gives up the container's oldest deleted file. What was not read of it
// is scanned once more, so that the ledger says how many records are lost.
func (c *container) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, f := range c.chain.files {
		if f.weight > 0 {
			c.giveUpFile(i)
			return
		}
	}
}

func (c *container) giveUpFile(i int) {
	f := c.chain.files[i]
	from := int64(0)
	switch {
	case c.begun.Load() && i < c.chain.at:
		from = f.end
	case c.begun.Load() && i == c.chain.at:
		from = c.offset
		f.records, f.unfinished = c.records, c.unfinished()
	}
	f.fingerprint() //nolint:errcheck // what is known of it is what counts
	g, err := scan(f, from, c.options.Config.JoinPartial)
	if err != nil {
		c.warn("count the lines of a file that is given up", err)
	}
	for i, open := range f.unfinished {
		g.Open[i] = g.Open[i] || open && !g.Ended[i]
	}
	f.given = &g
	if g.Counted = c.begun.Load(); g.Counted {
		c.account.GivenUp(g.Records, pipeline.SpoolFull)
	}
	c.log.Warn("log file was given up, because deleted files that are not delivered take more room than spool_limit",
		"file", f.name, "from", g.From, "to", g.To, "records", g.Records)
	f.close()
	if err := c.chain.writeNote(f); err != nil {
		c.warn("note what was given up", err)
		c.chain.spool.letGo(f)
	}
	f.replaced = true
	c.chain.weigh()
}

// scan counts the records that are in a file's content from an offset on.
func scan(f *file, from int64, join bool) (given, error) {
	g := given{From: from, To: from}
	take := func(line []byte) {
		l, ok := cri.Parse(line)
		stream := 0
		if ok && l.Stderr {
			stream = 1
		}
		if ok {
			g.Open[stream] = join && l.Partial()
		}
		if ok && g.Open[stream] {
			return
		}
		g.Records++
		g.Ended[stream] = g.Ended[stream] || ok
	}
	buf := make([]byte, rawSize)
	var head []byte // of the line that is not at its end
	for {
		n, err := f.ReadAt(buf, g.To)
		g.To += int64(n)
		for data := buf[:n]; len(data) > 0; {
			line, rest, ended := bytes.Cut(data, []byte{'\n'})
			head = append(head, line[:min(len(line), headLength-min(len(head), headLength))]...)
			if ended {
				take(head)
				head = head[:0]
			} else if len(head) == 0 {
				head = append(head, ' ') // an empty line is one, too
			}
			data = rest
		}
		switch {
		case err == nil && n > 0:
			continue
		case len(head) > 0:
			take(head)
		}
		if err == io.EOF {
			err = nil
		}
		return g, err
	}
}

// countGiven counts what is lost of a file that a former process gave up, or
// this one before it knew how far the file is delivered. Of lines that had been
// read, and were not delivered when that process ended, only the bytes are
// known.
func (c *container) countGiven(f *file, pos *Position) {
	g := f.given
	lost := given{To: g.To}
	if f.seq == pos.Seq {
		lost.From = pos.Offset
	}
	if g.Counted {
		lost.To = g.From
	}
	switch whole := !g.Counted && lost.From == 0; {
	case whole:
		c.account.GivenUp(g.Records, pipeline.SpoolFull)
	case lost.To > lost.From:
		c.chain.missed(missedSpoolFull, slog.String("file", f.name), slog.Int64("from", lost.From), slog.Int64("to", lost.To))
		c.chain.missedBytes(missedSpoolFull, lost.To-lost.From)
	}
	if !g.Counted {
		g.Counted = true
		if err := c.chain.writeNote(f); err != nil {
			c.warn("note what was given up", err)
		}
	}
}

// why is the reason for which records of a file whose content is gone are
// dropped.
func (f *file) why() pipeline.Reason {
	if f.given != nil {
		return pipeline.SpoolFull
	}
	return pipeline.Truncated
}

// skip takes in that reading has come to a file whose content is gone, and goes
// on behind it: an unfinished line has lost its beginning, its middle or its
// end. If its end is behind the gap it is one more that is lost.
func (c *container) skip(f *file) {
	var g given
	if f.given != nil {
		g = *f.given
	}
	for i := range c.joiners {
		j := &c.joiners[i]
		cut := g.Open[i] || (j.Open() || f.unfinished[i]) && !g.Ended[i]
		if j.Drop(); cut && !j.discard && !f.skipped && c.account.Lost(1, f.why()) == 0 {
			c.account.GivenUp(1, f.why())
		}
		j.discard = cut || j.discard && !g.Ended[i]
	}
	f.skipped = true
}
