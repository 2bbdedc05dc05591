// Package pipelinetest holds what tests of sources and of whole pipelines
// need: an output that remembers, and the check that the books balance.
package pipelinetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"millrace/internal/pipeline"
)

// Recorder is an output that keeps the records it was given. Depending on its
// mode it delivers batches at once, holds them back, or aborts them. Safe for
// concurrent use.
type Recorder struct {
	// Encode renders a record as the test wants to compare it.
	Encode func(r *pipeline.Record) string

	mu        sync.Mutex
	mode      Mode
	delivered []string
	held      []*pipeline.Batch
}

// Mode is what a Recorder does with batches.
type Mode int

// The modes.
const (
	Deliver Mode = iota // done at once
	Hold                // kept until Release, or aborted by Close
	Abort               // given back at once with ErrAborted
)

// SetMode changes what happens to the batches that come next.
func (o *Recorder) SetMode(m Mode) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mode = m
}

// Write implements pipeline.Output.
func (o *Recorder) Write(b *pipeline.Batch) {
	o.mu.Lock()
	mode := o.mode
	if mode == Hold {
		o.held = append(o.held, b)
	}
	o.mu.Unlock()
	switch mode {
	case Deliver:
		o.deliver(b)
	case Abort:
		b.Done(pipeline.ErrAborted)
	}
}

// Release settles what is held, the newest batch first: delivered, or aborted.
func (o *Recorder) Release(err error) {
	held := o.takeHeld()
	slices.Reverse(held)
	for _, b := range held {
		if err != nil {
			b.Done(err)
		} else {
			o.deliver(b)
		}
	}
}

// Resume delivers what is held, the oldest batch first, and from then on what
// comes: nothing that is written meanwhile overtakes it.
func (o *Recorder) Resume() {
	for {
		o.mu.Lock()
		if len(o.held) == 0 {
			o.mode = Deliver
			o.mu.Unlock()
			return
		}
		b := o.held[0]
		o.held = o.held[1:]
		o.mode = Hold
		o.mu.Unlock()
		o.deliver(b)
	}
}

func (o *Recorder) takeHeld() []*pipeline.Batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	held := o.held
	o.held = nil
	return held
}

// Held is the number of batches that are held.
func (o *Recorder) Held() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.held)
}

// Take returns the records delivered since the last Take, in the order of
// delivery.
func (o *Recorder) Take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.delivered
	o.delivered = nil
	return d
}

// Close implements pipeline.Output: what is still held counts as aborted.
func (o *Recorder) Close(context.Context) error {
	o.Release(pipeline.ErrAborted)
	return nil
}

func (o *Recorder) deliver(b *pipeline.Batch) {
	o.mu.Lock()
	for i := range b.Records {
		o.delivered = append(o.delivered, o.Encode(&b.Records[i]))
		b.Delivered(b.SpanOf(i), 1)
	}
	o.mu.Unlock()
	b.Done(nil)
}

// CheckBalance fails the test unless every account adds up and no batch is
// out. Call it at the end of every test that runs a pipeline.
func CheckBalance(t testing.TB, l *pipeline.Ledger, p *pipeline.Pool) {
	t.Helper()
	if n := p.Out(); n != 0 {
		t.Errorf("%d batches are still out", n)
	}
	for _, a := range l.Accounts() {
		if b := a.Balance(); b.Missing() != 0 {
			t.Errorf("account %s does not balance: %+v", a.Name, b)
		}
	}
	if b := l.Total(); b.Missing() != 0 {
		t.Errorf("ledger does not balance: %+v", b)
	}
}
