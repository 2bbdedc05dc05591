package tail

import (
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// keepBack is how much of what was decompressed last stays readable: a reader
// of lines goes back by at most one unfinished line.
const keepBack = 256 << 10

// gzipReader reads a rotated file that kubelet has compressed, at rising
// offsets of its content. Each byte is decompressed once; only a step back
// beyond keepBack, which an aborted batch may ask for, begins again.
type gzipReader struct {
	file *os.File
	z    *gzip.Reader
	at   int64  // offset of the end of back
	back []byte // the content right before at
}

// ReadAt reads len(p) bytes of content at off, fewer only with an error, which
// is io.EOF at the end.
func (r *gzipReader) ReadAt(p []byte, off int64) (int, error) {
	if r.z == nil || off < r.at-int64(len(r.back)) {
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	for off > r.at {
		if _, err := r.read(make([]byte, min(off-r.at, 64<<10))); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.back[int64(len(r.back))-(r.at-off):])
	for n < len(p) {
		m, err := r.read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// begin starts over at the beginning of the content.
func (r *gzipReader) begin() error {
	in := io.NewSectionReader(r.file, 0, 1<<62)
	r.at, r.back = 0, r.back[:0]
	var err error
	if r.z == nil {
		r.z, err = gzip.NewReader(in)
	} else {
		err = r.z.Reset(in)
	}
	if err != nil {
		r.z = nil
		return fmt.Errorf("decompress %q: %w", r.file.Name(), err)
	}
	return nil
}

// read decompresses on and remembers what it passed.
func (r *gzipReader) read(p []byte) (int, error) {
	n, err := r.z.Read(p)
	r.at += int64(n)
	r.back = append(r.back, p[:n]...)
	if over := len(r.back) - keepBack; over > keepBack {
		r.back = r.back[:copy(r.back, r.back[over:])]
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("decompress %q: %w", r.file.Name(), err)
	}
	return n, err
}

func (r *gzipReader) close() {
	if r.z != nil {
		r.z.Close()
	}
}
