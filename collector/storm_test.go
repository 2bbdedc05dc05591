package collector

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/outputs/starrocks/starrockstest"
)

// Members come, go and are thrown out; commits are refused; StarRocks loses
// answers, aborts, forgets. Each record is in the table once. STORM is for how many
// seconds, STORM_SEED is what the last run has printed.
func TestStorm(t *testing.T) {
	long(t)
	seconds, err := strconv.Atoi(os.Getenv("STORM"))
	if err != nil {
		seconds = 10
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("STORM_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d", seed)
	ddl := testDDL
	if seed%2 == 0 {
		ddl = strictDDL
	}
	srv, err := starrockstest.New(starrockstest.Config{DDL: []string{ddl}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	const partitions = 5
	w := &world{t: t, b: newBroker(t, partitions), srv: srv}
	w.makeDeadTopic()
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1))
	n := func(k int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(k) }
	over := false
	w.b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.b.cluster.KeepControl()
		mu.Lock()
		done := over
		mu.Unlock()
		if done {
			return nil, nil, false
		}
		g := req.(*kmsg.OffsetCommitRequest)
		switch n(20) {
		case 0:
			return refusedCommit(g, kerr.RebalanceInProgress), nil, true
		case 1:
			return refusedCommit(g, kerr.IllegalGeneration), nil, true
		case 2:
			if n(3) > 0 {
				return nil, nil, false
			}
			go func() {
				l := kmsg.NewPtrLeaveGroupRequest()
				l.Group = testGroup
				m := kmsg.NewLeaveGroupRequestMember()
				m.MemberID = g.MemberID
				l.Members = append(l.Members, m)
				_, _ = l.RequestWith(t.Context(), w.b.client)
			}()
			return refusedCommit(g, kerr.UnknownMemberID), nil, true
		case 3:
			return refusedCommit(g, kerr.RequestTimedOut), nil, true
		}
		return nil, nil, false
	})
	kinds := []starrockstest.FaultKind{starrockstest.DropAfterCommit, starrockstest.DropBeforeCommit, starrockstest.CutAnswer, starrockstest.UnknownCommitted,
		starrockstest.UnknownAborted, starrockstest.FrontendFailed, starrockstest.FrontendError500, starrockstest.TooManyVersions, starrockstest.GarbledAnswer, starrockstest.RedirectDead,
		starrockstest.LoadStateFailed, starrockstest.HoldTransaction}
	alter := func() []string {
		return []string{"max_rows: 400", fmt.Sprintf("concurrency: %d, max_rows: %d", 1+n(3), 20+n(200))}
	}
	members := []*process{run(t, w.b, srv, alter()...)}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for i := 0; time.Now().Before(end); i++ {
		for p := range int32(partitions) {
			prefix := fmt.Sprintf("%d.%d.", i, p)
			if n(15) == 0 && ddl == strictDDL {
				k := 5 + n(20)
				w.sow(p, prefix, k, n(k))
				continue
			}
			k := n(30)
			w.b.produce(p, logRecords(prefix, k)...)
			w.want = append(w.want, numbered(prefix, k)...)
		}
		f := starrockstest.Fault{Kind: kinds[n(len(kinds))], Delay: time.Duration(n(3000)) * time.Millisecond, Then: starrockstest.StateVisible}
		if n(2) == 0 {
			f.Then = starrockstest.StateAborted
		}
		srv.Inject(f)
		if n(30) == 0 {
			srv.CleanLabels()
		}
		switch k := n(12); {
		case k == 0 && len(members) < 4:
			members = append(members, run(t, w.b, srv, alter()...))
		case k == 1 && len(members) > 1:
			_ = members[0].end() // with what it has not loaded
			members[0].books()
			members = members[1:]
		}
		idle(t.Context(), time.Duration(n(400))*time.Millisecond)
	}
	mu.Lock()
	over = true
	mu.Unlock()
	srv.ClearFaults()
	tableHolds(t, srv, w.want)
	for _, m := range members {
		_ = m.end()
		m.books()
	}
	tableHolds(t, srv, w.want)
	t.Logf("%d records, %d loads", len(w.want), len(srv.Transactions("quickstart")))
}
