package collector

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/outputs/starrocks/starrockstest"
)

// expel removes a static member from the group, as its session's end would.
func (w *world) expel(instance string) {
	w.t.Helper()
	if _, err := w.b.admin.LeaveGroup(w.t.Context(), kadm.LeaveGroup(testGroup).InstanceIDs(instance)); err != nil {
		w.t.Fatal(err)
	}
}

// asMember is the change of configuration for another member.
func asMember(name string) []string { return []string{"instance_id: kong-0", "instance_id: " + name} }

// 9 and 10: a collector is stopped in the middle of a load, another one takes
// over, and the first wakes up and goes on. Whatever StarRocks still knows by
// then, each record is in the table once.
func TestZombies(t *testing.T) {
	long(t)
	for name, c := range map[string]struct {
		arm   func(*world)
		until func(*world) // the first one is in the middle
		then  func(*world) // while it sleeps, after the other one has loaded
	}{
		"9 its transaction still runs": {
			arm:   inject(starrockstest.HoldTransaction),
			until: func(w *world) { w.inState(starrockstest.StatePrepare) },
		},
		"9 its body waits for the backend": {
			arm: func(w *world) {
				w.srv.Inject(starrockstest.Fault{Kind: starrockstest.SlowContinue, Delay: 4 * time.Second})
			},
			until: func(w *world) { w.struck(starrockstest.SlowContinue) },
		},
		"10 it waits to be sent to a backend, and the label is forgotten": {
			arm: func(w *world) {
				w.srv.Inject(starrockstest.Fault{Kind: starrockstest.SlowRedirect, Delay: time.Second})
			},
			until: func(w *world) { w.struck(starrockstest.SlowRedirect) },
			then:  (*world).forget,
		},
		"10 it waits for a frontend, and the label is forgotten": {
			arm: func(w *world) {
				inject(starrockstest.FrontendFailed, starrockstest.FrontendFailed, starrockstest.FrontendFailed)(w)
			},
			until: func(w *world) { w.struck(starrockstest.FrontendFailed) },
			then:  (*world).forget,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}})
			c.arm(w)
			zombie := spawn(t, w.b, w.srv)
			c.until(w)
			zombie.signal(syscall.SIGSTOP)
			w.expel("kong-0")
			second := spawn(t, w.b, w.srv, asMember("kong-1")...)
			w.each()
			if c.then != nil {
				c.then(w)
			}
			eventually(t, "the trust in the group is over", func() bool { return time.Since(start(w)) > 3*time.Second })
			zombie.signal(syscall.SIGCONT)
			zombie.says("ready") // it was; what follows is what counts
			w.produce("after", 20)
			w.each()
			eventually(t, "both are members", func() bool { return w.members() == 2 })
			w.produce("together", 20)
			w.each()
			zombie.shutDown()
			second.shutDown()
			w.each()
		})
	}
}

var starts sync.Map

// start is when this was asked first.
func start(w *world) time.Time {
	at, _ := starts.LoadOrStore(w, time.Now())
	return at.(time.Time)
}

func (w *world) inState(state starrockstest.State) {
	w.t.Helper()
	eventually(w.t, "a transaction is "+string(state), func() bool {
		return slices.ContainsFunc(w.srv.Transactions("quickstart"), func(x starrockstest.Transaction) bool { return x.State == state })
	})
}

func (w *world) struck(k starrockstest.FaultKind) {
	w.t.Helper()
	eventually(w.t, string(k), func() bool { return w.srv.Struck(k) > 0 })
}

// members is the number of the group's members.
func (w *world) members() int {
	if g := w.b.cluster.GroupInfo(testGroup); g != nil {
		return len(g.Members)
	}
	return 0
}

// 8: the commit that would advance is refused because the group went on without
// us. Whoever has the partition now finds the plan.
func TestFencedCommits(t *testing.T) {
	for _, why := range []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.FencedInstanceID} {
		t.Run(why.Message, func(t *testing.T) {
			b, srv := newBroker(t, worldPartitions), newStarRocks(t)
			w := &world{t: t, b: b, srv: srv}
			var refused atomic.Int32
			b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
				b.cluster.KeepControl()
				for _, topic := range req.(*kmsg.OffsetCommitRequest).Topics {
					if slices.ContainsFunc(topic.Partitions, advanced) && refused.Add(1) <= 2 {
						return refusedCommit(req.(*kmsg.OffsetCommitRequest), why), nil, true
					}
				}
				return nil, nil, false
			})
			w.produce("m", 30)
			first := run(t, b, srv)
			eventually(t, "a commit is refused", func() bool { return refused.Load() > 0 })
			second := run(t, b, srv)
			w.each()
			w.produce("n", 30)
			w.each()
			first.shutDown()
			second.shutDown()
		})
	}
}

// A partition of a load goes to another member while the load is on its way,
// whether it leads or not. Each record is in the table once, and the old owner
// moves no offset.
func TestPartsOfALoadMove(t *testing.T) {
	for _, state := range []starrockstest.State{starrockstest.StateVisible, starrockstest.StateAborted} {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}})
			w.srv.Inject(starrockstest.Fault{Kind: starrockstest.HoldTransaction, Delay: 14 * time.Second, Then: state})
			// One lane, so that the load covers all partitions.
			first := run(t, w.b, w.srv, "max_rows: 400", "concurrency: 1, max_rows: 400")
			w.inState(starrockstest.StatePrepare)
			second := run(t, w.b, w.srv)
			third := run(t, w.b, w.srv)
			w.each()
			w.produce("after", 30)
			w.each()
			for _, p := range []*process{first, second, third} {
				p.shutDown()
			}
			w.each()
		})
	}
}

