package collector

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

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
		case t := <-s.explained:
			t.part.explaining = false
			if s.parts[t.part.id] == t.part {
				s.troubled(t.part, t.err)
			}
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
	// There is a batch per lane and none of it is on its way: this waits only
	// for one that is just being put back.
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
			// All that the account has to read again, though it may belong to a
			// newer assignment of the partition to us: that is moved from one
			// term of the books to another, and the sum stays right.
			if f.err != nil {
				p.account.HandOver()
			}
		case f.err != nil:
			p.acks.Fail(span.seq)
			p.setBack()
			s.interrupts.raise()
		default:
			if low, moved := p.acks.Done(span.seq); moved {
				c.offsets[p.id] = kgo.EpochOffset{Offset: low.at, Epoch: low.epoch}
			}
		}
	}
	s.commit(c)
}

// drain emits what is queued, for the last time. A lane with a batch on its way
// gets no second one: as long as the first is stuck nothing behind it can be
// committed, and each restart would load it again.
func (s *source) drain() {
	now := time.Now()
	for _, l := range s.lanes {
		if _, any := l.due(&s.limits); any && l.flight == 0 {
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
