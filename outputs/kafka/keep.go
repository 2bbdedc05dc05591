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
		if ctx.Err() == nil {
			o.health.refused(o.explain(err))
		}
		s.close()
		o.ground(ctx, s, err)
		if ctx.Err() != nil || stops(err) {
			return
		}
		if learned := o.learnLimit(s, err); !learned {
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
	if o.tenure != nil {
		return o.transact(ctx, s, good)
	}
	// The first batch that waits goes alone: when what was refused is still
	// refused, one batch tells, not everything that waits.
	o.launchFirst(s)
	if err := o.land(ctx); err != nil {
		return err
	}
	good()
	o.openGate(s)
	o.health.refused(nil)
	err := o.await(ctx, func() bool { return o.flights.refusal() != nil })
	o.closeGate()
	if err != nil {
		return err
	}
	return o.land(ctx)
}

// land waits until nothing is in the air and returns why records were refused,
// nil if none was. It reports a refusal at once, because what is still in the
// air may take long: a partition without a leader.
func (o *Output) land(ctx context.Context) error {
	err := o.awaitLanding(ctx, func() bool { return o.flights.refusal() != nil || o.flights.allDown() })
	if err != nil {
		return err
	}
	if refusal := o.flights.refusal(); refusal != nil {
		o.health.refused(kafkaconn.Explain(refusal, o.subject))
	}
	if err := o.awaitLanding(ctx, o.flights.allDown); err != nil {
		return err
	}
	return o.flights.refusal()
}

// launchFirst produces the earliest batch that waits, if one does.
func (o *Output) launchFirst(s *session) {
	o.gate.Lock()
	defer o.gate.Unlock()
	o.launchQueue(s, 1)
}

// openGate produces what waits and lets Write produce from here on.
func (o *Output) openGate(s *session) {
	o.gate.Lock()
	defer o.gate.Unlock()
	o.launchQueue(s, len(o.queue))
	o.open = s
}

// launchQueue produces the n earliest batches that wait, in order, as long as
// none is refused. The caller holds the gate.
func (o *Output) launchQueue(s *session, n int) {
	slices.SortFunc(o.queue, bySeq)
	launched := 0
	for _, f := range o.queue[:min(n, len(o.queue))] {
		if !f.launch(s) {
			break
		}
		launched++
	}
	o.queue = slices.Delete(o.queue, 0, launched)
}

func (o *Output) closeGate() {
	o.gate.Lock()
	defer o.gate.Unlock()
	o.open = nil
}

// ground waits for the records of a client that was closed because of err, and
// puts what it did not deliver back in the queue. What was in a transaction is
// not delivered.
func (o *Output) ground(ctx context.Context, s *session, err error) {
	o.awaitLanding(context.Background(), o.flights.allDown) //nolint:errcheck // a context that never ends
	if o.tenure != nil {
		o.groundSlice(ctx, s, err)
		return
	}
	o.gate.Lock()
	defer o.gate.Unlock()
	o.queue = append(o.queue, o.flights.takeBack()...)
}

// awaitLanding is await for what each flight that lands may bring about.
func (o *Output) awaitLanding(ctx context.Context, done func() bool) error {
	o.landing.Store(true)
	defer o.landing.Store(false)
	return o.await(ctx, done)
}

// await waits until done, and keeps an eye on how long confirmations take.
func (o *Output) await(ctx context.Context, done func() bool) error {
	return o.awaitUntil(ctx, nil, done)
}

// awaitUntil is await that also ends when it is time.
func (o *Output) awaitUntil(ctx context.Context, it <-chan time.Time, done func() bool) error {
	tick := time.NewTicker(o.tuning.stallAfter / 4)
	defer tick.Stop()
	for !done() {
		select {
		case <-o.wake:
		case <-it:
			return nil
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
