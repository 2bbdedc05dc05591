package tail

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// file is one log file of a container's chain. It is held by a link in the
// spool or, where there is none, by being open: it cannot be taken away by a
// deletion, and its inode cannot be given to another, so a file that is in a
// chain is safe and unmistakable.
type file struct {
	entry          // under the name it had when it was found or renamed last
	dir     string // where it was found
	seq     int    // place in the container's chain
	id      FileID
	link    string   // its link, or the note in its place; empty: there is none
	f       *os.File // nil: not open
	metrics *metrics
	gz      *gzipReader // nil: not compressed, or not being read
	end     int64       // where it was left; 0: it was not
	left    time.Time   // when it was left

	// named says that it has a name in the container's directory; twin is the
	// inode of the compressed file, or of the copy, by which it has.
	named bool
	twin  uint64
	// gap says that files may be missing between it and the one before, gapTold
	// that this is counted.
	gap, gapTold bool
	// weight is what it takes on the disk, once it has lost its name.
	weight int64
	// inherited says that a former process held it.
	inherited bool
	// copy is the name of a plain copy of it in the directory; empty: none.
	copy string
	// records is the number of records of the container up to its end.
	records int64
	// replaced says that its content is gone: it was truncated in place, or
	// given up.
	replaced bool
	given    *given // what was given up of it, nil: nothing
	lost     bool   // records of it that were read and not delivered are counted
	// unfinished says for which stream a line goes on behind it, and skipped
	// that reading has come past it without its content.
	unfinished [2]bool
	skipped    bool
}

// errNotRegular is why a directory or a device by a log file's name is left
// alone.
var errNotRegular = errors.New("not a regular file")

// errNotOpen is trouble that has nothing to do with a file's content and may
// pass, such as too many open files.
var errNotOpen = errors.New("it cannot be opened")

// openFile opens the file of e in dir.
func openFile(dir string, e entry, m *metrics) (*file, error) {
	opened := &file{entry: e, dir: dir, metrics: m, named: true, id: FileID{Restart: e.restart, Rotated: e.rotated}}
	if err := opened.openAt(opened.where()); err != nil {
		return nil, err
	}
	if err := opened.identify(); err != nil {
		opened.close()
		return nil, fmt.Errorf("open %q: %w", opened.where(), err)
	}
	return opened, nil
}

func (f *file) openAt(path string) error {
	// A FIFO by the name of a log file must not block the agent.
	opened, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f.f = opened
	f.metrics.openFiles.Inc()
	return nil
}

// where is the file's path, for people.
func (f *file) where() string { return filepath.Join(f.dir, f.name) }

// ready opens the file again after it was closed.
func (f *file) ready() error {
	if f.f != nil {
		return nil
	}
	switch err := f.openAt(f.link); {
	case errors.Is(err, fs.ErrNotExist):
		return err // nobody but a person can have removed it: it is lost
	case err != nil:
		return fmt.Errorf("%w: %w", errNotOpen, err)
	}
	return nil
}

func statInode(dir string, e entry) (inode, error) {
	var st unix.Stat_t
	path := filepath.Join(dir, e.name)
	if err := unix.Stat(path, &st); err != nil {
		return inode{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return inode{st.Dev, st.Ino}, nil
}

// stat describes the file, open or not.
func (f *file) stat(st *unix.Stat_t) error {
	var err error
	if f.f != nil {
		err = unix.Fstat(int(f.f.Fd()), st)
	} else {
		err = unix.Stat(f.link, st)
	}
	if err != nil {
		return fmt.Errorf("stat %q: %w", f.where(), err)
	}
	return nil
}

// gone says whether an open file has no name left, anywhere.
func (f *file) gone() bool {
	var st unix.Stat_t
	return f.stat(&st) == nil && st.Nlink == 0
}

func (f *file) identify() error {
	var st unix.Stat_t
	if err := f.stat(&st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errNotRegular
	}
	f.id.Device, f.id.Inode = st.Dev, st.Ino
	return f.fingerprint()
}

// fingerprint takes in what has been written to the beginning of the file
// since the last call, until the fingerprint is complete. Of other content,
// after a truncation, it takes in nothing.
func (f *file) fingerprint() error {
	if f.id.Print.complete() || f.replaced {
		return nil
	}
	var head [printLength]byte
	n, err := f.head(head[:])
	if err != nil {
		return err
	}
	f.id.Print = f.id.Print.grow(head[:n])
	return nil
}

// head reads the beginning of the content, as much as p holds and there is.
func (f *file) head(p []byte) (int, error) {
	if err := f.ready(); err != nil {
		return 0, err
	}
	if !f.gzip {
		n, err := f.f.ReadAt(p, 0)
		if err == io.EOF {
			err = nil
		}
		return n, err
	}
	// A reader of its own, which is not kept: most files wait.
	z := gzipReader{file: f.f}
	defer z.close()
	n, err := z.ReadAt(p, 0)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// is says whether the file has the identity id: the same inode with the same
// beginning, or the same beginning elsewhere in a file that can hold the same
// content, see mayBeCopy. Of a file that was empty nothing was read; another
// empty one is as good. read is how much was read of the file with that id.
func (f *file) is(id *FileID, read int64) bool {
	if f.restart != id.Restart {
		return false
	}
	same := f.id.Device == id.Device && f.id.Inode == id.Inode
	switch {
	case f.given != nil:
		return same && f.id.Print.Length >= id.Print.Length
	case id.Print.Length == 0:
		return same && !f.gzip || f.gzip && f.id.Print.Length == 0
	}
	return (same || f.mayBeCopy(read)) && id.Print.begins(f)
}

// mayBeCopy says whether the content of another file can be in this one: when
// it was compressed, or copied before it was truncated. What has the name of
// the file being written and another inode is another file, whatever it begins
// with, and so is one that is shorter than what was read.
func (f *file) mayBeCopy(read int64) bool {
	if f.gzip {
		return true
	}
	size, err := f.size()
	return f.rotated != "" && err == nil && size >= read
}

// ReadAt reads the file's content, decompressed, at an offset in it.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.replaced {
		return 0, io.EOF
	}
	if err := f.ready(); err != nil {
		return 0, err
	}
	if !f.gzip {
		return f.f.ReadAt(p, off)
	}
	if f.gz == nil {
		f.gz = &gzipReader{file: f.f, begun: f.metrics.decompressions}
	}
	return f.gz.ReadAt(p, off)
}

// size is the number of bytes to be read, or -1 for a compressed file, where
// only its end tells.
func (f *file) size() (int64, error) {
	if f.gzip {
		return -1, nil
	}
	var st unix.Stat_t
	if err := f.stat(&st); err != nil {
		return 0, err
	}
	return st.Size, nil
}

// rest lets go of what reading needs.
func (f *file) rest() {
	if f.gz != nil {
		f.gz.close()
		f.gz = nil
	}
	f.relax()
}

// relax closes the file if it is held by a link and not being decompressed.
func (f *file) relax() {
	if f.link != "" && f.gz == nil {
		f.shut()
	}
}

func (f *file) shut() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
		f.metrics.openFiles.Dec()
	}
}

// close lets go of all but the link.
func (f *file) close() {
	f.rest()
	f.shut()
}
