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
	base    uint64 // sequence number of pending[0]
	pending []ack[P]
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
func (a *Acks[P]) Add(pos P) (seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = append(a.pending, ack[P]{pos: pos})
	a.open++
	return a.base + uint64(len(a.pending)) - 1
}

// Done acknowledges seq. It returns the lowest position before which
// everything is acknowledged, and whether this call moved it.
func (a *Acks[P]) Done(seq uint64) (low P, moved bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(seq, ackDone)
	n := 0
	for n < len(a.pending) && a.pending[n].state == ackDone {
		a.low = a.pending[n].pos
		n++
	}
	if n > 0 {
		// Shifting keeps the slice's memory; it is short: the pool bounds it.
		rest := copy(a.pending, a.pending[n:])
		clear(a.pending[rest:])
		a.pending = a.pending[:rest]
		a.base += uint64(n)
	}
	return a.low, n > 0
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
	a.base += uint64(len(a.pending))
	clear(a.pending)
	a.pending = a.pending[:0]
	return a.low
}

func (a *Acks[P]) settle(seq uint64, to ackState) {
	i := seq - a.base
	if seq < a.base || i >= uint64(len(a.pending)) || a.pending[i].state != ackOpen {
		panic("BUG: position settled twice or never added")
	}
	a.pending[i].state = to
	a.open--
}
