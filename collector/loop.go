package collector

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
)

// loop owns lanes and partitions. It ends when Close was called and everything
// that was emitted is committed, or closeWait is over.
func (s *source) loop() {
	defer close(s.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	closing := s.closing
	for {
		polled := false
		select {
		case f := <-s.polled:
			polled = true
			s.take(f)
			s.rewind()
			s.interrupts.lower()
		case f := <-s.outcomes:
			s.settle(f)
		case c := <-s.committed:
			s.advance(c)
		case r := <-s.rebalances:
			s.rebalance(r)
		case drained := <-s.draining:
			s.drain()
			close(drained)
		case <-closing:
			closing = nil
			s.deadline = time.Now().Add(closeWait)
		case <-timer.C:
		}
		s.steer()
		s.release()
		if polled {
			s.next <- struct{}{} // not before steer has paused what is full
		}
		if !s.deadline.IsZero() && (s.inFlight == 0 || time.Now().After(s.deadline)) {
			s.releaseAll()
			return
		}
		timer.Reset(s.wait())
	}
}

// take queues what a poll returned. Records of a partition that is not ours,
// or that is being set back, are thrown away.
func (s *source) take(fetches kgo.Fetches) {
	now := time.Now()
	fetches.EachPartition(func(t kgo.FetchTopicPartition) {
		if t.Err != nil {
			s.fetchError(t.Topic, t.Partition, t.Err)
			return
		}
		p := s.parts[t.Partition]
		if p == nil || t.Topic != s.config.Topic || len(t.Records) == 0 {
			return
		}
		s.fetched()
		p.lag.end.Store(max(p.lag.end.Load(), t.HighWatermark))
		if p.rewind || s.isDraining {
			return
		}
		if !p.begun {
			p.begun = true
			p.acks.Begin(offset{t.Records[0].Offset, -1})
		}
		for _, r := range t.Records {
			p.lane.add(p, r, now)
		}
		p.next = t.Records[len(t.Records)-1].Offset + 1
		p.moved()
	})
}

// fetched says that fetches work again.
func (s *source) fetched() {
	if s.fetchFailed {
		s.fetchFailed = false
		s.health.set("fetch", nil)
	}
}

// fetchError says why a partition, or the whole topic, is not read. The client
// goes on trying, except where an offset is out of range.
func (s *source) fetchError(topic string, id int32, err error) {
	var group *kgo.ErrGroupSession
	switch {
	case ignorable(err), errors.As(err, &group): // the watch reports the group's
	case errors.Is(err, kerr.OffsetOutOfRange):
		s.work.Go(func() { s.explainRange(id) })
	default:
		err = kafkaconn.Explain(err, s.subject)
		if id >= 0 {
			err = fmt.Errorf("read topic %q, partition %d: %w", topic, id, err)
		}
		s.health.set("fetch", err)
		s.fetchFailed = true
		s.lags.failed()
	}
}

// steer turns queues into batches where that is due, and keeps the client from
// fetching what there is no room for.
func (s *source) steer() {
	now := time.Now()
	for _, l := range s.lanes {
		for l.flight == 0 && !s.isDraining && s.ready(l, now) {
			s.launch(l, now)
		}
		s.throttle(l)
	}
}

func (s *source) ready(l *lane, now time.Time) bool {
	at, any := l.due(&s.limits)
	return any && (l.full(&s.limits) || !now.Before(at))
}

// throttle pauses a lane's partitions while its queues hold a whole batch.
func (s *source) throttle(l *lane) {
	full := l.full(&s.limits)
	if full == l.paused {
		return
	}
	l.paused = full
	ids := make([]int32, len(l.parts))
	for i, p := range l.parts {
		ids[i] = p.id
	}
	if full {
		s.client.PauseFetchPartitions(map[string][]int32{s.config.Topic: ids})
	} else {
		s.client.ResumeFetchPartitions(map[string][]int32{s.config.Topic: ids})
	}
}

// launch emits a batch of the lane's records.
func (s *source) launch(l *lane, now time.Time) {
	// There are two batches per lane and at most one is out, or two at the
	// end: this waits only for one that is just being put back.
	b, err := s.pool.Get(s.stop)
	if err != nil {
		return
	}
	parts := l.fill(b, &s.limits)
	l.settle(now)
	if len(parts) == 0 {
		s.pool.Put(b)
		return
	}
	f := &flight{lane: l}
	for i, p := range parts {
		p.flights++
		f.spans = append(f.spans, flightSpan{p, b.Spans[i].Seq})
	}
	b.ID = newLabel()
	b.OnDone(func(_ *pipeline.Batch, err error) {
		f.err = err
		s.outcomes <- f
	})
	b.Emitted()
	l.flight++
	s.inFlight++
	s.emits.Go(func() { s.emit(b) })
}

// settle takes the outcome of a batch: what is in the table is committed, what
// is not is read again.
func (s *source) settle(f *flight) {
	c := &commit{flight: f, offsets: map[int32]kgo.EpochOffset{}}
	for _, span := range f.spans {
		p := span.part
		switch {
		case p.lost:
			if f.err != nil {
				span.part.account.HandOver()
			}
		case f.err != nil:
			p.acks.Fail(span.seq)
			p.lane.drop(p)
			p.rewind = true
			s.interrupts.raise()
		default:
			if low, moved := p.acks.Done(span.seq); moved {
				c.offsets[p.id] = kgo.EpochOffset{Offset: low.at, Epoch: low.epoch}
			}
		}
	}
	s.commit(c)
}

// rewind sets the client back to where a batch was given back. It is called
// between a poll and the next one, while the group cannot take partitions
// away: the client asks for both.
func (s *source) rewind() {
	set := map[int32]kgo.EpochOffset{}
	for id, p := range s.parts {
		if !p.rewind || p.acks.Open() > 0 || s.isDraining {
			continue
		}
		low := p.acks.Rewind()
		set[id] = kgo.EpochOffset{Offset: low.at, Epoch: low.epoch}
		p.rewind, p.next = false, low.at
		p.moved()
	}
	if len(set) > 0 {
		s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{s.config.Topic: set})
	}
}

// drain emits what is queued, for the last time. A lane with a batch on its
// way gets a second one: the output is about to close, and the order of acks
// keeps the offsets right.
func (s *source) drain() {
	now := time.Now()
	for _, l := range s.lanes {
		if _, any := l.due(&s.limits); any {
			s.launch(l, now)
		}
		for _, p := range l.parts {
			l.drop(p)
		}
	}
	s.isDraining = true
}

// wait is the time until something is due by itself.
func (s *source) wait() time.Duration {
	next := time.Now().Add(time.Minute)
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	for _, l := range s.lanes {
		if at, any := l.due(&s.limits); any && l.flight == 0 {
			earlier(at)
		}
	}
	for _, r := range s.revoking {
		earlier(r.deadline)
	}
	if !s.deadline.IsZero() {
		earlier(s.deadline)
	}
	return max(time.Until(next), time.Millisecond)
}
