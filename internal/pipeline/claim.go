package pipeline

import (
	"errors"
	"time"
)

// ErrRefused is the outcome of a batch with an ID whose records the far end
// refuses as they are. Nothing of it counts and its ID is never sent again: the
// source emits the same records in smaller batches. An output does not use it
// for a batch of one record, which it has to decide about by itself.
var ErrRefused = errors.New("the far end refuses records of the batch")

// Claim says on what terms a batch with an ID may be delivered, for a source
// whose IDs outlive the process: another one may have sent it, or may send it
// later. An output that knows no IDs ignores it.
type Claim struct {
	// Again says that the ID may have been sent before, by whomever: the
	// output asks the far end before it sends.
	Again bool
	// To is where the ID was meant to go when it was drawn, in the output's own
	// words; nil: to where the output sends now.
	To any
	// After is an ID that was delivered there before this one was first sent:
	// as long as the far end remembers it, it remembers this one. Empty: none
	// is known.
	After string
	// Scattered says that other batches have the records between these: only
	// their own offsets say whether they are there.
	Scattered bool
	// Lost is closed when another process decides about the ID: nothing is
	// sent any more, and the batch is Done with an error unless it is in. Nil:
	// never.
	Lost <-chan struct{}
	// Fresh says that no other process can have the batch yet, as far as was
	// known a moment ago. An output asks before each byte that it sends: a
	// process that was stopped for a while goes on in the middle of a request.
	// It must not block and may be called concurrently. Nil: always.
	Fresh func() bool
}

// TakeOver says that n records are this process's to deliver, and that the
// source emits them next: what is missing to n among those that it aborted
// itself was read by another process. They count as reread then. The source
// calls it instead of Rewound.
func (a *Account) TakeOver(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takeOver(n)
}

// Confirm says that n records that were to be delivered by TakeOver have been
// found delivered: they are not read again.
func (a *Account) Confirm(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takeOver(n)
	taken, _ := a.again.take(n)
	a.delivered += taken
}

func (a *Account) takeOver(n int64) {
	a.again.pushFront(&a.aborted)
	if missing := n - a.again.n; missing > 0 {
		a.takenOver += missing
		a.again.add(run{n: missing, since: time.Now()})
	}
}
