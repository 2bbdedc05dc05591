package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
)

// keep owns the client: it connects, lets the records through for as long as
// Kafka takes them, and when it refuses some begins anew with a new client,
// because some refusals stay with a client for ever (a producer id that could
// not be had, a topic that was created again). It returns when ctx is done,
// with the gate closed, nothing in the air, and everything undelivered in the
// queue.
func (o *Output) keep(ctx context.Context, s *session) {
	o.health.refused(fmt.Errorf("connecting to %v", o.config.Conn.Brokers))
	wait := o.tuning.minBackoff
	for {
		err := o.fly(ctx, s, func() { wait = o.tuning.minBackoff })
		if ctx.Err() == nil && o.learnLimit(s, err) {
			err = nil
		} else if ctx.Err() == nil {
			o.health.refused(kafkaconn.Explain(err, o.subject))
		}
		s.client.Close()
		o.ground()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if pause(ctx, wait) != nil {
				return
			}
			wait = min(2*wait, o.tuning.maxBackoff)
		}
		s = s.renew()
	}
}

// fly is the time of one client: it returns why the client is of no more use,
// with the gate closed and, unless ctx is done, nothing in the air. good is
// called when records got through.
func (o *Output) fly(ctx context.Context, s *session, good func()) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	// The first batch that waits goes alone: when what was refused is still
	// refused, one batch tells, not everything that waits.
	if f := o.first(); f != nil {
		if !f.produce(s) {
			f.arrive()
		}
		if err := o.awaitLanding(ctx); err != nil {
			return err
		}
		if err := o.flights.refusal(); err != nil {
			return err
		}
	}
	good()
	o.openGate(s)
	o.health.refused(nil)
	err := o.await(ctx, func() bool { return o.flights.refusal() != nil })
	o.closeGate()
	if err != nil {
		return err
	}
	refusal := o.flights.refusal()
	o.health.refused(kafkaconn.Explain(refusal, o.subject))
	if err := o.awaitLanding(ctx); err != nil {
		return err
	}
	return refusal
}

// first takes the earliest batch out of the queue.
func (o *Output) first() *flight {
	o.gate.Lock()
	defer o.gate.Unlock()
	if len(o.queue) == 0 {
		return nil
	}
	slices.SortFunc(o.queue, bySeq)
	f := o.queue[0]
	o.queue = slices.Delete(o.queue, 0, 1)
	return f
}

// openGate produces what waits, in order, and lets Write produce from here on.
func (o *Output) openGate(s *session) {
	var empty []*flight
	o.gate.Lock()
	for _, f := range o.queue { // first sorted it
		if !f.produce(s) {
			empty = append(empty, f)
		}
	}
	o.queue = nil
	o.open = s
	o.gate.Unlock()
	for _, f := range empty {
		f.arrive()
	}
}

func (o *Output) closeGate() {
	o.gate.Lock()
	defer o.gate.Unlock()
	o.open = nil
}

// ground waits for the records of a client that was closed, and puts what it
// did not deliver back in the queue.
func (o *Output) ground() {
	o.awaitLanding(context.Background()) //nolint:errcheck // a context that never ends
	o.gate.Lock()
	defer o.gate.Unlock()
	o.queue = append(o.queue, o.flights.takeBack()...)
}

// awaitLanding waits until the client holds nothing of ours.
func (o *Output) awaitLanding(ctx context.Context) error {
	o.landing.Store(true)
	defer o.landing.Store(false)
	return o.await(ctx, o.flights.allDown)
}

// await waits until done, and keeps an eye on how long confirmations take.
func (o *Output) await(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(o.tuning.stallAfter / 4)
	defer tick.Stop()
	for !done() {
		select {
		case <-o.wake:
		case <-tick.C:
			o.health.stalled(o.overdue())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// overdue tells that Kafka takes records but does not confirm them, which the
// client retries without a word: fewer replicas in sync than the topic's
// min.insync.replicas, a partition without a leader.
func (o *Output) overdue() error {
	since := o.flights.oldest()
	if since.IsZero() || time.Since(since) < o.tuning.stallAfter {
		return nil
	}
	return fmt.Errorf("brokers %v have not confirmed a batch for topic %q within %v: check that its partitions have a leader and min.insync.replicas replicas in sync",
		o.config.Conn.Brokers, o.config.Topic, o.tuning.stallAfter)
}

// learnLimit notes that a batch was too large for the topic, and tells whether
// a lower limit is to be tried at once.
func (o *Output) learnLimit(s *session, err error) bool {
	if !errors.Is(err, kerr.MessageTooLarge) || s.batchLimit() <= minLearned {
		return false
	}
	s.refusedAt = s.batchLimit()
	return true
}

// warnDropped tells, at most once a minute, which container's record could not
// be delivered. Its content is nobody's business.
func (o *Output) warnDropped(r *pipeline.Record) {
	now, last := time.Now().UnixNano(), o.lastDropWarning.Load()
	if now-last < int64(time.Minute) || !o.lastDropWarning.CompareAndSwap(last, now) {
		return
	}
	o.log.Warn("a record does not fit the topic even without its message and was dropped",
		slog.String("topic", o.config.Topic), slog.String("from", r.Origin.Account.Name))
}

// pause waits for about d.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
