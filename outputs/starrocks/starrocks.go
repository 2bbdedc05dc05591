// Package starrocks delivers batches to a StarRocks table: one batch is one
// Stream Load under one label. An acknowledged batch is in the table, each of
// its records as one row; a batch that is not acknowledged may be in, if the
// process ended before StarRocks told.
//
// Each load has a goroutine, and one more reads the table's description at the
// start; Close waits for all of them. Failures are repeated for ever with the
// same label and the same bytes, while the output reports in one sentence why
// it does not get on; no record is skipped, and those that can be no row go to
// the dead-letter topic first.
package starrocks

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/pipeline"
)

// Options are what an Output is made of.
type Options struct {
	Config Config
	// Pipeline is the pipeline's name, for metrics.
	Pipeline string
	Logger   *slog.Logger          // nil: discard
	Registry prometheus.Registerer // nil: no metrics
	// Report is told how the output is: nil is fine, an error is one sentence
	// why it does not get on. It must not block; calls come one at a time.
	Report func(error)
	// Visible has batches acknowledged only when their rows can be seen, which
	// is a moment after they are committed: for a source that asks for rows.
	Visible bool
	// DeadLetters stores records that can be no row, and returns when all of
	// them are safe. Nil: there is no place for them, and such a record stops
	// the pipeline. It may be called concurrently; the records' bytes are its
	// own only until it returns.
	DeadLetters func(ctx context.Context, letters []DeadLetter) error
}

// DeadLetter is a record that can be no row of the table.
type DeadLetter struct {
	TopicID   string // as in pipeline.Origin
	Partition int32
	Offset    int64
	Value     []byte // as it came from Kafka
	Reason    string // without any of Value
	Table     string // database.table
}

// Output is a pipeline.Output that loads batches into a StarRocks table.
type Output struct {
	cfg     Config
	log     *slog.Logger
	dead    func(context.Context, []DeadLetter) error
	main    *destination
	metrics *metrics
	faults  faults
	pace    *pace
	wait    bool // Options.Visible
	// visible is the label of the load that was the last to become visible.
	visible atomic.Pointer[string]

	mu     sync.Mutex
	former []*destination // of before the configuration was changed

	slots   chan *slot // load.concurrency of them
	work    sync.WaitGroup
	closing chan struct{}   // closed when Close begins
	ctx     context.Context // ends when nothing shall be tried any more
	stop    context.CancelCauseFunc
}

// New starts an Output. It dials nothing itself; until the table's description
// was read (query_addr), batches wait. The error is about the options.
func New(opts Options) (*Output, error) {
	o := &Output{
		cfg: opts.Config, log: opts.Logger, dead: opts.DeadLetters,
		metrics: newMetrics(opts.Pipeline, opts.Registry),
		faults:  faults{report: opts.Report},
		pace:    newPace(opts.Config.Load.MaxPerSecond),
		wait:    opts.Visible,
		slots:   make(chan *slot, opts.Config.Load.Concurrency),
		closing: make(chan struct{}),
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	for range cap(o.slots) {
		c, err := newCompressor(o.cfg.Compression)
		if err != nil {
			return nil, err
		}
		o.slots <- &slot{compress: c}
	}
	o.ctx, o.stop = context.WithCancelCause(context.Background())
	o.main = newDestination(&o.cfg)
	if o.cfg.QueryAddr == "" {
		if err := o.main.use(defaultTable(o.cfg.Columns)); err != nil {
			return nil, err
		}
		o.faults.set("table", nil)
		return o, nil
	}
	o.begin(o.main)
	return o, nil
}

// Visible is the label of the load that was the last to become visible in the
// database that loads go to now; empty when none did yet.
func (o *Output) Visible() string {
	if label := o.visible.Load(); label != nil {
		return *label
	}
	return ""
}

func (o *Output) noteVisible(label string) { o.visible.Store(&label) }

// begin finds out what a destination's table is.
func (o *Output) begin(d *destination) {
	if d.cfg.QueryAddr != "" {
		o.work.Go(func() { o.describe(d) })
		return
	}
	if err := d.use(defaultTable(d.cfg.Columns)); err != nil {
		o.faults.set(d.part(), err)
	}
}

// part is the part of the output's health that is about the table.
func (d *destination) part() string { return "table " + d.name() }

// describe reads the table's description, for as long as it takes.
func (o *Output) describe(d *destination) {
	wait := minBackoff
	for {
		t, err := describe(o.ctx, d.cfg)
		if errors.Is(err, errNoTable) && d.cfg.CreateTable {
			if err = d.create(o.ctx); err == nil {
				o.log.Info("created the table", "table", d.name())
				t, err = describe(o.ctx, d.cfg)
			}
		}
		if err == nil {
			err = d.use(t)
		}
		if o.ctx.Err() != nil {
			return
		}
		o.faults.set(d.part(), err)
		if err == nil {
			o.about(o.ctx, d)
			return
		}
		if sleep(o.ctx, wait) != nil {
			return
		}
		wait = min(wait*2, d.cfg.Load.MaxBackoff)
	}
}

// Write implements pipeline.Output. It takes the batch over and returns at
// once; the source's pool bounds how many wait.
func (o *Output) Write(b *pipeline.Batch) {
	o.work.Go(func() {
		err := o.load(b)
		b.Done(err)
	})
}

// errClosed is why batches that were left at the end of the drain are not
// acknowledged.
var errClosed = errors.New("the drain ended before StarRocks took the batch")

// Close implements pipeline.Output: it waits until every batch is loaded, or
// until ctx ends, and gives up the rest. Batches that no time would help, for
// instance because the table was never found, are given up at once.
func (o *Output) Close(ctx context.Context) error {
	close(o.closing)
	done := make(chan struct{})
	go func() { o.work.Wait(); close(done) }()
	select {
	case <-o.main.described:
	default:
		// Nothing can be loaded before the table is known, and no batch that
		// waits for it has begun.
		o.stop(errClosed)
	}
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		o.stop(errClosed)
		<-done
		err = errClosed
	}
	o.stop(errClosed)
	for _, d := range append(o.former, o.main) {
		d.remote.http.CloseIdleConnections()
	}
	return err
}

