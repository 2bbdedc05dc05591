package collector

import (
	"context"
	"slices"
	"sync"

	"millrace/internal/pipeline"
	"millrace/outputs/starrocks"
)

// replayOutput leaves out what the table has, and what comes twice. Batches
// whose question is not answered yet have a goroutine each; Close waits for
// them.
type replayOutput struct {
	*starrocks.Output
	replay *replay
	report func(error)
	ctx    context.Context
	stop   context.CancelFunc
	asking sync.WaitGroup
}

// Write implements pipeline.Output.
func (o *replayOutput) Write(b *pipeline.Batch) {
	o.asking.Go(func() {
		if err := o.leaveOut(b); err != nil {
			b.Done(err)
			return
		}
		b.Claim.Scattered = true
		o.Output.Write(b)
	})
}

// Close implements pipeline.Output.
func (o *replayOutput) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, o.stop)
	defer stop()
	o.asking.Wait()
	o.stop()
	return o.Output.Close(ctx)
}

// leaveOut takes the records out that are in the table already.
func (o *replayOutput) leaveOut(b *pipeline.Batch) error {
	offsets := map[*pipeline.Origin][]int64{}
	for i := range b.Records {
		r := &b.Records[i]
		offsets[r.Origin] = append(offsets[r.Origin], r.Offset)
	}
	present := map[*pipeline.Origin]map[int64]bool{}
	for origin, all := range offsets {
		present[origin] = map[int64]bool{}
		for some := range slices.Chunk(all, replayAsk) {
			if err := o.ask(origin, some, present[origin]); err != nil {
				return err
			}
		}
	}
	o.replay.mu.Lock()
	defer o.replay.mu.Unlock()
	kept := 0
	for i := range b.Records {
		r := &b.Records[i]
		seen := present[r.Origin]
		l := letter{r.Origin.TopicID, r.Origin.Partition, r.Offset}
		if seen[r.Offset] {
			if !o.replay.sent[l] {
				o.replay.present[l] = true
			}
			b.Delivered(b.SpanOf(i), 1)
			continue
		}
		o.replay.sent[l] = true
		seen[r.Offset] = true // the same letter may have been stored twice
		b.Records[kept], b.Records[i] = b.Records[i], b.Records[kept]
		kept++
	}
	b.Records = b.Records[:kept]
	return nil
}

// ask repeats the question until it is answered.
func (o *replayOutput) ask(origin *pipeline.Origin, offsets []int64, into map[int64]bool) error {
	for wait := askAgain; ; wait = min(wait*2, askSeldom) {
		present, err := o.Present(o.ctx, origin.TopicID, origin.Partition, offsets)
		o.report(err)
		if err == nil {
			for at := range present {
				into[at] = true
			}
			return nil
		}
		if !idle(o.ctx, wait) {
			return context.Cause(o.ctx)
		}
	}
}
