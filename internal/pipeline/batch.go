package pipeline

import (
	"fmt"
	"time"
)

// Batch is the unit of memory, delivery and acknowledgement: some records, the
// bytes they point into, and for each container or partition among them a
// Span. It belongs to one goroutine at a time: the source until emit, then the
// filters, then the output until Done.
type Batch struct {
	// Records are the records in the order in which they were read; filters
	// remove from it.
	Records []Record
	// Spans says which container or partition the records came from, and up
	// to which position they reach.
	Spans []Span
	// Mem holds the bytes that Records point into.
	Mem Arena
	// Out is the output's scratch space, kept between uses.
	Out []byte
	// ID names the records for ever: a source that sets it guarantees that
	// the same ID always means the same records. Empty where it does not.
	ID string
	// Claim is on what terms the batch may be delivered; the zero value sets
	// none.
	Claim Claim

	used     int // records that were added, filtered ones too
	pool     *Pool
	released bool // the pool has the memory back
	onDone   func(b *Batch, err error)
}

// Span is what a batch holds of one container or partition: a run of records
// and the position that is reached when all of them have an outcome.
type Span struct {
	// Account counts the outcome of the span's records.
	Account *Account
	// Position is the source's own: opaque to everyone else, except that an
	// output may be given an encoder for it at assembly.
	Position any
	// Seq is the source's own, too: the sequence number Acks gave it.
	Seq uint64

	ticket    uint64 // the account's, when it was emitted
	read      int    // records the source added
	filtered  int    // records a filter dropped
	delivered int    // records the far end has
	dropped   int    // records given up, all reasons
	reasons   [reasonCount]int
}

// Records is the number of records the source put into the span.
func (s *Span) Records() int { return s.read }

// OnDone sets what happens when the batch is Done, before its memory is used
// again. The source sets it before emit; fn runs on whatever goroutine calls
// Done and must not block.
func (b *Batch) OnDone(fn func(b *Batch, err error)) { b.onDone = fn }

// Begin opens a new span: records added from here on belong to it.
func (b *Batch) Begin(account *Account) *Span {
	b.Spans = append(b.Spans, Span{Account: account})
	return &b.Spans[len(b.Spans)-1]
}

// Add returns a new record of the span that Begin opened last. The pointer is
// good until the next Add. The record is emptied, except that Added keeps its
// capacity.
func (b *Batch) Add() *Record {
	n := len(b.Records)
	if n < cap(b.Records) {
		b.Records = b.Records[:n+1]
	} else {
		b.Records = append(b.Records, Record{})
	}
	b.used = n + 1
	r := &b.Records[n]
	r.span = int32(len(b.Spans) - 1)
	b.Spans[r.span].read++
	return r
}

// SpanOf is the index in Spans of the span that record i belongs to.
func (b *Batch) SpanOf(i int) int { return int(b.Records[i].span) }

// Delivered counts n records of a span as delivered: the far end has
// confirmed each of them.
func (b *Batch) Delivered(span, n int) { b.Spans[span].delivered += n }

// Dropped counts n records of a span as given up for a reason.
func (b *Batch) Dropped(span, n int, why Reason) {
	s := &b.Spans[span]
	s.dropped += n
	s.reasons[why] += n
}

// Emitted is called by the source right before emit: it enters the batch's
// records in the ledger as read and pending. Records that the source read
// before, for a batch that was not delivered, are entered as reread. It panics
// when it is called twice, for the same reason as Done.
func (b *Batch) Emitted() {
	now := time.Now()
	first := 0
	for i := range b.Spans {
		s := &b.Spans[i]
		if s.ticket != 0 {
			panic("BUG: batch emitted twice")
		}
		var since time.Time
		if s.read > 0 {
			since = b.Records[first].written(now)
			first += s.read
		}
		s.Account.emit(s, since, now)
	}
}

// Done ends the batch's journey, exactly once: with nil when each record has
// its outcome, with an error when none of it counts. The bytes of the batch
// are not to be touched afterwards. It panics when a batch that is Done(nil)
// does not balance, or that is Done again, because a wrong acknowledgement is a
// lost line.
func (b *Batch) Done(err error) {
	if b.pool == nil {
		panic("BUG: batch done twice")
	}
	for i := range b.Spans {
		b.Spans[i].settle(err)
	}
	if b.onDone != nil {
		b.onDone(b, err)
	}
	if b.released {
		b.pool = nil
		return
	}
	b.pool.put(b)
}

// Release gives the batch's records and bytes back to its pool before the
// outcome is known: the far end has them, and says later whether they count.
// Only Spans are left; Done follows as ever. It panics when the batch is Done
// or released already.
func (b *Batch) Release() {
	if b.pool == nil || b.released {
		panic("BUG: batch released twice or after it was done")
	}
	b.released = true
	b.pool.keep(b.strip(b.pool.maxMem))
}

// strip takes the memory of the batch's records away from it and returns it,
// emptied, as the batch that uses it next. A batch is used once: whoever holds
// on to one that is Done cannot settle what belongs to the next.
func (b *Batch) strip(maxMem int) (next *Batch) {
	used := b.Records[:b.used]
	for i := range used {
		used[i] = Record{Added: used[i].Added[:0]}
	}
	next = &Batch{Records: used[:0], Mem: b.Mem, Out: b.Out[:0]}
	next.Mem.Reset(maxMem)
	if cap(next.Out) > maxMem {
		next.Out = nil
	}
	b.Records, b.Mem, b.Out, b.used = nil, Arena{}, nil, 0
	return next
}

func (s *Span) settle(err error) {
	if err != nil {
		s.Account.abort(s)
		return
	}
	if s.read != s.filtered+s.delivered+s.dropped {
		panic(fmt.Sprintf("BUG: span of %s is done but does not balance: read %d, filtered %d, delivered %d, dropped %d",
			s.Account.Name, s.read, s.filtered, s.delivered, s.dropped))
	}
	s.Account.settle(s)
}

// filter applies fs to each record and closes the gaps.
func (b *Batch) filter(fs []Filter) {
	kept := 0
records:
	for i := range b.Records {
		r := &b.Records[i]
		for _, f := range fs {
			if !f.Apply(r, &b.Mem) {
				b.Spans[r.span].filtered++
				continue records
			}
		}
		if kept != i {
			// Swapped, not copied: both keep the capacity of their Added.
			b.Records[kept], b.Records[i] = b.Records[i], b.Records[kept]
		}
		kept++
	}
	b.Records = b.Records[:kept]
}
