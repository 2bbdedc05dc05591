package collector

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/pipeline"
)

// rebalance is a change of what is assigned to us.
type rebalance struct {
	assigned, revoked, lost []int32
	started                 map[int32]stored // where assigned ones are read from
	topic                   topic
	member                  string           // our id in the group, with assigned
	former                  map[int32]offset // partitions kept from before we had another id: our low offsets
	done                    chan struct{}    // closed: the group may go on
	deadline                time.Time        // of waiting for loads on their way
	parts                   []*partition
}

func (s *source) onAssigned(_ context.Context, client *kgo.Client, m map[string][]int32) {
	s.watch.Good()
	// It is called after each rebalance, also if nothing is new.
	member, _ := client.GroupMetadata() // Run may not have its client yet
	r := &rebalance{assigned: m[s.config.Topic], member: member}
	s.pass(r)
	if len(r.former) > 0 {
		s.renew(r.former)
	}
	s.health.join()
}

func (s *source) onRevoked(_ context.Context, _ *kgo.Client, m map[string][]int32) {
	s.pass(&rebalance{revoked: m[s.config.Topic]})
}

func (s *source) onLost(_ context.Context, _ *kgo.Client, m map[string][]int32) {
	s.pass(&rebalance{lost: m[s.config.Topic]})
}

// pass hands a change to the loop and waits until the group may go on.
func (s *source) pass(r *rebalance) {
	r.done = make(chan struct{})
	select {
	case s.rebalances <- r:
		<-r.done
	case <-s.ended:
	}
}

// rebalance begins a change.
func (s *source) rebalance(r *rebalance) {
	if r.member != "" && r.member != s.member {
		s.member = r.member
		r.former = map[int32]offset{}
		for id, p := range maps.Clone(s.parts) { // assign takes each out and puts another in
			r.former[id] = offset{-1, -1}
			if p.begun {
				r.former[id] = p.low
			}
			s.assign(id) // what we knew of it counts no more
			s.parts[id].renewing = true
			s.hold(s.parts[id])
		}
	}
	for _, id := range r.assigned {
		delete(r.former, id)
		s.assign(id)
	}
	for _, id := range r.lost {
		if p := s.parts[id]; p != nil {
			s.letGo(p)
		}
	}
	for _, id := range r.revoked {
		if p := s.parts[id]; p != nil {
			// What is not on its way yet is the next owner's.
			p.lane.drop(p)
			r.parts = append(r.parts, p)
		}
	}
	if r.started != nil {
		s.topic = r.topic
		s.begin(r.started)
	}
	r.deadline = time.Now().Add(s.revokeWait)
	s.revoking = append(s.revoking, r)
}

// assign begins to keep the state of a partition, in the lane that has the
// fewest.
func (s *source) assign(id int32) {
	if old := s.parts[id]; old != nil {
		s.letGo(old)
	}
	best := s.lanes[int(id)%len(s.lanes)]
	for _, l := range s.lanes {
		if len(l.parts) < len(best.parts) {
			best = l
		}
	}
	a := s.account(id)
	p := &partition{
		id: id, lane: best, account: a, member: s.member,
		origin: &pipeline.Origin{Account: a, Partition: id},
		lag:    s.lags.open(s.config.Topic, id),
	}
	best.parts = append(best.parts, p)
	s.parts[id] = p
	s.pause(p)
}

// letGo forgets a partition: from here on nothing of it is committed, however
// its loads end. Its next owner reads again what is not committed.
func (s *source) letGo(p *partition) {
	p.lost = true
	p.account.HandOver()
	p.lane.remove(p)
	delete(p.lane.owed, p)
	s.pause(p)
	if d := p.load; d != nil && (d.plan.Lead == p.id || len(d.ours()) == 0) {
		d.lose()
	}
	s.health.set(planPart(p.id), nil)
	delete(s.parts, p.id)
	s.lags.close(p.id)
	s.health.set(partitionPart(p.id), nil)
}

// release ends the changes for which there is nothing to wait for any more.
func (s *source) release() {
	kept := s.revoking[:0]
	for _, r := range s.revoking {
		if !time.Now().Before(r.deadline) {
			s.giveWay(r)
		}
		if !r.settled() {
			kept = append(kept, r)
			continue
		}
		for _, p := range r.parts {
			if !p.lost {
				s.letGo(p)
			}
		}
		close(r.done)
	}
	clear(s.revoking[len(kept):])
	s.revoking = kept
}

// settled says that nothing of the revoked partitions is on its way.
func (r *rebalance) settled() bool {
	return !slices.ContainsFunc(r.parts, func(p *partition) bool { return !p.lost && p.flights > 0 })
}

// giveWay lets revoked partitions go when the time to wait for them is over. A
// commit that has begun is always waited for: it must not arrive after the next
// owner's. Each goes by itself, for commits of several lanes that are refused
// take turns, and there may never be a moment without one.
func (s *source) giveWay(r *rebalance) {
	for _, p := range r.parts {
		if !p.lost && p.committing == 0 {
			s.letGo(p)
		}
	}
}

// releaseAll lets the group go on at the end.
func (s *source) releaseAll() {
	for _, r := range s.revoking {
		close(r.done)
	}
	s.revoking = nil
}
