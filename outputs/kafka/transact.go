package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
)

// Why transactions are aborted, as the metric says it.
const (
	becauseRefused     = "refused"     // Kafka refused a record or a position
	becauseBehind      = "behind"      // a position lies behind records that were aborted
	becauseTimeout     = "timeout"     // something was not confirmed in time
	becauseFenced      = "fenced"      // another process has the transactional id
	becauseUnconfirmed = "unconfirmed" // the commit was asked for and did not happen
	becauseClosed      = "closed"      // the output was closed
)

// errBehind is why a slice is aborted that holds a position behind a hole.
var errBehind = errors.New("a position lies behind records that were aborted")

// errTimeout is part of the sentence about a slice that takes too long.
var errTimeout = errors.New("not confirmed a transaction")

// transact is the time of one client with transactions, slice after slice. It
// returns why the client is of no more use, with the gate closed.
func (o *Output) transact(ctx context.Context, s *session, good func()) error {
	t := o.tenure
	if err := t.begin(ctx, s); err != nil {
		return err
	}
	if !t.failed {
		o.health.refused(nil)
	}
	for {
		if err := o.awaitWork(ctx, t.failed); err != nil {
			return err
		}
		if o.dropStray(); !o.queued() {
			continue
		}
		err := o.transactSlice(ctx, s)
		switch {
		case errors.Is(err, errBehind):
			o.discard(o.takeSlice(s), pipeline.ErrAborted)
			continue
		case err != nil:
			t.failed = true
			return err
		}
		good()
		t.failed = false
		o.health.refused(nil)
	}
}

// awaitWork waits for something to transact. After a slice that failed there is
// normally something to be read again; when there is not, nothing is known to
// be wrong after a while.
func (o *Output) awaitWork(ctx context.Context, failed bool) error {
	if failed {
		timer := time.NewTimer(o.tuning.stallAfter)
		defer timer.Stop()
		if err := o.awaitUntil(ctx, timer.C, o.queued); err != nil || o.queued() {
			return err
		}
		o.health.refused(nil)
	}
	return o.await(ctx, o.queued)
}

// queued tells that something waits for the gate.
func (o *Output) queued() bool {
	o.gate.RLock()
	defer o.gate.RUnlock()
	return len(o.queue) > 0
}

// transactSlice is one transaction, from its first batch to the answer to its
// commit. When it fails, the session's slice is still there, or in doubt.
func (o *Output) transactSlice(ctx context.Context, s *session) error {
	sl, err := o.openSlice(ctx, s)
	if err != nil {
		return err
	}
	interval := time.NewTimer(o.config.Transaction.Interval)
	defer interval.Stop()
	due := func() bool { return o.flights.refusal() != nil || sl.full() || o.closing() }
	if err := o.awaitUntil(ctx, interval.C, due); err != nil {
		o.closeGate()
		return err
	}
	o.closeGate()
	closed := time.Now()
	if err := o.fillSlice(ctx, s, sl); err != nil {
		return o.abort(ctx, s, err)
	}
	if err := o.commit(ctx, s, sl); err != nil {
		return err
	}
	o.metrics.commitTime.Observe(time.Since(closed).Seconds())
	return nil
}

// openSlice begins a transaction with what waits, and opens the gate.
func (o *Output) openSlice(ctx context.Context, s *session) (*slice, error) {
	if err := s.client.BeginTransaction(); err != nil {
		return nil, kafkaconn.Explain(err, o.subject)
	}
	t := o.tenure
	if err := t.noteProducer(ctx, s); err != nil {
		return nil, kafkaconn.Explain(err, o.subject)
	}
	t.number++
	sl := &slice{number: t.number, begun: time.Now()}
	s.turn()
	s.slice = sl
	o.openGate(s)
	return sl, nil
}

