package collector

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/outputs/starrocks/starrockstest"
)

// world is a broker, a stand-in of StarRocks and a collector that dies.
type world struct {
	t     *testing.T
	b     *broker
	srv   *starrockstest.Server
	born  chan struct{} // first is there
	first *child
	dying sync.Once
	dead  chan struct{} // first is gone
	want  []string      // messages
}

const worldPartitions = 3

// plainDDL is the table without the columns that tell where a row came from.
var plainDDL = strings.Replace(testDDL, "kafka_topic_id STRING, kafka_partition INT, kafka_offset BIGINT, ", "", 1)

// newWorld makes one whose topic holds records.
func newWorld(t *testing.T, cfg starrockstest.Config) *world {
	t.Helper()
	srv, err := starrockstest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	w := &world{t: t, b: newBroker(t, worldPartitions), srv: srv, born: make(chan struct{}), dead: make(chan struct{})}
	w.produce("before", 40)
	return w
}

// produce writes n records to each partition.
func (w *world) produce(prefix string, n int) {
	w.t.Helper()
	for p := range int32(worldPartitions) {
		name := fmt.Sprintf("%s-%d-", prefix, p)
		w.b.produce(p, logRecords(name, n)...)
		w.want = append(w.want, numbered(name, n)...)
	}
}

// begin starts the collector that is to die.
func (w *world) begin() {
	w.t.Helper()
	w.first = spawn(w.t, w.b, w.srv)
	close(w.born)
}

// kill kills the first collector. It may be called from within a broker or
// StarRocks.
func (w *world) kill() {
	w.dying.Do(func() {
		<-w.born
		w.first.kill()
		close(w.dead)
	})
}

// killAtCommit kills the collector when it commits something that matches,
// before the broker takes that.
func (w *world) killAtCommit(match func(kmsg.OffsetCommitRequestTopicPartition) bool) {
	w.b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.b.cluster.KeepControl()
		select {
		case <-w.dead:
			return nil, nil, false
		default:
		}
		for _, t := range req.(*kmsg.OffsetCommitRequest).Topics {
			if slices.ContainsFunc(t.Partitions, match) {
				w.kill()
				return nil, errors.New("the client is gone"), true
			}
		}
		return nil, nil, false
	})
}

func planned(p kmsg.OffsetCommitRequestTopicPartition) bool {
	return p.Metadata != nil && strings.Contains(*p.Metadata, `"plan":`)
}

func advanced(p kmsg.OffsetCommitRequestTopicPartition) bool { return p.Offset > 0 }

// killAtRedirect kills the collector when it turns to a backend, before that
// hears of it.
func (w *world) killAtRedirect() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.kill()
			c.Close()
		}
	})
	w.t.Cleanup(func() { l.Close(); accepting.Wait() })
	w.srv.Inject(starrockstest.Fault{Kind: starrockstest.RedirectTo, Addr: l.Addr().String()})
}

// killWhen kills the collector when a transaction is in a state.
func (w *world) killWhen(state starrockstest.State) {
	w.t.Helper()
	eventually(w.t, "a transaction is "+string(state), func() bool {
		return slices.ContainsFunc(w.srv.Transactions("quickstart"), func(x starrockstest.Transaction) bool { return x.State == state })
	})
	w.kill()
}

// forget makes StarRocks forget all labels.
func (w *world) forget() {
	w.t.Helper()
	if err := w.srv.Set("label_keep_max_num", "0"); err != nil {
		w.t.Fatal(err)
	}
	w.srv.CleanLabels()
}

// each checks that every record is in the table once and committed.
func (w *world) each() {
	w.t.Helper()
	tableHolds(w.t, w.srv, w.want)
	eventually(w.t, "everything is committed", func() bool {
		sum := int64(0)
		for _, at := range w.b.committed() {
			sum += at
		}
		return sum == int64(len(w.want))
	})
	tableHolds(w.t, w.srv, w.want)
}

// hidden keeps the state of labels from a collector that is about to die, so
// that it cannot get on.
func hidden(w *world) {
	w.srv.Inject(starrockstest.Fault{Kind: starrockstest.LoadStateFailed, Times: -1})
}

func inject(kinds ...starrockstest.FaultKind) func(*world) {
	return func(w *world) {
		for _, k := range kinds {
			w.srv.Inject(starrockstest.Fault{Kind: k, Delay: time.Hour})
		}
	}
}

