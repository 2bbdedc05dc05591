// Package pipeline is the machine both ends of Millrace are made of: a Source
// reads records into batches, filters change or drop them, an Output delivers
// them and says so by Batch.Done.
//
// It guarantees three things. Memory is bounded, because batches come from a
// fixed Pool and a source reads nothing before it holds one. Nothing is
// forgotten, because each batch is Done exactly once and each span of records
// in it must balance when it is: read = delivered + filtered + dropped. And
// shutdown has one order, written once, in Run.
//
// The package starts no goroutine but one for each pipeline of a Group. A
// record travels from the read to the
// output inside one call chain on a goroutine of the source, so order within
// a container or partition is free and a stack trace shows the whole path.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrAborted is the outcome of a batch that its output took back on purpose,
// such as a Kafka transaction that was aborted. Nothing of it counts as
// delivered: the source goes back to its last committed position and reads the
// same records again. Any other error given to Batch.Done means the same for
// the position; ErrAborted says in addition that the output goes on.
var ErrAborted = errors.New("batch aborted by the output")

// Source reads from one end. It calls emit for each batch, from as many
// goroutines as it likes; emit does not block and takes the batch over. Run
// returns when ctx is done and everything it started has ended; an error
// before that ends the pipeline.
//
// When a batch is Done with an error while Run is still running, the source
// reads its records again, beginning at its last committed position.
//
// Close is called once, after the output has let go of the last batch: the
// source saves what was acknowledged.
type Source interface {
	Run(ctx context.Context, emit func(*Batch)) error
	Close() error
}

// Filter changes r in place and says whether to keep it. It is called from
// many goroutines at once and must not depend on the order of records. Bytes
// it needs to make come from mem and live exactly as long as the record.
// A filter that cannot do its work on a record leaves it as it is.
type Filter interface {
	Apply(r *Record, mem *Arena) (keep bool)
}

// Output takes ownership of b in Write and calls b.Done exactly once, now or
// later, from any goroutine. A batch may have no records, and a span none: the
// positions count all the same. Before Done(nil) it has told the batch the
// outcome of each record, by Delivered or Dropped. Write does not block: the
// pool bounds how many batches exist.
//
// Close stops accepting, sends what is left and returns when every batch is
// Done; when ctx ends it gives up and calls Done with an error for the rest.
type Output interface {
	Write(b *Batch)
	Close(ctx context.Context) error
}

// Pipeline is one straight line from a source to an output.
type Pipeline struct {
	Source  Source
	Filters []Filter // applied in order
	Output  Output
	// Drain bounds how long the output may take to send what is left once
	// the source has stopped. A pod's grace period must be longer.
	Drain time.Duration
}

// Run runs the pipeline until ctx is done or the source fails, and returns
// when everything is at rest. It is the only place where the order of
// shutdown is written: stop the source, drain the output, close the source.
// A shutdown that ctx asked for and that lost nothing returns nil.
func (p *Pipeline) Run(ctx context.Context) error {
	err := p.Source.Run(ctx, p.emit)
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = nil
	}
	// The deadline is a fresh one: ctx is over, the drain is not.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.Drain)
	defer cancel()
	if cerr := p.Output.Close(drain); cerr != nil {
		err = errors.Join(err, fmt.Errorf("drain output: %w", cerr))
	}
	if cerr := p.Source.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close source: %w", cerr))
	}
	return err
}

// emit applies the filters and hands the batch to the output.
func (p *Pipeline) emit(b *Batch) {
	if len(p.Filters) > 0 {
		b.filter(p.Filters)
	}
	// Even without records: the position of lines that were filtered counts.
	p.Output.Write(b)
}
