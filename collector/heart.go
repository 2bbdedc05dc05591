package collector

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// trust is for how long after an answer of the group's coordinator its
// partitions are ours for certain: well below the session timeout, 45 seconds,
// before which the group gives them to nobody else. Heartbeats are sent every 3
// seconds. Tests shorten it.
var trust = 20 * time.Second

// heart knows when the group's coordinator answered last. A process that was
// stopped (SIGSTOP, a frozen container) finds out by it that it has slept,
// before it does what was right before. It is a hook of the Kafka client; safe
// for concurrent use.
type heart struct {
	last atomic.Pointer[time.Time]
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (h *heart) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	switch kmsg.Key(key) {
	case kmsg.Heartbeat, kmsg.OffsetCommit, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.ConsumerGroupHeartbeat:
		if err == nil {
			now := time.Now()
			h.last.Store(&now)
		}
	}
}

// beats says that the coordinator has answered lately.
func (h *heart) beats() bool {
	last := h.last.Load()
	return last != nil && time.Since(*last) < trust
}
