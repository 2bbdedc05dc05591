package pipeline

import (
	"cmp"
	"slices"
	"time"
)

// backlog is records that wait for their outcome or to be read again, as runs
// that were emitted together. It is a part of an account, behind its lock.
type backlog struct {
	n    int64 // records in runs
	runs []run // up to thousands, while a transaction is open
}

// run is the records of one span.
type run struct {
	ticket uint64 // rises with each run of the account
	n      int64
	since  time.Time // when the first of them was written
}

func (b *backlog) add(r run) {
	if r.n == 0 { // only a position: nothing waits
		return
	}
	b.n += r.n
	b.runs = append(b.runs, r)
}

// remove takes the run of a span out: its outcome is known. The runs must be in
// the order of their tickets.
func (b *backlog) remove(s *Span) run {
	if s.read == 0 {
		return run{}
	}
	i, ok := slices.BinarySearchFunc(b.runs, s.ticket, func(r run, ticket uint64) int { return cmp.Compare(r.ticket, ticket) })
	if !ok {
		panic("BUG: span settled twice or never emitted")
	}
	r := b.runs[i]
	b.n -= r.n
	if i == 0 && len(b.runs) > 1 { // as nearly always; the others stay where they are
		b.runs = b.runs[1:]
	} else {
		b.runs = slices.Delete(b.runs, i, i+1)
	}
	return r
}

// take takes up to n records from the front. It returns how many there were,
// and since when the oldest of them is waiting.
func (b *backlog) take(n int64) (taken int64, since time.Time) {
	whole := 0
	for whole < len(b.runs) && taken < n {
		r := &b.runs[whole]
		since = earlier(since, r.since)
		part := min(r.n, n-taken)
		r.n -= part
		taken += part
		if r.n == 0 {
			whole++
		}
	}
	b.n -= taken
	b.runs = b.runs[whole:]
	return taken, since
}

// pushFront moves all of c, in the order in which it was emitted, to the
// front.
func (b *backlog) pushFront(c *backlog) {
	slices.SortFunc(c.runs, func(x, y run) int { return cmp.Compare(x.ticket, y.ticket) })
	b.runs = slices.Insert(b.runs, 0, c.runs...)
	b.n += c.n
	c.clear()
}

func (b *backlog) clear() {
	b.n, b.runs = 0, b.runs[:0]
}

// oldest is since when the oldest record is waiting; zero when there is none.
func (b *backlog) oldest() (at time.Time) {
	for i := range b.runs {
		at = earlier(at, b.runs[i].since)
	}
	return at
}

// earlier is the earlier of two times, where zero means none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
