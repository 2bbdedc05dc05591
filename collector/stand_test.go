package collector

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A partition stands because a later version has planned there; then the member
// is thrown out in the middle of a commit and comes back. It still stands.
func TestStandsAfterTheMemberWasOut(t *testing.T) {
	b := newBroker(t, 2)
	b.produce(0, "line")
	b.produce(1, "line")
	commit := kadm.Offsets{}
	commit.Add(kadm.Offset{Topic: testTopic, Partition: 0, At: 0, LeaderEpoch: -1, Metadata: notePrefix + `{"v":2}`})
	if _, err := b.admin.CommitOffsets(t.Context(), testGroup, commit); err != nil {
		t.Fatal(err)
	}
	out := newRecorder()
	m := b.start(out, nil)
	m.reported("a sentence about the version", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "its version is 2, and this program knows version 1")
	})
	collected(t, 1, out)
	eventually(t, "the commit", func() bool { return b.committed()[1] == 1 })
	var refused atomic.Int32
	b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if refused.Add(1) > 1 {
			return nil, nil, false
		}
		g := req.(*kmsg.OffsetCommitRequest)
		go func() { // what the broker does when the session is over
			l := kmsg.NewPtrLeaveGroupRequest()
			l.Group = testGroup
			mm := kmsg.NewLeaveGroupRequestMember()
			mm.MemberID = g.MemberID
			l.Members = append(l.Members, mm)
			_, _ = l.RequestWith(t.Context(), b.client)
		}()
		return refusedCommit(g, kerr.UnknownMemberID), nil, true
	})
	b.produce(1, "more")
	got := collected(t, 1, out)
	b.produce(0, "even more")
	b.produce(1, "even more")
	got = append(got, collected(t, 1, out)...)
	eventually(t, "the commit", func() bool { return b.committed()[1] == 3 })
	m.shutDown()
	got = append(got, out.Take()...)
	if slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "0/") }) {
		t.Errorf("the partition that stands was read: %q", got)
	}
	if at := b.committed()[0]; at != 0 {
		t.Errorf("its offset was moved to %d", at)
	}
}