// fillSlice adds the positions and waits until Kafka has everything; nothing is
// added to the slice meanwhile. An error says why it must not be committed.
func (o *Output) fillSlice(ctx context.Context, s *session, sl *slice) error {
	if err := o.flights.refusal(); err != nil {
		return err
	}
	if err := o.producePositions(s, sl); err != nil {
		return err
	}
	// Ends the client's linger and does not wait: a refusal is to be heard.
	over, cancel := context.WithCancel(ctx)
	cancel()
	s.client.Flush(over) //nolint:errcheck // that the context is over

	timeout := time.NewTimer(time.Until(sl.begun.Add(o.config.Transaction.Timeout)))
	defer timeout.Stop()
	complete := false
	o.landing.Store(true)
	defer o.landing.Store(false)
	err := o.awaitUntil(ctx, timeout.C, func() bool {
		all, refusal := sl.settled()
		complete = all && o.flights.allDown()
		return complete || refusal != nil || o.flights.refusal() != nil
	})
	if err != nil {
		return err
	}
	if _, refusal := sl.settled(); refusal != nil {
		return refusal
	}
	if refusal := o.flights.refusal(); refusal != nil {
		return refusal
	}
	if !complete {
		return say("brokers %v have %w for topic %q within transaction.timeout, %v: check that the topic's partitions have a leader and min.insync.replicas replicas in sync",
			o.config.Conn.Brokers, errTimeout, o.config.Topic, o.config.Transaction.Timeout)
	}
	return o.sameProducer(ctx, s)
}

// sameProducer fails when the client has taken another producer id or epoch in
// the middle of the transaction, as it does by itself when a partition's
// records were deleted up to the last of ours: that ended the transaction, and
// a commit would be of what came after.
func (o *Output) sameProducer(ctx context.Context, s *session) error {
	t := o.tenure
	producer, epoch, err := s.client.ProducerID(ctx)
	if err != nil {
		return err
	}
	if producer != t.producer || epoch != t.epoch {
		return say("brokers %v forgot the transactional producer %q in the middle of a transaction, which happens when the records of a topic are deleted",
			o.config.Conn.Brokers, t.life.TransactionalID)
	}
	return nil
}

// producePositions adds the positions that the slice reaches, and its record.
func (o *Output) producePositions(s *session, sl *slice) error {
	t := o.tenure
	reached, err := sl.last(t.positions)
	if err != nil {
		return fmt.Errorf("%w: %w", errBehind, err)
	}
	recs := make([]*kgo.Record, 0, len(reached)+1)
	for container, pos := range reached {
		recs = append(recs, t.positionRecord(container, pos))
	}
	recs = append(recs, t.sliceRecord(sl.number))
	sl.expect(len(recs))
	for _, rec := range recs {
		s.client.Produce(context.Background(), rec, func(_ *kgo.Record, err error) {
			if err != nil {
				o.metrics.refused(err)
				// Not wrapped: one that is too large says nothing about the
				// topic of the records.
				err = say("%v", kafkaconn.Explain(err, o.positionsSubject("Write")))
			}
			sl.settle(err)
			o.wakeKeeper()
		})
	}
	return nil
}

// commit asks for the commit. When Kafka does not say yes, the slice is in
// doubt: the request may have been carried out all the same.
func (o *Output) commit(ctx context.Context, s *session, sl *slice) error {
	t := o.tenure
	// A coordinator that does not answer leaves the slice in doubt.
	bounded, stop := context.WithTimeout(ctx, o.config.Transaction.Timeout+o.tuning.dialWait)
	err := s.client.EndTransaction(bounded, kgo.TryCommit)
	stop()
	s.slice = nil
	if err == nil {
		o.committed(sl)
		return t.noteProducer(ctx, s)
	}
	t.doubt = sl
	t.fenced = fencedBy(err)
	// Ends what is open, for the readers' sake; the next session finds out.
	ctx, cancel := context.WithTimeout(ctx, o.tuning.dialWait)
	defer cancel()
	if err := s.client.EndTransaction(ctx, kgo.TryAbort); fencedBy(err) {
		t.fenced = true
	}
	return fmt.Errorf("commit a transaction: %w", kafkaconn.Explain(err, o.subject))
}

// committed ends a slice that counts.
func (o *Output) committed(sl *slice) {
	o.metrics.committed.Inc()
	o.metrics.transactionTime.Observe(time.Since(sl.begun).Seconds())
	o.endSlice(sl, nil)
}

