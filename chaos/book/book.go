// Package book is the writers' own account of a chaos run: how many lines each
// container wrote to each stream, and what was in the files that were deleted.
// It is kept on disk as lines of JSON, in the order in which things happened,
// and holds no text: a line's number is enough.
package book

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"millrace/chaos/line"
)

// Counts are numbers of lines of a container: stdout, stderr.
type Counts [2]int64

// At is the count of a stream.
func (c Counts) At(stderr bool) int64 {
	if stderr {
		return c[1]
	}
	return c[0]
}

// Sum is both streams together.
func (c Counts) Sum() int64 { return c[0] + c[1] }

// Entry is something that happened to a container. Kind says which fields
// have a meaning.
type Entry struct {
	Kind      Kind `json:"k"`
	Container int  `json:"c"`
	// Started: where the container is.
	Namespace string `json:"ns,omitempty"`
	Pod       string `json:"pod,omitempty"`
	UID       string `json:"uid,omitempty"`
	Name      string `json:"name,omitempty"`
	// Wrote: the lines written so far. Deleted: those that were in the file
	// begin here and end before To.
	Lines Counts `json:"n,omitzero"`
	To    Counts `json:"to,omitzero"`
	// Deleted: the file's size before compression.
	Bytes int64  `json:"bytes,omitempty"`
	File  string `json:"file,omitempty"`
}

// Kind is the kind of an entry.
type Kind string

// The kinds of entries.
const (
	Started   Kind = "started"   // a container is there for the first time
	Wrote     Kind = "wrote"     // lines were written
	Rotated   Kind = "rotated"   // a file was rotated
	Restarted Kind = "restarted" // the container runs again, with another file
	Deleted   Kind = "deleted"   // a file was deleted
	Gone      Kind = "gone"      // the pod and all its files were deleted
)

// Writer writes a book. It is for one goroutine. Nothing is on disk before
// Flush.
type Writer struct {
	file *os.File
	buf  *bufio.Writer
	json *json.Encoder
}

// Create makes an empty book.
func Create(path string) (*Writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create book: %w", err)
	}
	w := &Writer{file: f, buf: bufio.NewWriterSize(f, 64<<10)}
	w.json = json.NewEncoder(w.buf)
	return w, nil
}

// Enter adds an entry. Its error, if any, is returned by Flush again.
func (w *Writer) Enter(e *Entry) error { return w.json.Encode(e) }

// Flush puts what was entered on disk.
func (w *Writer) Flush() error {
	if err := w.buf.Flush(); err != nil {
		return fmt.Errorf("write book: %w", err)
	}
	return nil
}

// Close flushes and closes the book.
func (w *Writer) Close() error {
	return errors.Join(w.Flush(), w.file.Close())
}

// Book is a book that was read.
type Book struct {
	Containers map[int]*Container
	Rotations  int
	Restarts   int
	Gone       int
}

// Container is what a book says of one container.
type Container struct {
	Namespace, Pod, UID, Name string
	// Lines is how many it wrote.
	Lines Counts
	// Deleted are the files that were deleted by rotation or restart.
	Deleted []File
}

// File is a log file: the lines from From to before To, of each stream.
type File struct {
	Name     string
	From, To Counts
	Bytes    int64
}

// Read reads a book.
func Read(path string) (*Book, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open book: %w", err)
	}
	defer f.Close()
	b := &Book{Containers: map[int]*Container{}}
	in := json.NewDecoder(bufio.NewReader(f))
	for {
		var e Entry
		switch err := in.Decode(&e); {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, fmt.Errorf("read book %q: %w", path, err)
		}
		b.apply(&e)
	}
}

func (b *Book) apply(e *Entry) {
	c := b.Containers[e.Container]
	if c == nil {
		c = &Container{}
		b.Containers[e.Container] = c
	}
	switch e.Kind {
	case Started:
		c.Namespace, c.Pod, c.UID, c.Name = e.Namespace, e.Pod, e.UID, e.Name
	case Wrote:
		c.Lines = e.Lines
	case Rotated:
		b.Rotations++
	case Restarted:
		b.Restarts++
	case Deleted:
		c.Deleted = append(c.Deleted, File{Name: e.File, From: e.Lines, To: e.To, Bytes: e.Bytes})
	case Gone:
		b.Gone++
	}
}

// Lines is the number of all lines written, and Dropped that of those which
// the filter has to drop.
func (b *Book) Lines(seed uint64) (all, dropped int64) {
	for id, c := range b.Containers {
		all += c.Lines.Sum()
		dropped += Dropped(seed, id, Counts{}, c.Lines).Sum()
	}
	return all, dropped
}

// Dropped counts the lines of a container from one count to before another
// that the filter has to drop.
func Dropped(seed uint64, container int, from, to Counts) (dropped Counts) {
	for i := range dropped {
		s := line.Source{Container: container, Stderr: i == 1}
		for n := from[i]; n < to[i]; n++ {
			if line.Dropped(seed, s, n) {
				dropped[i]++
			}
		}
	}
	return dropped
}
