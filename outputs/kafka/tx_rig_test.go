package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn/kafkatest"
	"millrace/internal/pipeline"
)

// node is a data_dir with the containers' lines, over several lives of an
// agent: what Life is made of, and what Commission notes.
type node struct {
	t      *testing.T
	broker *kafkatest.Broker
	config Config
	life   Life
	lines  map[string]int // how many each container wrote

	mu     sync.Mutex
	broken error             // what Commission says
	local  map[string][]byte // positions in data_dir
}

// newNode is a node whose agent was never there.
func newNode(t *testing.T, b *kafkatest.Broker, c Config, name string) *node {
	c.Delivery = ExactlyOnce
	return &node{t: t, broker: b, config: c, lines: map[string]int{}, local: map[string][]byte{}, life: Life{
		TransactionalID: "millrace-test-" + name + "-main", Key: "test/" + name + "/main",
		Disk: "disk-of-" + name, Node: name, Pod: "agent-on-" + name, Adopt: true,
	}}
}

// agent is one life: a source of numbered lines as agent/tail is one, without
// its files, and its output.
type agent struct {
	*rig
	node *node

	mu         sync.Mutex
	restored   map[string][]byte
	begun      chan struct{} // closed by Restore
	containers map[string]*scroll
}

// scroll is what an agent knows of a container.
type scroll struct {
	origin  *pipeline.Origin
	acks    pipeline.Acks[int]
	next    int
	low     int
	failed  bool
	aborted int
}

// place is the position in a span.
type reach struct {
	scroll *scroll
	name   string
	next   int
}

func (n *node) start() *agent { return n.tuned(quick) }

func (n *node) tuned(tune tuning) *agent {
	n.t.Helper()
	a := &agent{node: n, begun: make(chan struct{}), containers: map[string]*scroll{}}
	a.rig = &rig{
		t: n.t, broker: n.broker, config: n.config,
		pool:   pipeline.NewPool(16, 16<<20),
		ledger: pipeline.NewLedger("test", "container"),
		state:  &states{changed: make(chan struct{})},
		logged: &strings.Builder{},
		wanted: map[string][]string{},
	}
	out, err := newOutput(n.options(a), tune)
	check(n.t, err)
	a.out = out
	n.t.Cleanup(a.kill)
	return a
}

func (n *node) options(a *agent) Options {
	return Options{
		Config: n.config, Pipeline: "test", Report: a.state.report,
		Logger:     slog.New(slog.NewTextHandler(a.logged, nil)),
		Registerer: prometheus.NewPedanticRegistry(),
		Positions:  a,
		Life: func(context.Context) (Life, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.life, nil
		},
		Commission: func(p Place) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.broken != nil {
				return n.broken
			}
			n.life.Adopt, n.life.Former, n.life.Place = false, nil, p
			return nil
		},
	}
}

// Encode implements Positions.
func (a *agent) Encode(position any) (string, []byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := position.(*reach)
	switch {
	case r.scroll == nil:
		return r.name, nil, nil
	case r.scroll.failed:
		return "", nil, errors.New("behind a hole")
	}
	return r.name, fmt.Appendf(nil, `{"next":%d}`, r.next), nil
}

// Restore implements Positions.
func (a *agent) Restore(committed map[string][]byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.restored != nil {
		return errors.New("restored twice")
	}
	for name, value := range committed {
		var p struct{ Version, Next int }
		if err := json.Unmarshal(value, &p); err != nil {
			return err
		}
		if p.Version > 1 {
			return errors.New("its version is later than ours")
		}
		a.scroll(name).begin(p.Next)
	}
	a.restored = maps.Clone(committed)
	if a.restored == nil {
		a.restored = map[string][]byte{}
	}
	close(a.begun)
	return nil
}

func (s *scroll) begin(at int) {
	s.acks.Begin(at)
	s.next, s.low = at, at
}

// Local implements Positions.
func (a *agent) Local() (map[string][]byte, error) { return a.node.local, nil }

// scroll finds a container. The caller holds a.mu.
func (a *agent) scroll(name string) *scroll {
	s := a.containers[name]
	if s == nil {
		s = &scroll{origin: a.origin(name)}
		a.containers[name] = s
	}
	return s
}

// awaitRestore waits until the source has its positions.
func (a *agent) awaitRestore() {
	a.t.Helper()
	select {
	case <-a.begun:
	case <-deadline(a.t).Done():
		a.t.Fatalf("the positions never came: %q", a.state.history)
	}
}

