package collector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/kafkaconn"
	"millrace/outputs/starrocks"
)

const (
	// commitTimeout bounds one try of a commit. It is longer than the usual
	// rebalance, during which the client holds commits back.
	commitTimeout = 20 * time.Second
	// commitRetry is the wait before the next try.
	commitRetry = 500 * time.Millisecond
)

// newPlan is a plan without its ranges. Its label is drawn here and means these
// ranges for ever.
func (s *source) newPlan() *plan {
	return &plan{
		after: s.after(), topicID: s.topic.id,
		Label: newLabel(), Owner: s.owner, Cluster: s.topic.cluster, Created: time.Now().Unix(), To: s.to,
	}
}

// target is where loads go, as plans name it.
func (s *source) target() *starrocks.Target {
	if s.loads == nil {
		return &starrocks.Target{URLs: []string{"-"}}
	}
	return shorten(s.loads.Target())
}

// after is a label that is visible.
func (s *source) after() string {
	if s.loads != nil {
		if label := s.loads.Visible(); label != "" {
			s.visible = label
		}
	}
	return s.visible
}

// commit is one OffsetCommit. A partition is in one lane, and a lane has one
// commit on its way: none of a partition can overtake another. What it stores:
// for owed partitions how far they are, for those of load their plan, which is
// sent then, and for those of dead that their plan was given up.
type commit struct {
	lane *lane
	owed map[*partition]offset
	load *load
	dead *load

	entries map[int32]entry
	parts   []*partition // of entries
	err     error
}

// entry is what is stored for a partition.
type entry struct {
	at       offset
	metadata string
	member   string // whose partition it is
}

// store begins a commit.
func (s *source) store(c *commit) {
	c.entries, c.parts, c.err = map[int32]entry{}, nil, nil
	add := func(p *partition, at offset, plan *plan, after string) {
		if _, again := c.entries[p.id]; !again {
			c.parts = append(c.parts, p)
		}
		n := note{TopicID: s.topic.id, After: after, Plan: plan}
		c.entries[p.id] = entry{at, n.text(), p.member}
	}
	after := s.after()
	for p, at := range c.owed {
		add(p, at, nil, after)
	}
	if c.dead != nil {
		for _, u := range c.dead.ours() {
			add(u.part, u.part.low, nil, after)
		}
	}
	if c.load != nil {
		for _, u := range c.load.cuts {
			add(u.part, u.part.low, c.load.plan.beside(u.part.id), c.load.plan.after)
		}
	}
	if len(c.entries) == 0 {
		s.health.set("commit", nil)
		s.stored(c)
		return
	}
	c.lane.busy = true
	s.committing(c, 1)
	s.work.Go(func() {
		c.err = s.storeOffsets(s.stop, c.entries)
		if c.err != nil {
			wait := time.NewTimer(commitRetry)
			defer wait.Stop()
			select {
			case <-wait.C:
			case <-s.stop.Done():
			}
		}
		select {
		case s.committed <- c:
		case <-s.ended:
		}
	})
}

// committing counts the commits that name a partition.
func (s *source) committing(c *commit, n int) {
	for _, p := range c.parts {
		p.committing += n
	}
	s.commits += n
	if c.load != nil {
		s.planning += n
	}
}

// advance takes the result of a commit. One that failed is repeated, without
// the partitions that were lost in the meantime.
func (s *source) advance(c *commit) {
	s.committing(c, -1)
	if c.err == nil {
		s.health.set("commit", nil)
		s.stored(c)
		return
	}
	s.health.set("commit", c.err)
	s.release() // between two tries a partition may go
	for p := range c.owed {
		if p.lost {
			delete(c.owed, p)
		}
	}
	// Whether the plan is stored beside the offsets of those that are lost,
	// nobody knows. Nothing of it was sent: it is given up, if that is ours to
	// decide.
	if c.load != nil && (s.isDraining || len(c.load.ours()) < len(c.load.cuts)) {
		c.dead, c.load = c.load, nil
	}
	if c.dead != nil && !c.dead.leads {
		dead := c.dead
		c.dead = nil
		s.resolve(dead, false)
	}
	s.store(c)
}

// stored goes on after a commit.
func (s *source) stored(c *commit) {
	c.lane.busy = false
	for p := range c.owed {
		if !p.lost && (p.load == nil || p.load != c.load) {
			p.flights = 0
			p.moved()
		}
	}
	if c.dead != nil {
		for _, u := range c.dead.ours() {
			p := u.part
			p.load, p.flights = nil, 0
			s.free(p)
		}
	}
	switch {
	case c.load == nil:
	case s.launch(c.load):
		c.lane.busy = true
	case c.load.leads:
		// Nothing of it was sent.
		for _, u := range c.load.ours() {
			u.part.setBack()
		}
		s.store(&commit{lane: c.lane, dead: c.load})
	default:
		s.resolve(c.load, false)
	}
}

// errFormer is why offsets are not committed.
var errFormer = errors.New("the group went on without this member, which has to read the offsets of its partitions anew")

// storeOffsets is the one place where offsets are committed. The metadata is
// ours to say: by default the client would put its member id there.
func (s *source) storeOffsets(ctx context.Context, entries map[int32]entry) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var member string
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		member = req.MemberID
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				e := entries[p.Partition]
				// The broker takes any partition's offset from any member. One
				// that was thrown out and has joined again may still hold, for
				// the client, what others have had since.
				if e.member != req.MemberID {
					return errFormer
				}
				p.Metadata = &e.metadata
			}
		}
		return nil
	})
	offsets := map[int32]kgo.EpochOffset{}
	for id, e := range entries {
		offsets[id] = kgo.EpochOffset{Offset: e.at.at, Epoch: e.at.epoch}
	}
	var failed error
	asked := time.Now()
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{s.config.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			failed = err
			if err != nil || resp == nil {
				return
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					failed = errors.Join(failed, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		})
	if failed == nil {
		s.heart.prove(proof{asked, member})
		return nil
	}
	return fmt.Errorf("commit offsets of topic %q: %w", s.config.Topic, kafkaconn.Explain(failed, s.subject))
}
