package tail

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// take opens the files that are new. Names are listed again afterwards,
// because a file that was renamed in between is not the one that was listed:
// if anything has changed nothing is taken, and still is false.
func (c *chain) take() (still bool, err error) {
	listed, err := listNames(c.dir)
	if err != nil {
		return false, fmt.Errorf("list %q: %w", c.dir, err)
	}
	found, err := c.look(listed)
	again, lerr := listNames(c.dir)
	if lerr != nil || !found.still || !slices.Equal(listed, again) {
		for _, f := range found.opened {
			f.close()
		}
		return false, lerr
	}
	c.admit(listed, found)
	return true, err
}

// finding is what a look at a listing found.
type finding struct {
	names   map[string]inode // of files that are known now
	renamed map[*file]entry  // files of the chain under the names they have
	twins   map[*file]twin   // their content elsewhere
	opened  []*file
	waiting []entry
	still   bool
}

// twin is a compressed file, or a copy, of one that is in the chain.
type twin struct {
	entry
	inode uint64
}

// look opens the listed files that are new, up to one that cannot be opened:
// what is behind it must not overtake it.
func (c *chain) look(listed []entry) (found finding, err error) {
	found = finding{names: map[string]inode{}, renamed: map[*file]entry{}, twins: map[*file]twin{}, still: true}
	open := c.unlinked()
	for i, e := range listed {
		if open+len(found.opened) >= maxOpen {
			found.waiting = listed[i:]
			return found, nil
		}
		if err := c.lookAt(e, &found); err != nil {
			missing := errors.Is(err, fs.ErrNotExist)
			if missing && e.symlink {
				continue // what it led to is gone
			}
			if found.still = !missing; missing {
				err = nil
			}
			return found, err
		}
	}
	return found, nil
}

func (c *chain) lookAt(e entry, found *finding) error {
	id, err := statInode(c.dir, e)
	if err != nil {
		return err
	}
	defer func() { found.names[e.name] = id }()
	if was, ok := c.known[e.name]; ok && was == id {
		return nil
	}
	if f := c.having(id); f != nil {
		found.renamed[f] = e
		return nil
	}
	f, err := openFile(c.dir, e, c.metrics)
	if err != nil {
		delete(found.names, e.name)
		return err
	}
	if c.had(f, found) {
		f.close()
		return nil
	}
	found.opened = append(found.opened, f)
	return nil
}

// having is the chain's file with the inode, nil if there is none.
func (c *chain) having(id inode) *file {
	for _, f := range c.files {
		if f.id.Device == id.device && f.id.Inode == id.number && !f.replaced {
			return f
		}
	}
	return nil
}

// had says whether a file's content is, under another name or compressed, that
// of one that the chain has or had.
func (c *chain) had(f *file, found *finding) bool {
	for i, g := range c.files {
		read := g.end
		if i == c.at {
			read = c.read
		}
		if g.fingerprint() == nil && f.is(&g.id, read) && g.given == nil {
			found.twins[g] = twin{f.entry, f.id.Inode}
			return true
		}
	}
	for i := range c.passed {
		if p := &c.passed[i]; p.is(f) {
			p.Inode = f.id.Inode
			return true
		}
	}
	return false
}