// halt waits for the end of an output that cannot go on with a batch.
func (o *Output) halt(ctx context.Context) error {
	select {
	case <-o.closing:
	case <-ctx.Done():
	}
	return errClosed
}

// errLost is why a batch that another process decides about is given back.
var errLost = errors.New("the batch is another process's now")

// claimed is a context that ends when nothing of the batch may be sent any
// more.
func (o *Output) claimed(b *pipeline.Batch) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(o.ctx)
	if b.Claim.Lost == nil {
		return ctx, func() { cancel(nil) }
	}
	released := make(chan struct{})
	o.work.Go(func() {
		select {
		case <-b.Claim.Lost:
			cancel(errLost)
		case <-released:
		}
	})
	return ctx, func() { close(released); cancel(nil) }
}

// load makes rows of a batch and brings them into the table. An error means
// that none of it is in, or that it is not known: when the output is closed, or
// the batch is not ours any more, or its records are refused.
func (o *Output) load(b *pipeline.Batch) error {
	ctx, cancel := o.claimed(b)
	defer cancel()
	d := o.destinationOf(b)
	select {
	case <-d.described:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var s *slot
	select {
	case s = <-o.slots:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { o.slots <- s }()
	if b.ID == "" {
		b.ID = "millrace-" + rand.Text()
	}
	v := &shipment{to: d, label: b.ID, after: b.Claim.After, fresh: b.Claim.Fresh}
	if b.Claim.Again {
		v.begin()
	}
	for {
		s.table = d.name()
		s.encode(b, d.shape.Load().layout)
		if err := o.bury(ctx, b, s); err != nil {
			return err
		}
		if len(s.written) > 0 {
			again, err := o.send(ctx, b, v, s)
			if err != nil {
				return err
			}
			if again {
				continue
			}
		}
		s.settle(b)
		return nil
	}
}

// send brings the encoded rows into the table. again means that they have to be
// made anew first, for a table that was altered.
func (o *Output) send(ctx context.Context, b *pipeline.Batch, v *shipment, s *slot) (again bool, err error) {
	body, err := s.compress.frame(s.frame, b.Out)
	if err != nil {
		return false, err
	}
	if o.cfg.Compression != "none" {
		s.frame = body
	}
	v.body, v.rows, v.ranges = body, len(s.written), rangesOf(b)
	began := time.Now()
	err = o.deliver(ctx, v)
	if refusal := (*refusal)(nil); errors.As(err, &refusal) {
		return o.onRefusal(ctx, b, s, refusal)
	}
	if err != nil {
		return false, err
	}
	now := time.Now()
	o.metrics.duration.Observe(now.Sub(began).Seconds())
	o.metrics.bytes.Add(float64(len(body)))
	o.metrics.rows.Add(float64(len(s.written)))
	for i, n := range s.rows.unreadable {
		if n > 0 {
			o.metrics.unreadable.WithLabelValues(s.rows.layout.targets[i].name).Add(float64(n))
		}
	}
	o.metrics.timeToVisible.observe(now, s.written)
	return false, nil
}
