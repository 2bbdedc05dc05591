package tail

import (
	"log/slog"
	"slices"
)

// Passed is a file that was delivered and let go and that is, as far as is
// known, still in its container's directory: it is not to be read again,
// whatever it is called by then and whichever way the clock went.
type Passed struct {
	Inode uint64 `json:"inode"`
	Print

	there bool // in the directory, in this process
}

// is says whether f is that file, or holds its content.
func (p *Passed) is(f *file) bool {
	return (f.id.Inode == p.Inode || f.mayBeCopy(0)) && p.begins(f)
}

// deliveredBefore is what delivered returned last, and for what.
type deliveredBefore struct {
	version, seq int
	files        []Passed
}

// delivered are the files in the directory that come before the one with the
// given place in the chain. The result is shared: it does not change.
func (c *chain) delivered(seq int) []Passed {
	if b := &c.before; b.version == c.version && b.seq == seq {
		return b.files
	}
	var files []Passed
	for _, p := range c.passed {
		if p.there && p.Length > 0 {
			files = append(files, p)
		}
	}
	for _, f := range c.files {
		if f.seq >= seq || f.replaced || f.id.Print.Length == 0 {
			continue
		}
		switch {
		case f.twin != 0:
			files = append(files, Passed{Inode: f.twin, Print: f.id.Print})
		case f.named:
			files = append(files, Passed{Inode: f.id.Inode, Print: f.id.Print})
		}
	}
	c.before = deliveredBefore{c.version, seq, files}
	return files
}

// find is the index of the file with the identity id, of which read bytes were
// read; -1 if it is not there. After a reboot the device may have another
// number.
func (c *chain) find(id FileID, read int64, rebooted bool) int {
	return slices.IndexFunc(c.files, func(f *file) bool {
		if rebooted {
			id.Device = f.id.Device
		}
		return f.is(&id, read)
	})
}

// after is the index of the first file that is younger than the one of a
// position which is not there any more. Places tell, where a former process
// held files; else the youngest rotated file it had before it does, because
// files are deleted oldest first, and its own name need not. A chain that has
// only lower restart counts is another container's by the same name.
func (c *chain) after(pos *Position) int {
	id := &pos.File
	stamp := max(id.Rotated, id.Previous)
	for i, f := range c.files {
		if f.inherited {
			if f.seq > pos.Seq {
				return i
			}
			continue
		}
		if f.restart > id.Restart || f.restart == id.Restart && (f.rotated == "" || f.rotated > stamp) {
			return i
		}
	}
	if n := len(c.files); n > 0 && c.files[n-1].restart < id.Restart {
		return 0
	}
	return len(c.files)
}

// reorder puts a copy of a file's content, made while nobody looked, before
// the file itself, which was truncated then: it returns the copy's index.
func (c *chain) reorder(at int, id *FileID) int {
	i := slices.IndexFunc(c.files, func(f *file) bool {
		return f.id.Inode == id.Inode && f.inherited && f.restart == id.Restart && !f.replaced
	})
	if i < 0 || i >= at {
		return at
	}
	moved := c.files[at]
	c.files = slices.Insert(slices.Delete(c.files, at, at+1), i, moved)
	c.renumber(i)
	return i
}

// renumber gives the files from the i-th on new places, which no position
// knows. Links are renamed in the order of the places they get.
func (c *chain) renumber(i int) {
	for _, f := range c.files[i:] {
		c.nextSeq++
		f.seq = c.nextSeq
		c.retitle(f)
	}
}

// insert puts a file right behind the current one. The files behind it have
// not been read: no position knows their numbers.
func (c *chain) insert(f *file) {
	c.files = slices.Insert(c.files, c.at+1, f)
	c.renumber(c.at + 1)
	c.weigh()
}

// pass lets go of files that are known to be delivered.
func (c *chain) pass(passed []Passed) {
	n := 0
	for i, f := range c.files {
		if slices.ContainsFunc(passed, func(p Passed) bool { return p.is(f) }) {
			copy(c.files[n+1:i+1], c.files[n:i])
			c.files[n] = f
			n++
		}
	}
	if n > 0 {
		c.at = n
		c.drop(n)
	}
}

// findGap finds out whether files may be missing between those that we, or a
// former process, held and those that were found when the directory was looked at
// again: the newest of the former has no name any more, so the next one may have
// been deleted, too. Whether it was, and how many, nobody knows.
func (c *chain) findGap() {
	last := c.newest
	c.newest = nil
	i := slices.Index(c.files, last) + 1
	if last == nil || last.named || last.twin != 0 || i == 0 || i == len(c.files) {
		return
	}
	next := c.files[i]
	if next.restart == last.restart && next.rotated != "" || next.restart > last.restart+1 {
		next.gap = true
		if c.begun {
			c.countGap(i - 1)
		}
	}
}

// countGap counts the gaps behind the i-th file.
func (c *chain) countGap(i int) {
	for _, f := range c.files[i+1:] {
		if f.gap && !f.gapTold {
			f.gapTold = true
			c.missed(missedUnseen, slog.String("before", f.name))
		}
	}
}

// copyOf opens the plain copy of a file that was truncated, nil if there is
// none with all that was read.
func (c *chain) copyOf(f *file, read int64) (*file, error) {
	e, ok := parseName(f.copy)
	if !ok {
		return nil, nil
	}
	g, err := openFile(c.dir, e, c.metrics)
	if err != nil {
		return nil, err
	}
	if !g.is(&f.id, read) {
		g.close()
		return nil, nil
	}
	return g, nil
}
