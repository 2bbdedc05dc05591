package collector

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A commit is refused because the member was thrown out, its only partition goes
// to another one for good. It has nothing to do, and is ready.
func TestReadyWithoutPartitions(t *testing.T) {
	b := newBroker(t, 1)
	out := newRecorder()
	var refused atomic.Int32
	var done atomic.Bool
	var keeps, out1 atomic.Value
	keeps.Store("-")
	out1.Store("-")
	b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if refused.Add(1) > 1 {
			return nil, nil, false
		}
		g := req.(*kmsg.OffsetCommitRequest)
		out1.Store(g.MemberID)
		go func() { // what the broker does when the session is over
			l := kmsg.NewPtrLeaveGroupRequest()
			l.Group = testGroup
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID = g.MemberID
			l.Members = append(l.Members, m)
			_, _ = l.RequestWith(t.Context(), b.client)
		}()
		return refusedCommit(g, kerr.UnknownMemberID), nil, true
	})
	b.cluster.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		g := req.(*kmsg.JoinGroupRequest)
		if refused.Load() == 0 || done.Load() || g.MemberID == keeps.Load() {
			return nil, nil, false
		}
		resp := g.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
		if g.MemberID != "" && g.MemberID != out1.Load() {
			return nil, nil, false
		}
		return resp, nil, true
	})
	members := []*member{b.start(out, nil), b.start(out, nil)}
	eventually(t, "both are members", func() bool {
		g := b.cluster.GroupInfo(testGroup)
		return g != nil && len(g.Members) == 2 && g.State == "Stable"
	})
	b.produce(0, numbered("line ", 10)...)
	collected(t, 10, out)
	eventually(t, "everything is committed", func() bool { return b.committed()[0] == 10 })
	done.Store(true)
	eventually(t, "both are members", func() bool {
		g := b.cluster.GroupInfo(testGroup)
		return g != nil && len(g.Members) == 2 && g.State == "Stable"
	})
	for _, m := range members {
		m.reported("ready", func(err error) bool { return err == nil })
	}
	for _, m := range members {
		m.shutDown()
	}
}
