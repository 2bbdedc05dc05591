package tail

import (
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
)

// keepBack is how much of what was decompressed stays readable behind the last
// read: a reader of lines goes back by at most one unfinished line.
const keepBack = 64 << 10

// gzipReader reads a rotated file that kubelet has compressed, at rising
// offsets of its content. Each byte is decompressed once; only a step back
// beyond what is kept, which an aborted batch may ask for, begins again.
type gzipReader struct {
	file  *os.File
	begun prometheus.Counter // counts how often it begins; nil: nothing does
	z     *gzip.Reader
	at    int64  // offset of the end of back
	back  []byte // the content right before at
}

// ReadAt reads len(p) bytes of content at off, fewer only with an error, which
// is io.EOF at the end.
func (r *gzipReader) ReadAt(p []byte, off int64) (int, error) {
	if r.z == nil || off < r.at-int64(len(r.back)) {
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	var skipped [4 << 10]byte
	for off > r.at {
		if _, err := r.read(skipped[:min(off-r.at, int64(len(skipped)))], r.at); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.back[int64(len(r.back))-(r.at-off):])
	for n < len(p) {
		m, err := r.read(p[n:], off)
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
	if r.begun != nil {
		r.begun.Inc()
	}
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

// read decompresses on and remembers what it passed, back to from at least:
// the next read may ask for more from there.
func (r *gzipReader) read(p []byte, from int64) (int, error) {
	n, err := r.z.Read(p)
	r.at += int64(n)
	r.back = append(r.back, p[:n]...)
	keep := max(keepBack, r.at-from)
	if over := int64(len(r.back)) - keep; over > keepBack {
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
