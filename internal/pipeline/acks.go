package pipeline

import "sync"

// Acks orders acknowledgements that arrive in any order: it knows the lowest
// position before which everything is acknowledged. P is a file position at
// the agent and a Kafka offset at the collector.
//
// It is a pure data structure behind a leaf lock: safe for concurrent use,
// never blocking for longer than a few instructions, calling nothing. The zero
// value begins at P's zero value.
type Acks[P any] struct {
	mu      sync.Mutex
	low     P
	settled uint64 // sequence number of the last one before pending[head]
	pending []ack[P]
	head    int // what is before it is acknowledged and counts
	open    int // entries that are neither acknowledged nor failed
}

type ack[P any] struct {
	pos   P
	state ackState
}

type ackState uint8

const (
	ackOpen ackState = iota
	ackDone
	ackFailed
)

// Begin says that everything before low counts as acknowledged. It is called
// once, before the first Add.
func (a *Acks[P]) Begin(low P) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.low = low
}

// Add tracks pos, the position up to which everything is acknowledged once
// the returned sequence number and all before it are. Call it in read order.
// Sequence numbers rise, from 1: a span with 0 is older than any.
func (a *Acks[P]) Add(pos P) (seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = append(a.pending, ack[P]{pos: pos})
	a.open++
	return a.settled + uint64(len(a.pending)-a.head)
}

// Done acknowledges seq. It returns the lowest position before which
// everything is acknowledged, and whether this call moved it.
func (a *Acks[P]) Done(seq uint64) (low P, moved bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(seq, ackDone)
	for a.head < len(a.pending) && a.pending[a.head].state == ackDone {
		a.low, moved = a.pending[a.head].pos, true
		a.pending[a.head] = ack[P]{}
		a.head++
		a.settled++
	}
	// A transaction acknowledges thousands at once: the rest is moved to the
	// front only when it is shorter than what has gone.
	if a.head > len(a.pending)/2 {
		rest := copy(a.pending, a.pending[a.head:])
		clear(a.pending[rest:])
		a.pending, a.head = a.pending[:rest], 0
	}
	return a.low, moved
}

// Fail says that seq will never be acknowledged: the low position stays
// before it until Rewind.
func (a *Acks[P]) Fail(seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(seq, ackFailed)
}

// Open is the number of positions that are neither acknowledged nor failed.
func (a *Acks[P]) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// Low is the lowest position before which everything is acknowledged.
func (a *Acks[P]) Low() P {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.low
}

// Rewind forgets everything after the low position and returns it: the source
// reads again from there. It panics while a position is open, because the
// outcome of that one would be lost.
func (a *Acks[P]) Rewind() P {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open > 0 {
		panic("BUG: rewind while positions are open")
	}
	a.settled += uint64(len(a.pending) - a.head)
	clear(a.pending)
	a.pending, a.head = a.pending[:0], 0
	return a.low
}

func (a *Acks[P]) settle(seq uint64, to ackState) {
	i := seq - a.settled - 1 + uint64(a.head)
	if seq <= a.settled || i >= uint64(len(a.pending)) || a.pending[i].state != ackOpen {
		panic("BUG: position settled twice or never added")
	}
	a.pending[i].state = to
	a.open--
}
