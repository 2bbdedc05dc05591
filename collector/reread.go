package collector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
)

// rereadTimeout is how long the records of a plan may be in coming, each poll
// anew.
const rereadTimeout = 30 * time.Second

// reread is the records of a plan that is sent again, read by a goroutine.
type reread struct {
	load  *load
	batch *pipeline.Batch // nil: it failed
	err   error
}

// again reads the records of a plan that has to be sent again, in its lane's
// turn. All of them, of whoever's partitions: the label means the whole.
func (s *source) again(d *load) {
	d.lane.busy = true
	origins := make([]*pipeline.Origin, len(d.plan.Parts))
	for i, r := range d.plan.Parts {
		origins[i] = &pipeline.Origin{Account: s.account(r.partition), Partition: r.partition, TopicID: s.topic.id}
	}
	s.work.Go(func() {
		s.askMembership(d.ctx) // no commit of ours has proved it yet
		r := reread{load: d}
		r.batch, r.err = s.readPlan(d.ctx, d.plan, origins)
		if r.err != nil && d.ctx.Err() == nil {
			s.health.set("plan "+d.plan.Label, r.err)
		}
		select {
		case s.rereads <- r:
		case <-s.ended:
			discard(r.batch)
		}
	})
}

// discard gives back a batch that nobody wants any more.
func discard(b *pipeline.Batch) {
	if b != nil {
		b.Emitted()
		b.Done(pipeline.ErrAborted)
	}
}

// resend sends the records of a plan on their way.
func (s *source) resend(r reread) {
	d, b := r.load, r.batch
	switch {
	case b == nil && d.leads && d.ctx.Err() == nil && !s.isDraining:
		// The lane goes on; this is tried again in a while.
		d.lane.busy = false
		d.lane.later(s, d)
		return
	case b == nil, !d.leads, s.isDraining:
		d.lane.busy = false
		s.health.set("plan "+d.plan.Label, nil)
		discard(b)
		s.handOverForeign(d)
		for _, c := range d.cuts {
			c.part.account.HandOver()
		}
		if !s.isDraining {
			s.resolve(d, d.leads)
		}
		return
	}
	s.health.set("plan "+d.plan.Label, nil)
	for i := range b.Spans {
		b.Spans[i].Account.TakeOver(int64(b.Spans[i].Records()))
	}
	for _, c := range d.ours() {
		c.part.flights = 1
	}
	b.Claim.Again = true
	s.emitLoad(d, b)
}

// later puts a load back into the lane after a while.
func (l *lane) later(s *source, d *load) {
	s.work.Go(func() {
		v := verdict{d, isOut}
		if !idle(d.ctx, askSeldom/2) {
			v.fate = unresolved
		}
		select {
		case s.verdicts <- v:
		case <-s.ended:
		}
	})
}

// readPlan reads exactly the plan's ranges, beside the group.
func (s *source) readPlan(ctx context.Context, p *plan, origins []*pipeline.Origin) (*pipeline.Batch, error) {
	from := map[int32]kgo.Offset{}
	for _, r := range p.Parts {
		from[r.partition] = kgo.NewOffset().At(r.start)
	}
	opts, err := kafkaconn.Options(&s.config.Conn, "millrace-"+s.pipeline, s.log, nil)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.config.Topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(fetchWait), kgo.MaxConcurrentFetches(concurrentFetches),
		kgo.FetchMaxBytes(int32(s.memory.fetch)), kgo.FetchMaxPartitionBytes(int32(s.memory.fetchPartition)),
		kgo.MaxDecompressBatchBytes(s.memory.decompressed),
	)...)
	if err != nil {
		return nil, fmt.Errorf("consume topic %q: %w", s.config.Topic, err)
	}
	defer client.Close()
	if err := s.stillThere(ctx, client, p); err != nil {
		return nil, err
	}
	read, err := s.readRanges(ctx, client, p)
	if err != nil {
		return nil, err
	}
	b, err := s.pool.Get(ctx)
	if err != nil {
		return nil, err
	}
	for i, r := range p.Parts {
		span := b.Begin(origins[i].Account)
		span.Position = Position{Topic: s.config.Topic, Partition: r.partition, Start: r.start, End: r.end, Epoch: -1}
		for _, rec := range read[r.partition] {
			addRecord(b, origins[i], rec, s.origins)
		}
		if n := span.Records(); n != r.count {
			s.log.Warn("a planned load has another number of records than when it was planned", "partition", r.partition, "start", r.start, "end", r.end, "planned", r.count, "read", n)
		}
	}
	return b, nil
}

// readRanges polls until it is past the end of each range.
func (s *source) readRanges(ctx context.Context, client *kgo.Client, p *plan) (map[int32][]*kgo.Record, error) {
	read, open := map[int32][]*kgo.Record{}, map[int32]part{}
	for _, r := range p.Parts {
		open[r.partition] = r
	}
	for len(open) > 0 {
		poll, cancel := context.WithTimeout(ctx, rereadTimeout)
		fetches := client.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if poll.Err() != nil && fetches.NumRecords() == 0 {
			return nil, fmt.Errorf("read topic %q again for a planned load: nothing comes of partitions %s", s.config.Topic, partitionsOf(p))
		}
		for _, e := range fetches.Errors() {
			if err := s.rereadError(e); err != nil {
				return nil, err
			}
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			r, ok := open[rec.Partition]
			if !ok {
				return
			}
			if rec.Offset < r.end {
				read[rec.Partition] = append(read[rec.Partition], rec)
			}
			if rec.Offset+1 >= r.end {
				delete(open, rec.Partition)
			}
		})
	}
	return read, nil
}

// stillThere fails if a part of the plan was deleted from the topic: a client
// without a group does not say so by itself.
func (s *source) stillThere(ctx context.Context, client *kgo.Client, p *plan) error {
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, s.config.Topic)
	if err != nil {
		return fmt.Errorf("list start offsets of topic %q: %w", s.config.Topic, kafkaconn.Explain(err, s.subject))
	}
	for _, r := range p.Parts {
		at, ok := starts.Lookup(s.config.Topic, r.partition)
		if ok && at.Err == nil && at.Offset > r.start {
			s.lags.miss(s.config.Topic, r.partition, r.start, min(at.Offset, r.end))
			return fmt.Errorf("topic %q, partition %d: the offsets %d to %d were planned to be loaded, and those before %d were deleted before they were (label %s is not in the table): stop the group %q and set its offset (kafka-consumer-groups --reset-offsets), which gives the plan up",
				s.config.Topic, r.partition, r.start, r.end-1, at.Offset, p.Label, s.config.Group)
		}
	}
	return nil
}

// rereadError tells errors that pass from those that do not.
func (s *source) rereadError(e kgo.FetchError) error {
	if ignorable(e.Err) || errors.Is(e.Err, context.DeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("read topic %q, partition %d, again for a planned load: %w", s.config.Topic, e.Partition, kafkaconn.Explain(e.Err, s.subject))
}
