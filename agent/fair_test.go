package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/agent/tail"
	"millrace/demo/kubelet"
	"millrace/internal/config"
	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

const (
	// turn is what a container gives each time it is read: the bound that is
	// promised to the others, for each that is read before them.
	turn = 64 << 10
	// heldBatches is how many batches the pipeline may have in flight.
	heldBatches = 8
	// inFlight bounds what may stand before the first line of a container that
	// has just been noticed: all batches, and a turn.
	inFlight = (heldBatches + 1) * turn
	others   = 9
	loud     = "loud"
)

// fairness is a node on which one container writes a hundred times as much as
// each of the others. There is one worker, so that the order of delivery is
// the order of service; time is virtual.
type fairness struct {
	*testing.T
	node   *kubelet.Node
	logs   map[string]*kubelet.Container
	out    *pipelinetest.Recorder
	ledger *pipeline.Ledger
	pool   *pipeline.Pool
	now    time.Time // the node's clock, which names rotated files
	stop   func()
}

// name is the i-th of the others.
func name(i int) string { return fmt.Sprintf("quiet-%d", i) }

func newFairness(t *testing.T, dir string) *fairness {
	node, err := kubelet.NewNode(kubelet.Config{LogDir: filepath.Join(dir, "pods"), MaxSize: 2 << 20, MaxFiles: 30, Interval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	f := &fairness{T: t, node: node, logs: map[string]*kubelet.Container{}, now: time.Date(2026, 8, 21, 8, 15, 0, 0, time.UTC),
		ledger: pipeline.NewLedger("fair", tail.LabelNames...), pool: pipeline.NewPool(heldBatches, 2*tail.BatchMemory)}
	f.out = &pipelinetest.Recorder{Encode: func(r *pipeline.Record) string { return string(r.Message) }}
	f.begin(loud)
	for i := range others {
		f.begin(name(i))
	}
	return f
}

func (f *fairness) begin(name string) {
	f.Helper()
	log, err := f.node.Start(kubelet.Pod{Namespace: "ns", Name: name, UID: "uid"}, "main", f.now)
	if err != nil {
		f.Fatal(err)
	}
	f.logs[name] = log
}

// write has a container write n lines of about 1 KiB, which begin with its
// name and what: in tens, a second from one to the next.
func (f *fairness) write(name, what string, n int) {
	f.Helper()
	for from := 0; from < n; from += 10 {
		var lines []kubelet.Line
		for i := from; i < min(from+10, n); i++ {
			lines = append(lines, kubelet.Line{At: f.now, Stream: "stdout", Text: fmt.Sprintf("%s %s %d %s", name, what, i, strings.Repeat("x", 1<<10))})
		}
		f.now = f.now.Add(time.Second)
		if err := f.logs[name].Write(lines...); err != nil {
			f.Fatal(err)
		}
	}
}

// start runs a pipeline that follows all of them.
func (f *fairness) start(dir string) {
	f.Helper()
	var c tail.Config
	config.SetDefaults(&c)
	source, err := tail.New(tail.Options{Config: c, LogDir: filepath.Join(dir, "pods"), DataDir: filepath.Join(dir, "data"),
		Pool: f.pool, Ledger: f.ledger, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		f.Fatal(err)
	}
	metadata := &tail.Metadata{Tail: []byte(`,"kubernetes":{}`)}
	for name := range f.logs {
		source.Follow(tail.Target{Key: "ns_" + name + "_uid/main", PodUID: "uid", Namespace: "ns", Pod: name, Name: "main",
			Metadata: func(int) (*tail.Metadata, bool) { return metadata, true }})
	}
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan error, 1)
	p := pipeline.Pipeline{Source: source, Output: f.out, Drain: time.Minute}
	go func() { ended <- p.Run(ctx) }()
	f.stop = func() {
		f.Helper()
		cancel()
		if err := <-ended; err != nil {
			f.Error(err)
		}
		pipelinetest.CheckBalance(f, f.ledger, f.pool, f.out)
	}
}

// pass lets time pass until nothing happens any more.
func (f *fairness) pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

// delivered waits until n lines are, and returns them in their order.
func (f *fairness) delivered(n int) (lines []string) {
	f.Helper()
	for range 100 {
		f.pass(time.Second)
		if lines = append(lines, f.out.Take()...); len(lines) >= n {
			break
		}
	}
	if len(lines) != n {
		f.Fatalf("%d lines are delivered, want %d", len(lines), n)
	}
	return lines
}

// waits are the bytes of the loud container that stand before the first of the
// other's lines that have what, and the most between two of them.
func waits(lines []string, other, what string) (first, most int) {
	first, since := -1, 0
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, loud+" "):
			since += len(l)
		case !strings.HasPrefix(l, other+" "+what+" "):
		case first < 0:
			first, since = since, 0
		default:
			most, since = max(most, since), 0
		}
	}
	return first, most
}

// oneWorker is for the caller to be called before its bubble of virtual time.
func oneWorker(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// A container that is read does not give more than its turn before the others
// that are known to have something are read.
func TestLoudContainerDelaysOthersByItsTurn(t *testing.T) {
	oneWorker(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFairness(t, dir)
		const lines = 300
		f.write(loud, "backlog", 100*lines)
		for i := range others {
			f.write(name(i), "backlog", lines)
		}
		f.out.SetMode(pipelinetest.Hold)
		f.start(dir)
		f.pass(2 * time.Second) // they are noticed
		f.out.Resume()
		got := f.delivered((100 + others) * lines)
		for i := range others {
			first, most := waits(got, name(i), "backlog")
			if first > inFlight || most > turn {
				t.Errorf("%s waited for %d bytes of the loud container and then for up to %d, want at most %d and %d", name(i), first, most, inFlight, turn)
			}
		}
		f.stop()
	})
}

// What the others write last, before an outage is over, is delivered before
// the loud container has caught up: behind what was in flight, and its turn.
func TestNewestLinesOvertakeTheCatchUp(t *testing.T) {
	oneWorker(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFairness(t, dir)
		f.out.SetMode(pipelinetest.Hold)
		f.start(dir)
		const before, during, after = 5, 20_000, 5
		for i := range others {
			f.write(name(i), "before", before)
		}
		for range 10 { // the loud one grows, and rotates, for the whole outage
			f.write(loud, "backlog", during/10)
			f.pass(time.Second)
		}
		if n := f.out.Held(); n != heldBatches {
			t.Fatalf("%d batches are held, want all %d: the outage is none", n, heldBatches)
		}
		if f.logs[loud].Rotations() < 5 {
			t.Fatalf("%d rotations", f.logs[loud].Rotations())
		}
		for i := range others {
			f.write(name(i), "after", after)
		}
		f.pass(2 * time.Second) // they are noticed
		f.out.Resume()
		got := f.delivered(others*(before+after) + during)
		for i := range others {
			if first, most := waits(got, name(i), "after"); first > inFlight || most > turn {
				t.Errorf("%s's newest lines waited for %d bytes of the loud container and then for up to %d, want at most %d and %d", name(i), first, most, inFlight, turn)
			}
		}
		f.stop()
	})
}
