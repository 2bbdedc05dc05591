package kafka

import (
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"
)

// route is the client's partitioner in transactions. Positions go where they
// are. Records without a key go to the partition of their slice, so that a
// transaction that hangs, because its node does, holds the readers of one
// partition up and not of all; those with a key where it sends them.
type route struct {
	positions string // the topic
	keyed     kgo.Partitioner
}

// ForTopic implements kgo.Partitioner.
func (r route) ForTopic(topic string) kgo.TopicPartitioner {
	if r.keyed == nil || topic == r.positions {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return r.keyed.ForTopic(topic)
}

// turn moves the session to the next partition that has a leader.
func (s *session) turn() {
	n := int32(len(s.leaders))
	if n == 0 {
		return
	}
	for range n {
		s.partition = (s.partition + 1) % n
		if s.led(s.partition) {
			return
		}
	}
}

// led tells that a partition has a leader, as far as the client knows, or as
// it was when the session began.
func (s *session) led(partition int32) bool {
	leader, epoch, err := s.client.PartitionLeader(s.out.config.Topic, partition)
	if leader < 0 && epoch < 0 && err == nil { // the client has not asked yet
		return s.leaders[partition]
	}
	return err == nil && leader >= 0
}

// draw is where the rotation of a session begins.
func draw(partitions int) int32 {
	if partitions == 0 {
		return 0
	}
	return rand.Int32N(int32(partitions))
}
