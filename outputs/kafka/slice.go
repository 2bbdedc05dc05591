package kafka

import (
	"sync"
	"time"

	"millrace/internal/pipeline"
)

const (
	// maxSliceBytes bounds what is read again after an abort, in encoded
	// bytes.
	maxSliceBytes = 512 << 20
	// maxSliceSpans bounds the memory of what waits for a commit, which is
	// the batches' spans.
	maxSliceSpans = 16 << 10
)

// slice is what one transaction holds: the batches that were handed to the
// client in it, and what arrived of them. Its lock is a leaf.
type slice struct {
	number uint64
	begun  time.Time

	mu      sync.Mutex
	batches []*pipeline.Batch // in the order in which they took off
	arrived tally
	bytes   int
	spans   int
	// positions are those records of the slice that hold no lines.
	positions struct {
		left    int // promises to come
		refusal error
	}
}

// add takes a flight into the slice: f's batch is Done when the slice is over.
func (sl *slice) add(f *flight) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	f.slice = sl
	sl.batches = append(sl.batches, f.batch)
	sl.bytes += f.bytes
	sl.spans += len(f.batch.Spans)
}

// land takes in what arrived of a flight.
func (sl *slice) land(arrived *tally) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.arrived.add(arrived)
}

// full tells that the slice has to end before its time.
func (sl *slice) full() bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.bytes >= maxSliceBytes || sl.spans >= maxSliceSpans
}

// expect says that n positions are about to be produced.
func (sl *slice) expect(n int) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.positions.left = n
}

// settle takes Kafka's word on one position.
func (sl *slice) settle(err error) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.positions.left--
	if err != nil && sl.positions.refusal == nil {
		sl.positions.refusal = err
	}
}

// settled tells whether all positions arrived; refusal is why not, as soon as
// it is known.
func (sl *slice) settled() (all bool, refusal error) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.positions.left == 0, sl.positions.refusal
}

// last are the positions that are reached with the slice, by container, as p
// renders them: of each container that of its last span. An error means that
// one of them must not be committed. Nothing is added to the slice meanwhile.
func (sl *slice) last(p Positions) (map[string][]byte, error) {
	reached := map[string][]byte{}
	seqs := map[string]uint64{}
	for _, b := range sl.batches {
		for i := range b.Spans {
			span := &b.Spans[i]
			container, value, err := p.Encode(span.Position)
			if err != nil {
				return nil, err
			}
			if seq, ok := seqs[container]; ok && span.Seq < seq {
				continue
			}
			seqs[container], reached[container] = span.Seq, value
		}
	}
	return reached, nil
}

// end makes the batches Done: with nil the slice counts.
func (o *Output) endSlice(sl *slice, err error) {
	if err == nil {
		o.metrics.count(&sl.arrived)
	}
	for _, b := range sl.batches {
		b.Done(err)
	}
	o.flights.done(len(sl.batches))
}