// The same with a row that is refused: the member that leads the plan gives it
// up, the others see that.
func TestPartsOfARefusedLoadMove(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
	w.makeDeadTopic()
	w.sow(2, "x", 20, 7)
	w.srv.Inject(starrockstest.Fault{Kind: starrockstest.HoldTransaction, Delay: 12 * time.Second, Then: starrockstest.StateAborted})
	first := run(t, w.b, w.srv, "max_rows: 400", "concurrency: 1, max_rows: 400")
	w.inState(starrockstest.StatePrepare)
	second := run(t, w.b, w.srv)
	third := run(t, w.b, w.srv)
	tableHolds(t, w.srv, w.want)
	w.produce("after", 30)
	tableHolds(t, w.srv, w.want)
	if got := w.refusedOffsets(1); !slices.Equal(got, []string{"2/47"}) {
		t.Errorf("the dead letters are of %v", got)
	}
	for _, p := range []*process{first, second, third} {
		p.shutDown()
	}
	tableHolds(t, w.srv, w.want)
}

// 16: what was planned is gone before it was loaded. That is said and counted,
// and nothing is skipped.
func TestPlannedRecordsAreDeleted(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}})
	w.killAtRedirect()
	w.begin()
	<-w.dead
	w.srv.ClearFaults()
	w.expel("kong-0")
	var lost []int32
	gone := kadm.Offsets{}
	for p := range int32(worldPartitions) {
		if w.b.note(p).Plan != nil {
			gone.AddOffset(testTopic, p, 15, -1)
			lost = append(lost, p)
		}
	}
	if _, err := w.b.admin.DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	p := run(t, w.b, w.srv)
	p.says(": the offsets 0 to ")
	p.says("were planned to be loaded, and those before 15 were deleted before they were")
	eventually(t, "the missed offsets are counted", func() bool {
		return slices.ContainsFunc(lost, func(id int32) bool {
			n := p.metric(fmt.Sprintf(`millrace_missed_offsets_total{partition="%d",pipeline="kong",reason="retention",topic="logging.kong"}`, id))
			return n != "" && n != "0"
		})
	})
	if at := w.b.committed()[lost[0]]; at != 0 {
		t.Errorf("the offset was moved to %d", at)
	}
	p.stop()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}

// 17: the ranges of a topic that is written in transactions have holes.
func TestCrashWithHolesInTheTopic(t *testing.T) {
	b, srv := newBroker(t, 1), newStarRocks(t)
	w := &world{t: t, b: b, srv: srv, born: make(chan struct{}), dead: make(chan struct{})}
	txn, err := kgo.NewClient(kgo.SeedBrokers(b.addrs...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic(testTopic))
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryCommit, kgo.TryAbort} {
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("t%d-", i)
		for _, v := range logRecords(name, 5) {
			if err := txn.ProduceSync(t.Context(), kgo.StringRecord(v)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := txn.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		if end == kgo.TryCommit {
			w.want = append(w.want, numbered(name, 5)...)
		}
	}
	w.killAtRedirect()
	w.begin()
	<-w.dead
	second := spawn(t, b, srv)
	tableHolds(t, srv, w.want)
	eventually(t, "the end is committed", func() bool { return b.committed()[0] == 30 })
	second.shutDown()
	tableHolds(t, srv, w.want)
}

// The table, or the database, of the next start is another one: what was planned
// for the old one is decided there.
func TestOtherTargetAtTheNextStart(t *testing.T) {
	other := strings.NewReplacer("kong_log_events", "other", "CREATE DATABASE quickstart;", "").Replace(testDDL)
	for _, when := range []string{"sent", "loaded"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t, starrockstest.Config{DDL: []string{testDDL, other}})
			if when == "loaded" {
				w.killAtCommit(advanced)
			} else {
				w.killAtRedirect()
			}
			w.begin()
			<-w.dead
			rows := func() int64 { return w.srv.Count("quickstart", "kong_log_events") + w.srv.Count("quickstart", "other") }
			second := spawn(t, w.b, w.srv, "table: kong_log_events", "table: other")
			eventually(t, "all rows", func() bool { return rows() >= int64(len(w.want)) })
			eventually(t, "everything is committed", func() bool { at := w.b.committed(); return at[0] == 40 && at[1] == 40 && at[2] == 40 })
			if rows() != int64(len(w.want)) || w.srv.Count("quickstart", "kong_log_events") == 0 {
				t.Errorf("%d rows in the old table, %d in both, want %d", w.srv.Count("quickstart", "kong_log_events"), rows(), len(w.want))
			}
			second.shutDown()
		})
	}
}

// The StarRocks for which something was planned is gone: that is said, and
// nothing is sent elsewhere.
func TestTargetIsGoneAtTheNextStart(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}})
	w.killAtRedirect()
	w.begin()
	<-w.dead
	planned := w.srv
	elsewhere := newStarRocks(t)
	if err := planned.Close(); err != nil {
		t.Fatal(err)
	}
	second := spawn(t, w.b, elsewhere)
	second.says("that was planned before cannot be resolved", planned.URL(), "--reset-offsets")
	second.kill()
	stuck := int64(0)
	for p := range int32(worldPartitions) {
		if pl := w.b.note(p).Plan; pl != nil && pl.To.URLs[0] == planned.URL() {
			stuck++
		}
	}
	if n := elsewhere.Count("quickstart", "kong_log_events"); stuck == 0 || n > int64(len(w.want))-stuck {
		t.Errorf("%d partitions wait, %d rows are elsewhere", stuck, n)
	}
}
