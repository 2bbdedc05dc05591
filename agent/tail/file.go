package tail

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// file is one open log file of a container. An open file cannot be taken away
// by a deletion and its inode cannot be given to another, so a file that is in
// a container's chain is safe and unmistakable.
type file struct {
	entry     // under the name it had when it was opened
	seq   int // place in the container's chain, counted since the start of the process
	id    FileID
	f     *os.File
	gz    *gzipReader // nil: plain
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

func (f *file) identify() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.f.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errNotRegular
	}
	if f.gzip {
		f.gz = &gzipReader{file: f.f}
	}
	f.id.Device, f.id.Inode = st.Dev, st.Ino
	return f.fingerprint()
}

// fingerprint takes in what has been written to the beginning of the file
// since the last call, until the fingerprint is complete.
func (f *file) fingerprint() error {
	if f.id.Print.complete() {
		return nil
	}
	var head [printLength]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	f.id.Print = printOf(head[:n])
	return nil
}

// ReadAt reads the file's content, decompressed, at an offset in it.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.gz != nil {
		return f.gz.ReadAt(p, off)
	}
	return f.f.ReadAt(p, off)
}

// size is the number of bytes to be read, or -1 for a compressed file, where
// only its end tells.
func (f *file) size() (int64, error) {
	if f.gz != nil {
		return -1, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("stat %q: %w", f.f.Name(), err)
	}
	return st.Size, nil
}

// holds says whether the file at e in dir is this one: the same inode, or the
// compressed form of the same content.
func (f *file) holds(dir string, e entry) bool {
	if e.gzip && f.gz == nil {
		other, err := openFile(dir, e)
		if err != nil {
			return false
		}
		defer other.close()
		return f.id.Print.begins(other)
	}
	var st unix.Stat_t
	err := unix.Stat(filepath.Join(dir, e.name), &st)
	return err == nil && st.Dev == f.id.Device && st.Ino == f.id.Inode
}

func (f *file) close() {
	if f.gz != nil {
		f.gz.close()
	}
	f.f.Close()
}

// gone says that a file was deleted between the listing and the look at it.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
