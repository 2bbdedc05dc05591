package collector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"millrace/internal/kafkaconn"
	"millrace/outputs/starrocks"
)

const (
	// askAgain is the first wait before a question about a plan is asked
	// again; it doubles up to askSeldom.
	askAgain  = 200 * time.Millisecond
	askSeldom = 10 * time.Second
)

// fate is what becomes of a plan.
type fate int

const (
	unresolved fate = iota // it is not ours to resolve any more
	isIn                   // its rows are in the table
	isOut                  // they are not: the lead's owner sends it again
	isDead                 // its lead's owner has given it up: each part is read anew
)

// verdict is the fate of a load's plan, found out by a goroutine.
type verdict struct {
	load *load
	fate fate
}

// resolve finds out about a plan that may have been sent, by us or by whoever
// had its partitions before. Until then nothing of these is read; the others go
// on.
func (s *source) resolve(old *load, leads bool) {
	d := &load{plan: old.plan, lane: old.lane, cuts: old.ours(), leads: leads, lost: make(chan struct{}), alone: len(old.plan.Parts) == 1}
	if len(d.cuts) == 0 {
		return
	}
	d.ctx, d.stop = context.WithCancel(s.stop)
	for _, c := range d.cuts {
		p := c.part
		p.load, p.flights = d, 0
		s.hold(p)
		if !leads {
			p.account.HandOver() // whoever leads delivers it
		}
	}
	s.work.Go(func() {
		v := verdict{d, s.findOut(d.ctx, d.plan, leads)}
		select {
		case s.verdicts <- v:
		case <-s.ended:
		}
	})
}

// hold keeps a partition from being read.
func (s *source) hold(p *partition) {
	p.lane.drop(p)
	p.held = true
	s.pause(p)
	p.moved()
}

// free lets a partition be read again, from its low offset, unless it stands.
func (s *source) free(p *partition) {
	if p.stands {
		return
	}
	p.lane.drop(p) // what is still queued is read again, too
	p.held, p.rewind = false, p.begun
	s.pause(p)
	s.health.set(planPart(p.id), nil)
	s.interrupts.raise()
	p.moved()
}

// start is free for a partition of which nothing has to be found out first. The
// client holds a new one where it has to be already.
func (s *source) start(p *partition) {
	if p.held {
		s.free(p)
	}
}

// planPart is the part of the source's health that is about a partition's plan.
func planPart(id int32) string { return fmt.Sprintf("plan of partition %d", id) }

// findOut asks until the fate of a plan is known. It says what is in the way.
func (s *source) findOut(ctx context.Context, p *plan, leads bool) fate {
	part := "plan " + p.Label
	defer s.health.set(part, nil)
	wait := askAgain
	for {
		f, err := s.fateOf(ctx, p, leads)
		if ctx.Err() != nil {
			return unresolved
		}
		if f != unresolved {
			return f
		}
		if err != nil {
			s.health.set(part, err)
		}
		if !idle(ctx, wait) {
			return unresolved
		}
		wait = min(wait*2, askSeldom)
	}
}

// fateOf asks once; unresolved without an error means that the lead's owner has
// not decided yet.
func (s *source) fateOf(ctx context.Context, p *plan, leads bool) (fate, error) {
	in, err := s.isIn(ctx, p, leads)
	switch {
	case err != nil:
		return unresolved, err
	case in:
		return isIn, nil
	case leads:
		return isOut, nil
	}
	stands, err := s.stands(ctx, p)
	if stands || err != nil {
		return unresolved, err
	}
	// What was given up is never sent again, and what is in was in before its
	// lead's owner said so: this answer is the last.
	if in, err = s.isIn(ctx, p, leads); err != nil {
		return unresolved, err
	}
	if in {
		return isIn, nil
	}
	return isDead, nil
}

// isIn asks StarRocks.
func (s *source) isIn(ctx context.Context, p *plan, leads bool) (bool, error) {
	if s.loads == nil {
		return false, nil
	}
	in, err := s.loads.Resolve(ctx, starrocks.Lookup{To: p.To, Label: p.Label, After: p.after, Ranges: s.ranges(p), Cancel: leads})
	if err != nil {
		return false, fmt.Errorf("a load of topic %q that was planned before cannot be resolved: %w; until then partitions %s are not read, and resetting the group's offsets (kafka-consumer-groups --reset-offsets) gives the plan up",
			s.config.Topic, err, partitionsOf(p))
	}
	return in, nil
}

// ranges are a plan's parts as the output knows them.
func (s *source) ranges(p *plan) []starrocks.Range {
	ranges := make([]starrocks.Range, len(p.Parts))
	for i, r := range p.Parts {
		ranges[i] = starrocks.Range{Name: fmt.Sprintf("%s[%d]", s.config.Topic, r.partition), TopicID: p.topicID, Partition: r.partition, Start: r.start, End: r.end}
	}
	return ranges
}

func partitionsOf(p *plan) string {
	var ids []string
	for _, r := range p.Parts {
		ids = append(ids, fmt.Sprint(r.partition))
	}
	return strings.Join(ids, ", ")
}

// stands says whether the plan still stands beside the offset of its lead.
func (s *source) stands(ctx context.Context, p *plan) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	offsets, err := kadm.NewClient(s.client).FetchOffsets(ctx, s.config.Group)
	if err != nil {
		return false, fmt.Errorf("read the offsets of group %q: %w", s.config.Group, kafkaconn.Explain(err, s.subject))
	}
	lead, ok := offsets.Lookup(s.config.Topic, p.Lead)
	if !ok {
		return false, nil
	}
	if lead.Err != nil {
		return false, fmt.Errorf("read the offsets of group %q: %w", s.config.Group, kafkaconn.Explain(lead.Err, s.subject))
	}
	n, err := readNote(lead.Metadata, p.Lead)
	if err != nil {
		return false, fmt.Errorf("read what stands beside the offset of topic %q, partition %d, in group %q: %w", s.config.Topic, p.Lead, s.config.Group, err)
	}
	return n != nil && n.Plan != nil && n.Plan.Label == p.Label, nil
}

// decide acts on a verdict.
func (s *source) decide(v verdict) {
	d := v.load
	ours := d.ours()
	if v.fate != isOut {
		d.stop()
	}
	if len(ours) == 0 || s.isDraining {
		s.health.set("plan "+d.plan.Label, nil)
		return
	}
	switch v.fate {
	case unresolved:
		s.resolve(d, d.leads) // it was ours to decide, and is not any more
	case isIn:
		s.confirm(d)
		s.arrived(d)
	case isOut:
		if !d.leads {
			s.resolve(d, false)
			return
		}
		d.lane.waiting = append(d.lane.waiting, d)
	case isDead:
		for _, c := range ours {
			p := c.part
			p.load = nil
			p.account.TakeOver(int64(c.rows))
			s.free(p)
		}
	}
}

// confirm enters the records of a plan that was found in the table in the books.
// Its lead's owner does so for all of it.
func (s *source) confirm(d *load) {
	if !d.leads {
		return
	}
	for _, r := range d.plan.Parts {
		s.account(r.partition).Confirm(int64(r.count))
	}
}

// handOverForeign leaves to their owners what a load held of partitions that are
// not ours.
func (s *source) handOverForeign(d *load) {
	for _, r := range d.plan.Parts {
		if !slices.ContainsFunc(d.ours(), func(c cut) bool { return c.part.id == r.partition }) {
			s.account(r.partition).HandOver()
		}
	}
}

// idle waits; false: ctx is over.
func idle(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
