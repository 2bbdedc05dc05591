// Package pipelinetest holds what tests of sources and of whole pipelines
// need: an output that remembers and counts, and the check that the ledger
// says the same.
package pipelinetest

import (
	"context"
	"slices"
	"sync"

	"millrace/internal/pipeline"
)

// Recorder is an output that keeps the records it was given. Depending on its
// mode it delivers batches at once, holds them back, or aborts them. Safe for
// concurrent use.
type Recorder struct {
	// Encode renders a record as the test wants to compare it.
	Encode func(r *pipeline.Record) string
	// Drop says whether and why a record is given up instead of delivered. It
	// may be nil, and gives the same answer whenever it is asked.
	Drop func(r *pipeline.Record) (why pipeline.Reason, drop bool)

	mu        sync.Mutex
	counts    map[*pipeline.Account]*count
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
	o.came(b)
	mode := o.mode
	if mode == Hold {
		o.held = append(o.held, b)
	}
	o.mu.Unlock()
	switch mode {
	case Deliver:
		o.deliver(b)
	case Abort:
		o.abort(b, pipeline.ErrAborted)
	}
}

// Release settles what is held, the newest batch first: delivered, or aborted.
func (o *Recorder) Release(err error) {
	held := o.takeHeld()
	slices.Reverse(held)
	for _, b := range held {
		o.settle(b, err)
	}
}

func (o *Recorder) settle(b *pipeline.Batch, err error) {
	if err != nil {
		o.abort(b, err)
	} else {
		o.deliver(b)
	}
}

// ReleaseOne settles one batch that is held.
func (o *Recorder) ReleaseOne(b *pipeline.Batch, err error) {
	o.mu.Lock()
	i := slices.Index(o.held, b)
	if i < 0 {
		o.mu.Unlock()
		panic("BUG: released a batch that is not held")
	}
	o.held = slices.Delete(o.held, i, i+1)
	o.mu.Unlock()
	o.settle(b, err)
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

func (o *Recorder) abort(b *pipeline.Batch, err error) {
	o.mu.Lock()
	o.went(b, err)
	o.mu.Unlock()
	b.Done(err)
}

func (o *Recorder) deliver(b *pipeline.Batch) {
	o.mu.Lock()
	o.went(b, nil)
	for i := range b.Records {
		if why, drop := o.drops(&b.Records[i]); drop {
			b.Dropped(b.SpanOf(i), 1, why)
			continue
		}
		o.delivered = append(o.delivered, o.Encode(&b.Records[i]))
		b.Delivered(b.SpanOf(i), 1)
	}
	o.mu.Unlock()
	b.Done(nil)
}

func (o *Recorder) drops(r *pipeline.Record) (why pipeline.Reason, drop bool) {
	if o.Drop == nil {
		return 0, false
	}
	return o.Drop(r)
}