// crashes are the moments at which a collector is killed, or a message lost. The
// numbers are those of the failure table in DESIGN.md.
var crashes = []struct {
	name string
	// arm prepares the moment, kill waits for it; nil: arm brings it about.
	arm  func(*world)
	kill func(*world)
	// mend is what happens until the next start.
	mend func(*world)
	// alter changes the configuration of the next collector.
	alter []string
}{
	{name: "1 before the plan is stored", arm: func(w *world) { w.killAtCommit(planned) }},
	{name: "2 plan stored, nothing sent", arm: (*world).killAtRedirect},
	{name: "2 plan stored, nothing sent, labels forgotten", arm: (*world).killAtRedirect, mend: (*world).forget},
	{name: "3 in the middle of the body", arm: inject(starrockstest.DropBeforeCommit), kill: func(w *world) { w.killWhen(starrockstest.StateAborted) }},
	{name: "3 with the backend gone, too", arm: inject(starrockstest.CrashBackend), kill: func(w *world) { w.killWhen(starrockstest.StatePrepare) }},
	{name: "4 answer lost after the commit", arm: func(w *world) { hidden(w); inject(starrockstest.DropAfterCommit)(w) },
		kill: func(w *world) { w.killWhen(starrockstest.StateVisible) }},
	{name: "4 answer cut", arm: func(w *world) { hidden(w); inject(starrockstest.CutAnswer)(w) },
		kill: func(w *world) { w.killWhen(starrockstest.StateVisible) }},
	{name: "5 committed and not visible yet", arm: func(w *world) {
		w.srv.Inject(starrockstest.Fault{Kind: starrockstest.PublishTimeout, Delay: time.Second})
		w.killAtCommit(advanced)
	}},
	{name: "6 status unknown, committed", arm: func(w *world) { hidden(w); inject(starrockstest.UnknownCommitted)(w) },
		kill: func(w *world) { w.killWhen(starrockstest.StateVisible) }},
	{name: "6 status unknown, aborted", arm: func(w *world) { hidden(w); inject(starrockstest.UnknownAborted)(w) },
		kill: func(w *world) { w.killWhen(starrockstest.StateAborted) }},
	{name: "7 loaded, offset not committed", arm: func(w *world) { w.killAtCommit(advanced) }},
	{name: "11 loaded, offset not committed, label forgotten", arm: func(w *world) { w.killAtCommit(advanced) }, mend: (*world).forget},
	{name: "12 leader changes while the load runs", arm: inject(starrockstest.HoldTransaction), kill: func(w *world) { w.killWhen(starrockstest.StatePrepare) },
		mend: func(w *world) { w.srv.LeaderChange() }},
	{name: "9 load goes on without us", arm: func(w *world) {
		w.srv.Inject(starrockstest.Fault{Kind: starrockstest.HoldTransaction, Delay: 2 * time.Second, Then: starrockstest.StateVisible})
	}, kill: func(w *world) { w.killWhen(starrockstest.StatePrepare) }},
	{name: "18 other sizes and filters at the next start", arm: (*world).killAtRedirect,
		alter: []string{"max_rows: 400", "max_rows: 7, max_bytes: 64KiB", "memory_limit: 256MiB", "memory_limit: 160MiB", "cluster: seoul", "cluster: busan"}},
	{name: "18 other sizes and filters after the load", arm: func(w *world) { w.killAtCommit(advanced) },
		alter: []string{"max_rows: 400", "max_rows: 7, max_bytes: 64KiB", "memory_limit: 256MiB", "memory_limit: 160MiB", "cluster: seoul", "cluster: busan"}},
}

// A collector is killed at each of these moments. Each record is in the table
// once.
func TestCrashes(t *testing.T) {
	for _, c := range crashes {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}, Frontends: 2})
			c.arm(w)
			w.begin()
			if c.kill != nil {
				c.kill(w)
			}
			<-w.dead
			w.srv.ClearFaults()
			if c.mend != nil {
				c.mend(w)
			}
			w.produce("while dead", 10)
			second := spawn(t, w.b, w.srv, c.alter...)
			w.each()
			w.produce("after", 10)
			w.each()
			second.shutDown()
		})
	}
}

// The same for a table whose rows do not tell where they came from: where a
// label was forgotten an older one tells, or somebody has to.
func TestCrashesWithoutProvenance(t *testing.T) {
	long(t)
	for _, c := range crashes {
		if strings.Contains(c.name, "forgotten") {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, starrockstest.Config{DDL: []string{plainDDL}})
			warm := spawn(t, w.b, w.srv) // the label that is known later
			w.each()
			warm.shutDown()
			w.produce("planned", 30)
			if strings.HasPrefix(c.name, "5 ") || strings.Contains(c.name, "not committed") || strings.Contains(c.name, "after the load") {
				w.killAtCommit(func(p kmsg.OffsetCommitRequestTopicPartition) bool { return p.Offset > 40 })
				if strings.HasPrefix(c.name, "5 ") {
					w.srv.Inject(starrockstest.Fault{Kind: starrockstest.PublishTimeout, Delay: time.Second})
				}
			} else {
				c.arm(w)
			}
			w.begin()
			if c.kill != nil {
				c.kill(w)
			}
			<-w.dead
			w.srv.ClearFaults()
			if c.mend != nil {
				c.mend(w)
			}
			second := spawn(t, w.b, w.srv, c.alter...)
			w.each()
			second.shutDown()
		})
	}
}

// 11 without columns that tell, and without an older label: nobody knows, and
// that is said.
func TestForgottenLabelWithoutProvenance(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{plainDDL}})
	w.killAtCommit(advanced)
	w.begin()
	<-w.dead
	w.forget()
	second := spawn(t, w.b, w.srv)
	second.says("does not know the label", "logging.kong[", " 0 to 39", "load.on_unknown", "--reset-offsets")
	second.kill()
	got := messages(w.srv)
	if all := slices.Compact(slices.Clone(got)); len(got) < 40 || len(all) != len(got) {
		t.Errorf("the table holds %d rows, %d different ones", len(got), len(all))
	}
}
