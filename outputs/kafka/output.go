// Package kafka is the output that delivers records to a Kafka topic: at least
// once, by an idempotent producer with acks=all that never gives up, or exactly
// once, by a transactional one that commits the source's positions with them.
//
// A batch is encoded into its own Out, its records are produced from a slab
// that is used again, and the batch is Done when Kafka has confirmed the last
// of them. While brokers are down or a password is wrong, franz-go keeps the
// records and retries. When Kafka refuses records for a reason that no retry
// fixes (a missing right, a missing topic), the output holds their batches,
// closes its gate for the ones that come after them, says so, and produces
// what was not delivered again, in the old order, until it works. Nothing is
// skipped; how much can be held is bounded by the pool the batches come from.
//
// With exactly_once time is cut into slices, a transaction each. A slice begins
// with the first batch that waits and ends after transaction.interval: the gate
// closes, the positions that the slice reaches are added, and when Kafka has
// confirmed each record and position the slice is committed and its batches are
// Done. A batch gives its memory back when its records are confirmed; while a
// commit is under way the next batches are encoded and wait. When anything is
// refused the slice is aborted: its batches and those behind them are Done with
// ErrAborted, and the source reads them again. A commit that was not answered
// leaves the slice in doubt until the next session has read its record from the
// positions topic.
//
// Goroutines: one keeper per output (keep.go), started by New and ended by
// Close, besides those of the Kafka client. Files: output.go takes batches,
// flight.go carries one through the client, keep.go owns the client and
// recovers, session.go is one client's life, health.go says what is wrong;
// transact.go commits slice after slice, tenure.go makes this process the only
// owner of the positions, resume.go finds out what was committed, read.go and
// envelope.go read the positions topic, place.go finds it; compress.go and
// lz4.go compress record batches.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
)

// Options are what New needs to know.
type Options struct {
	// Config must have been validated.
	Config Config
	// Pipeline is the pipeline's name: the label of the metrics and a part
	// of the client id.
	Pipeline string
	// Logger may be nil. Only what cannot be reported is logged: rights that
	// are missing but not needed, and records that were dropped.
	Logger *slog.Logger
	// Registerer gets the output's metrics; nil means none.
	Registerer prometheus.Registerer
	// Report gets one sentence whenever the reason why records do not flow
	// changes, and nil when they can; until its first call the output is on
	// its way. Nil means nobody listens. It is called from several
	// goroutines, one at a time; it must not block and must not call the
	// output.
	Report func(error)

	// The following are for exactly_once, where none may be nil.

	// Positions is the source.
	Positions Positions
	// Life says whose positions they are. It is asked in each session and may
	// wait until ctx ends.
	Life func(ctx context.Context) (Life, error)
	// Commission notes durably where the positions are, from here on: called
	// after the first transaction that holds all of them and before that of
	// the first record. An error is reported and it is called again.
	Commission func(Place) error
}

// errClosed is the outcome of batches that were written too late.
var errClosed = errors.New("the kafka output is closed")

// Output implements pipeline.Output. Write may be called concurrently.
type Output struct {
	config  Config
	subject kafkaconn.Subject
	log     *slog.Logger
	metrics *metrics
	health  *health
	tuning  tuning

	// gate is held shared while a batch is encoded and produced, and
	// exclusively to open and close the gate: when the gate is closed,
	// nothing is on its way into the client.
	gate   sync.RWMutex
	open   *session  // nil: the gate is closed
	queue  []*flight // what waits for the gate, sorted by seq when it opens
	closed bool

	// limit is the latest session's recordLimit: what is written while the
	// gate is closed is encoded for it. Zero before it is known.
	limit atomic.Int64

	tenure *tenure // with exactly_once

	seq     atomic.Uint64
	promise func(*kgo.Record, error) // stored once, so that no record allocates it
	flights flights

	// wake tells the keeper that a flight was refused or, while it waits for
	// all of them to be down (landing), that one is.
	wake    chan struct{}
	landing atomic.Bool
	stop    context.CancelFunc
	kept    chan struct{} // closed when the keeper has ended

	// lastDropWarning is when dropped records were last logged, in Unix
	// nanoseconds.
	lastDropWarning atomic.Int64
}

