package collector

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/kafkaconn"
)

const (
	// commitTimeout bounds one try of a commit. It is longer than the usual
	// rebalance, during which the client holds commits back.
	commitTimeout = 20 * time.Second
	// commitRetry is the wait before the next try.
	commitRetry = 500 * time.Millisecond
)

// newLabel is the random label of a batch, for StarRocks and for ever: no
// other batch has it.
func newLabel() string { return "millrace-" + rand.Text() }

// commit is one OffsetCommit for the partitions of a batch. A lane has no other
// batch on its way until it is through, and a partition is in one lane: no
// commit of a partition can overtake another.
type commit struct {
	flight  *flight
	offsets map[int32]kgo.EpochOffset
	err     error
}

// commit stores the offsets in the group, in a goroutine of its own, and
// passes the result to the loop. Nothing to store is a result, too.
func (s *source) commit(c *commit) {
	if len(c.offsets) == 0 {
		s.advance(c)
		return
	}
	s.committing(c, 1)
	s.work.Go(func() {
		c.err = s.storeOffsets(s.stop, c.offsets)
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

// advance takes the result of a commit. One that failed is repeated, without
// the partitions that were lost in the meantime.
func (s *source) advance(c *commit) {
	if c.err != nil || len(c.offsets) > 0 {
		s.committing(c, -1)
	}
	if c.err != nil {
		s.health.set("commit", c.err)
		s.release() // between two tries a partition may go
		for _, span := range c.flight.spans {
			if span.part.lost {
				delete(c.offsets, span.part.id)
			}
		}
		if len(c.offsets) > 0 {
			c.err = nil
			s.commit(c)
			return
		}
	} else if len(c.offsets) > 0 {
		s.health.set("commit", nil)
	}
	for _, span := range c.flight.spans {
		span.part.flights--
		if !span.part.lost {
			span.part.moved()
		}
	}
	c.flight.lane.flight--
	s.inFlight--
}

// committing counts the commits that name a partition.
func (s *source) committing(c *commit, n int) {
	for _, span := range c.flight.spans {
		if _, ok := c.offsets[span.part.id]; ok {
			span.part.committing += n
		}
	}
}

// storeOffsets is the one place where offsets are committed. The metadata is
// ours to say: by default the client would put its member id there.
func (s *source) storeOffsets(ctx context.Context, offsets map[int32]kgo.EpochOffset) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				req.Topics[i].Partitions[j].Metadata = nil
			}
		}
		return nil
	})
	var failed error
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
		return nil
	}
	return fmt.Errorf("commit offsets of topic %q: %w", s.config.Topic, kafkaconn.Explain(failed, s.subject))
}