// abort ends the transaction, because of why, which it returns. The client is
// good for another one only if the error is errBehind.
func (o *Output) abort(ctx context.Context, s *session, why error) error {
	t := o.tenure
	reason := becauseRefused
	switch {
	case ctx.Err() != nil:
		reason = becauseClosed
	case errors.Is(why, errBehind):
		reason = becauseBehind
	case errors.Is(why, errTimeout):
		reason = becauseTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.tuning.dialWait)
	defer cancel()
	err := s.client.AbortBufferedRecords(ctx)
	if err == nil {
		err = s.client.EndTransaction(ctx, kgo.TryAbort)
	}
	if fencedBy(err) {
		t.fenced, reason = true, becauseFenced
	}
	o.aborted(reason)
	if err != nil && errors.Is(why, errBehind) {
		return kafkaconn.Explain(err, o.subject)
	}
	return why
}

func (o *Output) aborted(reason string) { o.metrics.aborted.WithLabelValues(reason).Inc() }

// takeSlice is the session's slice, which nobody adds to any more.
func (o *Output) takeSlice(s *session) *slice {
	o.awaitLanding(context.Background(), o.flights.allDown) //nolint:errcheck // a context that never ends
	sl := s.slice
	s.slice = nil
	return sl
}

// groundSlice ends what a session left that was closed because of err. A slice
// in doubt stays, and with it what was written after it: the next session
// finds out. When the output closes, Close ends what is left.
func (o *Output) groundSlice(ctx context.Context, s *session, err error) {
	t := o.tenure
	sl := o.takeSlice(s)
	switch {
	case ctx.Err() != nil:
		o.takeDown()
		t.left = sl
	case stops(err):
		if t.doubt != nil {
			o.endSlice(t.doubt, err)
			t.doubt = nil
		}
		o.discard(sl, err)
	case sl != nil:
		o.discard(sl, pipeline.ErrAborted)
	}
}

// takeDown clears flights whose records were refused: their batches are those
// of the slice.
func (o *Output) takeDown() {
	for _, f := range o.flights.takeBack() {
		o.flights.put(f)
	}
}

// endLeft ends the slices that Close finds undecided and returns how many
// batches they had.
func (t *tenure) endLeft(o *Output, err error) (n int) {
	for _, sl := range []*slice{t.doubt, t.left} {
		if sl != nil {
			n += len(sl.batches)
			o.endSlice(sl, err)
		}
	}
	t.doubt, t.left = nil, nil
	return n
}

// discard ends a slice that does not count, if there is one, and everything
// that was written after it: its positions lie behind a hole now.
func (o *Output) discard(sl *slice, outcome error) {
	o.takeDown()
	if sl != nil {
		o.endSlice(sl, outcome)
	}
	o.gate.Lock()
	queue := o.queue
	o.queue = nil
	o.gate.Unlock()
	slices.SortFunc(queue, bySeq)
	for _, f := range queue {
		f.end(outcome)
	}
	o.tenure.stray = true
}

// dropStray sends back what was emitted before the source knew of an abort and
// written after it, before it costs a transaction.
func (o *Output) dropStray() {
	t := o.tenure
	if !t.stray {
		return
	}
	t.stray = false
	o.gate.Lock()
	queue := o.queue
	o.queue = nil
	o.gate.Unlock()
	slices.SortFunc(queue, bySeq)
	// One that goes back makes a hole for those behind it.
	kept := queue[:0]
	for _, f := range queue {
		if f.stray(t.positions) {
			f.end(pipeline.ErrAborted)
		} else {
			kept = append(kept, f)
		}
	}
	o.gate.Lock()
	defer o.gate.Unlock()
	o.queue = append(kept, o.queue...)
}

// stray tells that a position of the flight must not be committed.
func (f *flight) stray(p Positions) bool {
	return slices.ContainsFunc(f.batch.Spans, func(span pipeline.Span) bool {
		_, _, err := p.Encode(span.Position)
		return err != nil
	})
}

// closing tells that Close waits.
func (o *Output) closing() bool {
	o.gate.RLock()
	defer o.gate.RUnlock()
	return o.closed
}

// stops tells that an error is for good.
func stops(err error) bool {
	var stop *stopError
	return errors.As(err, &stop)
}