// read reads up to n lines of each of the containers into a batch and returns
// it emitted, nil if there is nothing to be read.
func (a *agent) read(n int, names ...string) *pipeline.Batch {
	b, err := a.pool.Get(deadline(a.t))
	check(a.t, err)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range names {
		s := a.scroll(name)
		if s.failed && s.acks.Open() == 0 {
			s.acks.Rewind()
			s.failed, s.next = false, s.low
		}
		last := min(s.next+n, a.node.lines[name])
		if s.failed || last == s.next {
			continue
		}
		b.Begin(s.origin.Account)
		for ; s.next < last; s.next++ {
			r := b.Add()
			r.Origin = s.origin
			r.Time = b.Mem.Copy([]byte("2025-12-10T01:23:10.123456789Z"))
			r.Tag = b.Mem.Copy([]byte("F"))
			r.Message = fmt.Appendf(nil, "%s %d", name, s.next)
		}
		span := &b.Spans[len(b.Spans)-1]
		span.Position = &reach{s, name, s.next}
		span.Seq = s.acks.Add(s.next)
	}
	if len(b.Spans) == 0 {
		a.pool.Put(b)
		return nil
	}
	b.OnDone(a.outcome)
	b.Emitted()
	return b
}

func (a *agent) outcome(b *pipeline.Batch, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range b.Spans {
		span := &b.Spans[i]
		s := span.Position.(*reach).scroll
		if s == nil {
			continue
		}
		if err != nil {
			s.failed = true
			s.aborted++
			s.acks.Fail(span.Seq)
			continue
		}
		s.low, _ = s.acks.Done(span.Seq)
	}
}

// line lets a container write n more lines.
func (n *node) line(name string, more int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines[name] += more
}

// names are the node's containers.
func (n *node) names() []string { return slices.Sorted(maps.Keys(n.lines)) }

// pump reads and writes everything there is until all of it is committed.
func (a *agent) pump() {
	a.t.Helper()
	a.awaitRestore()
	ctx := deadline(a.t)
	for !a.through() {
		if b := a.read(7, a.node.names()...); b != nil {
			a.out.Write(b)
			continue
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			a.t.Fatalf("not everything is committed: %q", a.state.history)
		}
	}
}

// through tells that every line is committed.
func (a *agent) through() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, n := range a.node.lines {
		if a.scroll(name).low != n {
			return false
		}
	}
	return true
}

// landed waits until Kafka has confirmed n batches.
func (a *agent) landed(n int) {
	a.t.Helper()
	a.until(func() bool {
		var m dto.Metric
		check(a.t, a.out.metrics.confirmed.Write(&m))
		return m.GetHistogram().GetSampleCount() >= uint64(n) && a.out.flights.allDown()
	})
}

// stop ends the agent as SIGTERM does.
func (a *agent) stop() {
	a.t.Helper()
	if err := a.out.Close(deadline(a.t)); err != nil {
		a.t.Errorf("%v; %q", err, a.state.history)
	}
	if n := a.pool.Out(); n != 0 {
		a.t.Errorf("%d batches are not Done", n)
	}
}

// kill ends the agent as kill -9 does, as far as Kafka can tell: nothing more
// is sent.
func (a *agent) kill() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a.out.Close(ctx) //nolint:errcheck // that not everything was delivered
}

// exact checks that a reader of committed records sees each line once, in
// order where the key keeps it.
func (n *node) exact() {
	n.t.Helper()
	seen := map[string][]int{}
	for _, rec := range readCommitted(n.t, n.broker, n.config.Topic) {
		var doc struct{ Message string }
		check(n.t, json.Unmarshal(rec.Value, &doc))
		name, number, _ := strings.Cut(doc.Message, " ")
		i, err := strconv.Atoi(number)
		check(n.t, err)
		seen[name] = append(seen[name], i)
	}
	for name, lines := range n.lines {
		got := seen[name]
		if n.config.Key == KeyNone {
			slices.Sort(got)
		}
		for i := range max(lines, len(got)) {
			if i >= len(got) || i >= lines || got[i] != i {
				n.t.Fatalf("%s: %d lines of %d; the first that is lost, repeated or out of order is %d: %v", name, len(got), lines, i, got[max(0, min(i, len(got))-3):min(len(got), i+3)])
			}
		}
	}
}

// readCommitted reads a topic to its end, transactions that were committed only.
func readCommitted(t *testing.T, b *kafkatest.Broker, topic string) (recs []*kgo.Record) {
	t.Helper()
	ctx := deadline(t)
	client, err := b.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	check(t, err)
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	check(t, err)
	at := map[int32]int64{}
	reached := func() bool {
		all := true
		ends.Each(func(o kadm.ListedOffset) { all = all && at[o.Partition] >= o.Offset })
		return all
	}
	for !reached() {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			stable, err := kadm.NewClient(client).ListCommittedOffsets(t.Context(), topic)
			check(t, err)
			t.Fatalf("read up to %v of %v, and transactions are decided up to %v", at, ends[topic], stable[topic])
		}
		check(t, fetches.Err())
		fetches.EachRecord(func(rec *kgo.Record) {
			at[rec.Partition] = rec.Offset + 1
			if !rec.Attrs.IsControl() {
				recs = append(recs, rec)
			}
		})
	}
	return recs
}

// txBroker starts a broker that keeps transactions.
func txBroker(t *testing.T, opts ...kfake.Opt) *kafkatest.Broker { return startBare(t, opts...) }
