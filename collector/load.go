package collector

import (
	"context"
	"errors"
	"time"

	"millrace/internal/pipeline"
)

// load is a plan and what becomes of it here. The loop owns it.
type load struct {
	plan *plan
	lane *lane
	cuts []cut // of partitions that are ours, or were
	// leads says that the plan's first partition is ours, and so is the
	// decision about it; lost is closed when it is not ours any more.
	leads bool
	lost  chan struct{}
	alone bool // of one partition

	// Of one that is resolved:
	ctx  context.Context // ends when it is not ours to resolve any more
	stop context.CancelFunc
}

// end is the outcome of a load's batch.
type end struct {
	load *load
	err  error
}

// ours are the cuts of partitions that are still assigned to us.
func (d *load) ours() (cuts []cut) {
	for _, c := range d.cuts {
		if !c.part.lost {
			cuts = append(cuts, c)
		}
	}
	return cuts
}

// lose notes that the decision about the plan is somebody else's.
func (d *load) lose() {
	if d.leads {
		d.leads = false
		close(d.lost)
	}
	if d.stop != nil {
		d.stop()
	}
}

// next is the lane's next load, planned, if it is due.
func (s *source) nextLoad(l *lane, now time.Time) *load {
	if s.isDraining || !s.ready(l, now) {
		return nil
	}
	cuts := l.cut(&s.limits)
	d := &load{lane: l, leads: true, lost: make(chan struct{})}
	for _, c := range cuts {
		if c.rows > 0 {
			d.cuts = append(d.cuts, c)
			continue
		}
		// Only markers: behind them without a load.
		l.take(&c, nil)
		c.part.low = c.end
		c.part.moved()
		l.owe(c.part)
	}
	l.settle(now)
	if len(d.cuts) == 0 {
		return nil
	}
	d.alone = len(d.cuts) == 1
	d.plan = s.newPlan()
	d.plan.Lead = d.cuts[0].part.id
	for _, c := range d.cuts {
		d.plan.Parts = append(d.plan.Parts, part{c.part.id, c.part.low.at, c.end.at, c.rows})
		c.part.load = d
		c.part.flights = 1
	}
	return d
}

func (l *lane) owe(p *partition) {
	if l.owed == nil {
		l.owed = map[*partition]offset{}
	}
	l.owed[p] = p.low
}

// launch emits the batch of a plan that is stored. It fails when the records are
// not in the queues any more, or not ours: nothing of the plan was sent yet.
func (s *source) launch(d *load) bool {
	if s.isDraining || !d.leads || len(d.ours()) < len(d.cuts) {
		return false
	}
	for _, c := range d.cuts {
		if len(c.part.queue) < c.n || c.part.rewind {
			return false
		}
	}
	// There is a batch per lane and none of it is on its way: this waits only
	// for one that is just being put back.
	b, err := s.pool.Get(s.stop)
	if err != nil {
		return false
	}
	for i := range d.cuts {
		d.lane.take(&d.cuts[i], b)
	}
	d.lane.settle(time.Now())
	s.emitLoad(d, b)
	return true
}

// emitLoad sends a batch on its way.
func (s *source) emitLoad(d *load, b *pipeline.Batch) {
	b.ID = d.plan.Label
	member := s.member
	b.Claim.To, b.Claim.After, b.Claim.Lost = d.plan.To, d.plan.after, d.lost
	b.Claim.Fresh = func() bool { return s.heart.beats(member) }
	b.OnDone(func(_ *pipeline.Batch, err error) { s.ends <- end{d, err} })
	b.Emitted()
	s.inFlight++
	s.emits.Go(func() { s.emit(b) })
}

// settle takes the outcome of a batch.
func (s *source) settle(e end) {
	d := e.load
	s.inFlight--
	if d.stop != nil {
		d.stop()
	}
	for _, c := range d.cuts {
		// All that the account has to read again, though it may belong to a
		// newer assignment of the partition to us: that is moved from one
		// term of the books to another, and the sum stays right.
		if e.err != nil && c.part.lost {
			c.part.account.HandOver()
		}
	}
	switch {
	case e.err == nil:
		s.arrived(d)
		d.lane.busy = false
	case s.isDraining || !s.deadline.IsZero():
		// The plan stays where it is, for whoever comes next.
		s.leave(d)
		d.lane.busy = false
	case errors.Is(e.err, pipeline.ErrRefused) && d.leads:
		s.handOverForeign(d)
		for _, c := range d.ours() {
			c.part.bad.refused(c.rows, d.alone)
			c.part.setBack()
		}
		s.store(&commit{lane: d.lane, dead: d})
	default:
		s.handOverForeign(d)
		d.lane.busy = false
		s.resolve(d, d.leads)
	}
}

// arrived advances the partitions of a load that is in the table.
func (s *source) arrived(d *load) {
	for _, c := range d.ours() {
		p := c.part
		if p.bad.next > 0 {
			p.bad.passed(c.rows)
		}
		p.low, p.load = c.end, nil
		p.lane.owe(p)
		if p.held {
			s.free(p)
			p.next = p.low.at
		}
	}
}

// leave forgets a load without an outcome.
func (s *source) leave(d *load) {
	for _, c := range d.ours() {
		c.part.load, c.part.flights = nil, 0
	}
}