// tuning is what tests set otherwise.
type tuning struct {
	minBackoff, maxBackoff time.Duration // between attempts after a refusal
	stallAfter             time.Duration // a batch that is not confirmed for so long is reported
	dialWait               time.Duration // bounds the questions asked of a new client
	slowRead               time.Duration // reading the positions is explained after so long
}

var defaultTuning = tuning{
	minBackoff: time.Second,
	maxBackoff: 30 * time.Second,
	stallAfter: 30 * time.Second,
	dialWait:   15 * time.Second,
	slowRead:   5 * time.Second,
}

// New returns an output that begins to connect at once. It fails only when the
// options make no client; that brokers cannot be reached is reported, not
// returned.
func New(opts Options) (*Output, error) { return newOutput(opts, defaultTuning) }

func newOutput(opts Options, t tuning) (*Output, error) {
	if opts.Config.Delivery == ExactlyOnce && (opts.Positions == nil || opts.Life == nil || opts.Commission == nil) {
		return nil, errors.New("delivery exactly_once needs positions, the life they belong to, and a way to commission them")
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(opts.Registerer, opts.Pipeline)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	o := &Output{
		config:  opts.Config,
		log:     log,
		metrics: m,
		health:  &health{report: opts.Report},
		tuning:  t,
		wake:    make(chan struct{}, 1),
		stop:    stop,
		kept:    make(chan struct{}),
	}
	o.subject = kafkaconn.Subject{Config: &o.config.Conn, Topic: o.config.Topic, Right: "Write"}
	o.promise = o.settle
	if opts.Config.Delivery == ExactlyOnce {
		o.tenure = newTenure(&opts)
	}
	s, err := o.newSession("millrace-" + opts.Pipeline)
	if err != nil {
		stop()
		return nil, err
	}
	go func() { // ends when Close calls stop; Close waits for kept
		defer close(o.kept)
		o.keep(ctx, s)
	}()
	return o, nil
}

// Write implements pipeline.Output.
func (o *Output) Write(b *pipeline.Batch) {
	f := o.flights.get()
	f.board(o, b)
	if limit := int(o.limit.Load()); limit > 0 {
		f.prepare(limit) // here, where it holds nobody up
	}
	for !o.launch(f) && !o.enqueue(f) {
		// The gate opened or closed in between.
	}
}

// launch produces f if the gate is open and nothing was refused.
func (o *Output) launch(f *flight) bool {
	o.gate.RLock()
	defer o.gate.RUnlock()
	if o.open == nil || !f.launch(o.open) {
		return false
	}
	if sl := o.open.slice; sl != nil && sl.full() {
		o.wakeKeeper()
	}
	return true
}

// enqueue lets f wait if the gate is closed, or is to be: the keeper may not
// have got round to it.
func (o *Output) enqueue(f *flight) bool {
	o.gate.Lock()
	if o.flights.refusal() != nil {
		o.open = nil
	}
	closed, open := o.closed, o.open != nil
	if !closed && !open {
		o.queue = append(o.queue, f)
	}
	o.gate.Unlock()
	if o.tenure != nil {
		o.wakeKeeper() // there is something to open the gate for
	}
	if closed && !open {
		f.end(errClosed)
	}
	return !open
}

// Close implements pipeline.Output. It waits until everything written has been
// confirmed; when ctx ends first, it ends the client, calls Done with an error
// for the batches that were not, and returns an error that says how many.
func (o *Output) Close(ctx context.Context) error {
	o.gate.Lock()
	o.closed = true
	o.gate.Unlock()
	o.wakeKeeper()
	select {
	case <-o.flights.idle():
	case <-o.kept: // it gave up for good
	case <-ctx.Done():
	}
	o.stop()
	<-o.kept

	o.gate.Lock()
	left := o.queue
	o.queue = nil
	o.gate.Unlock()
	why := o.health.current()
	if why == nil {
		why = errors.New("it was not confirmed in time")
	}
	err := fmt.Errorf("deliver to topic %q before the output closed: %w", o.config.Topic, why)
	n := len(left)
	if o.tenure != nil {
		n += o.tenure.endLeft(o, err)
	}
	for _, f := range left {
		f.end(err)
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d batches left: %w", n, err)
}

// key is the key of a record, empty for none.
func (o *Output) key(r *pipeline.Record) string {
	switch o.config.Key {
	case KeyPod:
		return r.Origin.Pod
	case KeyContainer:
		return r.Origin.Container
	}
	return ""
}
