package tail

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// file is one open log file of a container. An open file cannot be taken away
// by a deletion and its inode cannot be given to another, so a file that is in
// a container's chain is safe and unmistakable.
type file struct {
	entry     // under the name it had when it was opened or renamed last
	seq   int // place in the container's chain
	id    FileID
	f     *os.File
	gz    *gzipReader // nil: not compressed, or not being read
	end   int64       // where it was left; 0: it was not
	left  time.Time   // when it was left
	// records is the number of records of the container up to its end.
	records int64
	// replaced says that its content is gone: it was truncated in place.
	replaced bool
}

// errNotRegular is why a directory or a device by a log file's name is left
// alone.
var errNotRegular = errors.New("not a regular file")

// openFile opens the file of e in dir.
func openFile(dir string, e entry) (*file, error) {
	// A FIFO by the name of a log file must not block the agent.
	f, err := os.OpenFile(filepath.Join(dir, e.name), os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	opened := &file{entry: e, f: f, id: FileID{Restart: e.restart, Rotated: e.rotated}}
	if err := opened.identify(); err != nil {
		f.Close()
		return nil, fmt.Errorf("open %q: %w", f.Name(), err)
	}
	return opened, nil
}

func statInode(dir string, e entry) (inode, error) {
	var st unix.Stat_t
	path := filepath.Join(dir, e.name)
	if err := unix.Stat(path, &st); err != nil {
		return inode{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return inode{st.Dev, st.Ino}, nil
}

func (f *file) identify() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.f.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errNotRegular
	}
	f.id.Device, f.id.Inode = st.Dev, st.Ino
	return f.fingerprint()
}

// fingerprint takes in what has been written to the beginning of the file
// since the last call, until the fingerprint is complete.
func (f *file) fingerprint() error {
	if f.id.Print.complete() || f.replaced {
		return nil
	}
	var head [printLength]byte
	n, err := f.head(head[:])
	if err != nil {
		return err
	}
	f.id.Print = printOf(head[:n])
	return nil
}

// head reads the beginning of the content, as much as p holds and there is.
func (f *file) head(p []byte) (int, error) {
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
// beginning, or the same beginning elsewhere, as after compression. Of a file
// that was empty nothing was read; another empty one is as good.
func (f *file) is(id *FileID) bool {
	if f.restart != id.Restart {
		return false
	}
	if id.Print.Length == 0 {
		return f.id.Device == id.Device && f.id.Inode == id.Inode && !f.gzip || f.gzip && f.id.Print.Length == 0
	}
	return id.Print.begins(f)
}

// ReadAt reads the file's content, decompressed, at an offset in it.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case f.replaced:
		return 0, io.EOF
	case !f.gzip:
		return f.f.ReadAt(p, off)
	case f.gz == nil:
		f.gz = &gzipReader{file: f.f}
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
	if err := unix.Fstat(int(f.f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("stat %q: %w", f.f.Name(), err)
	}
	return st.Size, nil
}

// rest lets go of what reading needs.
func (f *file) rest() {
	if f.gz != nil {
		f.gz.close()
		f.gz = nil
	}
}

func (f *file) close() {
	f.rest()
	f.f.Close()
}
