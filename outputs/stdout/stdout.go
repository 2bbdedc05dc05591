// Package stdout prints records as lines of JSON, for trying out a pipeline.
// It has no goroutine: Write prints before it returns, so a slow terminal
// slows the pipeline down.
package stdout

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"

	"millrace/internal/pipeline"
)

// Config is the output's section; it has no keys.
type Config struct{}

// Output implements pipeline.Output.
type Output struct {
	report func(error)

	mu sync.Mutex
	w  *bufio.Writer
}

// New prints to w. report is told whether printing works.
func New(w io.Writer, report func(error)) *Output {
	report(nil)
	return &Output{w: bufio.NewWriter(w), report: report}
}

// Write prints the batch's records as they would go to Kafka. A batch that
// cannot be printed, because the reader of a pipe has gone, is aborted.
func (o *Output) Write(b *pipeline.Batch) {
	if err := o.print(b); err != nil {
		o.report(fmt.Errorf("print records: %w; restart with a standard output that takes them", err))
		b.Done(pipeline.ErrAborted)
		return
	}
	for i := range b.Records {
		b.Delivered(b.SpanOf(i), 1)
	}
	b.Done(nil)
}

func (o *Output) print(b *pipeline.Batch) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range b.Records {
		// Whatever limit there is on Kafka, there is none on a terminal.
		line, _, _ := b.Records[i].AppendJSON(b.Out[:0], 1<<62)
		b.Out = append(line, '\n')
		if _, err := o.w.Write(b.Out); err != nil {
			return err
		}
	}
	return o.w.Flush()
}

// Close implements pipeline.Output; nothing is ever left.
func (o *Output) Close(context.Context) error { return nil }
