package collector

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The commit of a plan of several partitions fails, one of them goes to another
// member before it is tried again, and the lead stays here. The plan is given
// up; each record is delivered once.
//
// With several lanes there is always a commit on its way, of one or the other:
// none of them keeps the partitions of the others from going.
func TestPlanIsGivenUpBeforeItWasStored(t *testing.T) {
	for _, lanes := range []int{1, 4} {
		t.Run(fmt.Sprint(lanes, " lanes"), func(t *testing.T) { givenUp(t, lanes) })
	}
}

func givenUp(t *testing.T, lanes int) {
	b := newBroker(t, 4)
	var failing atomic.Bool
	var failed atomic.Int32
	failing.Store(true)
	b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if !failing.Load() {
			return nil, nil, false
		}
		failed.Add(1)
		return refusedCommit(req.(*kmsg.OffsetCommitRequest), kerr.RebalanceInProgress), nil, true
	})
	for p := range int32(4) {
		b.produce(p, numbered("line ", 50)...)
	}
	out := newRecorder()
	one := func(o *sourceOptions) {
		o.lanes, o.limits.rows, o.limits.age, o.revokeWait = lanes, 1000, 300*time.Millisecond, time.Millisecond
	}
	first := b.start(out, one)
	eventually(t, "the plan is not stored", func() bool { return failed.Load() > 0 })
	second := b.start(out, one)
	eventually(t, "both have partitions", func() bool {
		g := b.cluster.GroupInfo(testGroup)
		return g != nil && len(g.Members) == 2 && g.State == "Stable"
	})
	n := failed.Load()
	eventually(t, "once more", func() bool { return failed.Load() > n+2 })
	failing.Store(false)
	got := collected(t, 200, out)
	eventually(t, "everything is committed", func() bool { at := b.committed(); return at[0] == 50 && at[1] == 50 && at[2] == 50 && at[3] == 50 })
	first.shutDown()
	second.shutDown()
	if got = append(got, out.Take()...); len(got) != 200 {
		t.Errorf("200 records were delivered %d times", len(got))
	}
}
