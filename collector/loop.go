package collector

import (
	"time"
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
		case e := <-s.ends:
			s.settle(e)
		case c := <-s.committed:
			s.advance(c)
		case v := <-s.verdicts:
			s.decide(v)
		case r := <-s.rereads:
			s.resend(r)
		case c := <-s.checks:
			s.checked(c)
		case r := <-s.rebalances:
			s.rebalance(r)
		case t := <-s.explained:
			t.part.explaining = false
			if s.parts[t.part.id] == t.part {
				s.troubled(t.part, t.err)
			}
		case drained := <-s.draining:
			s.drain()
			s.drained = append(s.drained, drained)
		case <-closing:
			closing = nil
			s.deadline = time.Now().Add(closeWait)
		case <-timer.C:
		}
		s.steer()
		s.release()
		s.rest()
		if polled {
			s.next <- struct{}{} // not before steer has paused what is full
		}
		if !s.deadline.IsZero() && (s.inFlight == 0 && s.commits == 0 || time.Now().After(s.deadline)) {
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
		for !l.busy && s.proceed(l, now) {
		}
		s.throttle(l)
	}
}

// proceed takes the next step of a lane that is not busy; false: there is none.
// How far the last load got and the plan of the next one are one commit.
func (s *source) proceed(l *lane, now time.Time) bool {
	if len(l.waiting) > 0 && len(l.owed) == 0 && !s.isDraining {
		d := l.waiting[0]
		l.waiting = l.waiting[1:]
		if d.leads {
			s.again(d)
		} else {
			s.resolve(d, false)
		}
		return true
	}
	d := s.nextLoad(l, now)
	if d == nil && len(l.owed) == 0 {
		return false
	}
	c := &commit{lane: l, owed: l.owed, load: d}
	l.owed = nil
	s.store(c)
	return true
}

func (s *source) ready(l *lane, now time.Time) bool {
	at, any := l.due(&s.limits)
	return any && (l.full(&s.limits) || l.searching() || !now.Before(at))
}

// throttle pauses a lane's partitions while its queues hold a whole batch.
func (s *source) throttle(l *lane) {
	full := l.full(&s.limits)
	if full == l.paused {
		return
	}
	l.paused = full
	for _, p := range l.parts {
		s.pause(p)
	}
}

// pause keeps the client from fetching a partition, or lets it, as its lane and
// its state want it.
func (s *source) pause(p *partition) {
	want := !p.lost && (p.held || p.lane.paused)
	if want == p.paused {
		return
	}
	p.paused = want
	one := map[string][]int32{s.config.Topic: {p.id}}
	if want {
		s.client.PauseFetchPartitions(one)
	} else {
		s.client.ResumeFetchPartitions(one)
	}
}

// drain lets what has a plan go out, and nothing else: what is only queued is
// read again after a restart.
func (s *source) drain() {
	for _, l := range s.lanes {
		for _, p := range l.parts {
			l.drop(p)
		}
	}
	s.isDraining = true
}

// rest ends the drain when no plan is being stored any more: nothing is emitted
// from there on.
func (s *source) rest() {
	if s.planning > 0 && s.stop.Err() == nil {
		return
	}
	for _, drained := range s.drained {
		close(drained)
	}
	s.drained = nil
}

// unsettled is the number of partitions with a load without an outcome.
func (s *source) unsettled() (n int) {
	for _, p := range s.parts {
		if p.flights > 0 {
			n++
		}
	}
	return n
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
		if at, any := l.due(&s.limits); any && !l.busy {
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
