// Package audit compares the lines that were written with the rows that
// arrived: nothing lost, nothing repeated, nothing that was not asked for,
// every byte and every time as it was.
package audit

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// Book is the writers' own account of every line that has to arrive. It keeps
// about a hundred bytes a line. All methods may be called concurrently.
type Book struct {
	mu    sync.Mutex
	lines map[key]*entry
	n     int
}

// key stands for a line: stream and text. The lines of package traffic are
// all different, so a key has one entry; lines that are alike are counted.
type key [16]byte

type entry struct {
	at      int64 // microseconds since 1970
	written int32
	arrived int32
	sample  string // how the line begins
}

// sampleSize is enough of a line to recognise it in a report.
const sampleSize = 72

// NewBook returns a book without lines.
func NewBook() *Book { return &Book{lines: map[key]*entry{}} }

func keyOf(stream, text string) key {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", stream)
	h.Write([]byte(text))
	return key(h.Sum(nil)[:16])
}

// Enter notes a line that was written and has to arrive.
func (b *Book) Enter(at time.Time, stream, text string) {
	k := keyOf(stream, text)
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.lines[k]
	if e == nil {
		e = &entry{at: at.UnixMicro(), sample: text[:min(len(text), sampleSize)]}
		b.lines[k] = e
	}
	e.written++
	b.n++
}

// Lines is the number of lines entered.
func (b *Book) Lines() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}
