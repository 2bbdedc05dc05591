package collector

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// trust is for how long after a question that the group's coordinator answered
// with yes its partitions are ours for certain: well below the session timeout,
// 45 seconds, before which the group gives them to nobody else. Tests shorten it.
var trust = 20 * time.Second

// heart knows when the coordinator was last asked, by a commit or a heartbeat
// that it accepted. A process that was stopped (SIGSTOP, a frozen container) and
// goes on in the middle of a request finds out by it that it has slept. Safe for
// concurrent use.
type heart struct {
	last atomic.Pointer[proof]
}

// proof is when a member was one of the group.
type proof struct {
	asked  time.Time
	member string // its id: another one after it was thrown out
}

// prove notes that a question of that moment was answered with yes. The moment
// of the answer would prove nothing: it may have waited for us to wake up.
func (h *heart) prove(p proof) {
	for {
		last := h.last.Load()
		if last != nil && last.asked.After(p.asked) || h.last.CompareAndSwap(last, &p) {
			return
		}
	}
}

// beats says that there is fresh proof for a member.
func (h *heart) beats(member string) bool {
	last := h.last.Load()
	if last == nil || last.member != member {
		return false
	}
	// By both clocks: the monotonic one stands while a machine is suspended.
	return time.Since(last.asked) < trust && time.Now().Round(0).Sub(last.asked.Round(0)) < trust
}

// beat asks the coordinator now and then, because the answers to the client's
// own heartbeats cannot be seen. An answer that is not yes has no consequence
// here: the client finds out by itself.
func (s *source) beat() {
	tick := time.NewTicker(trust / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.stop.Done():
			return
		}
		s.askMembership(s.stop)
	}
}

// askMembership asks once.
func (s *source) askMembership(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, trust)
	defer cancel()
	asked := time.Now()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group = s.config.Group
	req.MemberID, req.Generation = s.client.GroupMetadata()
	if s.config.InstanceID != "" {
		req.InstanceID = &s.config.InstanceID
	}
	resp, err := req.RequestWith(ctx, s.client)
	if err == nil && kerr.ErrorForCode(resp.ErrorCode) == nil {
		s.heart.prove(proof{asked, req.MemberID})
	}
}
