package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	"millrace/internal/kafkaconn/kafkatest"
	"millrace/internal/pipeline"
)

const (
	user     = "agent"
	password = "agent-secret"
	topic    = "logs"
)

// quick tries again often, so that tests of recovery are short.
var quick = tuning{
	minBackoff: 20 * time.Millisecond,
	maxBackoff: 200 * time.Millisecond,
	stallAfter: time.Minute,
	dialWait:   10 * time.Second,
	slowRead:   time.Second,
}

// rig is an output to a broker, and the ledger of what goes through it.
type rig struct {
	t      *testing.T
	broker *kafkatest.Broker
	config Config
	out    *Output
	pool   *pipeline.Pool
	ledger *pipeline.Ledger
	state  *states
	logged *strings.Builder

	mu     sync.Mutex
	done   []error             // of each batch
	wanted map[string][]string // by container: the JSON of its records, in order
}

// startBroker starts a broker where the user may write to the topic and read
// its settings.
func startBroker(t *testing.T, opts ...kfake.Opt) *kafkatest.Broker {
	return startBare(t, append([]kfake.Opt{
		kfake.User(kafkaconn.ScramSHA512, user, password, kafkatest.WriteACL(topic), kafkatest.DescribeConfigsACL(topic)),
	}, opts...)...)
}

// startBare starts a broker with the topic and a superuser.
func startBare(t *testing.T, opts ...kfake.Opt) *kafkatest.Broker {
	t.Helper()
	b, err := kafkatest.Start(kafkatest.TempDir(t), append([]kfake.Opt{kfake.SeedTopics(4, topic)}, opts...)...)
	check(t, err)
	t.Cleanup(b.Stop)
	return b
}

// defaults are the default configuration for the broker's topic.
func defaults(b *kafkatest.Broker) Config {
	var c Config
	config.SetDefaults(&c)
	c.Delivery = AtLeastOnce
	c.Conn = b.Conn(user, password)
	c.Topic = topic
	return c
}

// newRig starts an output; nothing else of it is running when the test ends,
// and its ledger balances.
func newRig(t *testing.T, b *kafkatest.Broker, c Config) *rig {
	return tunedRig(t, b, c, quick)
}

func tunedRig(t *testing.T, b *kafkatest.Broker, c Config, tune tuning) *rig {
	t.Helper()
	r := &rig{
		t: t, broker: b, config: c,
		pool:   pipeline.NewPool(64, 16<<20),
		ledger: pipeline.NewLedger("test", "container"),
		state:  &states{changed: make(chan struct{})},
		logged: &strings.Builder{},
		wanted: map[string][]string{},
	}
	out, err := newOutput(Options{
		Config: c, Pipeline: "test",
		Logger:     slog.New(slog.NewTextHandler(r.logged, nil)),
		Registerer: prometheus.NewPedanticRegistry(),
		Report:     r.state.report,
	}, tune)
	check(t, err)
	r.out = out
	t.Cleanup(func() { // for tests that failed before close
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		r.out.Close(ctx) //nolint:errcheck // the test has failed already or closed it
	})
	return r
}

// origin is a container of the rig.
func (r *rig) origin(container string) *pipeline.Origin {
	return &pipeline.Origin{
		Account:   r.ledger.Open("ns/pod/"+container, container),
		Stream:    []byte("stdout"),
		Tail:      []byte(`,"kubernetes":{"container_name":"` + container + `"}`),
		Pod:       "pod-of-" + container,
		Container: container,
	}
}

// batch makes a batch of the messages, all from one container, as a source
// does: emitted, but not written.
func (r *rig) batch(o *pipeline.Origin, messages ...string) *pipeline.Batch {
	r.t.Helper()
	b := r.empty()
	r.extend(b, o, messages...)
	b.Emitted()
	return b
}

// empty is a batch to be extended and emitted.
func (r *rig) empty() *pipeline.Batch {
	r.t.Helper()
	b, err := r.pool.Get(deadline(r.t))
	check(r.t, err)
	b.OnDone(func(_ *pipeline.Batch, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.done = append(r.done, err)
	})
	return b
}

// extend adds a span of messages of one container.
func (r *rig) extend(b *pipeline.Batch, o *pipeline.Origin, messages ...string) {
	b.Begin(o.Account)
	for _, m := range messages {
		rec := b.Add()
		rec.Origin = o
		rec.Time = b.Mem.Copy([]byte("2025-12-10T01:23:10.123456789Z"))
		rec.Tag = b.Mem.Copy([]byte("F"))
		rec.Message = b.Mem.Copy([]byte(m))
		json, _, _ := rec.AppendJSON(nil, 1<<30)
		r.mu.Lock()
		r.wanted[o.Container] = append(r.wanted[o.Container], string(json))
		r.mu.Unlock()
	}
}

// write writes n batches of per records each.
func (r *rig) write(o *pipeline.Origin, n, per int) {
	for i := range n {
		messages := make([]string, per)
		for j := range messages {
			messages[j] = fmt.Sprintf("%s line %d of batch %d: %s", o.Container, j, i, strings.Repeat("x", j%50))
		}
		r.out.Write(r.batch(o, messages...))
	}
}

// close closes the output and checks that every batch was delivered, that the
// ledger balances and that the topic holds exactly what was written.
func (r *rig) close() []*kgo.Record {
	r.t.Helper()
	check(r.t, r.out.Close(deadline(r.t)))
	for _, err := range r.done {
		check(r.t, err)
	}
	r.balanced()
	got := map[string][]string{}
	recs := readAll(r.t, r.broker, r.config.Topic)
	for _, rec := range recs {
		_, rest, _ := strings.Cut(string(rec.Value), `"container_name":"`)
		name, _, _ := strings.Cut(rest, `"`)
		got[name] = append(got[name], string(rec.Value))
	}
	for name, want := range r.wanted {
		r.same(name, got[name], want)
	}
	return recs
}

// same compares in order where the key keeps it, else as sets.
func (r *rig) same(name string, got, want []string) {
	r.t.Helper()
	if len(got) != len(want) {
		r.t.Errorf("%s: %d records arrived of %d", name, len(got), len(want))
	}
	if r.config.Key == KeyNone {
		count := map[string]int{}
		for _, s := range want {
			count[s]++
		}
		for _, s := range got {
			count[s]--
		}
		for s, n := range count {
			if n != 0 {
				r.t.Fatalf("%s: %d too few of %.200s", name, n, s)
			}
		}
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			r.t.Fatalf("%s: record %d is\n%.200s\nwant\n%.200s", name, i, got[i], want[i])
		}
	}
}

// balanced checks that every batch is back and nothing is missing or pending.
func (r *rig) balanced() {
	r.t.Helper()
	if n := r.pool.Out(); n != 0 {
		r.t.Errorf("%d batches are not Done", n)
	}
	if total := r.ledger.Total(); total.Missing() != 0 {
		r.t.Errorf("the ledger misses %d: %+v", total.Missing(), total)
	}
}

// readAll reads a topic to its end, in order of partition and offset.
func readAll(t *testing.T, b *kafkatest.Broker, topic string) []*kgo.Record {
	t.Helper()
	ctx := deadline(t)
	client, err := b.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	check(t, err)
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	check(t, err)
	left := 0
	ends.Each(func(o kadm.ListedOffset) { left += int(o.Offset) })
	var recs []*kgo.Record
	for len(recs) < left {
		fetches := client.PollFetches(ctx)
		check(t, fetches.Err())
		recs = append(recs, fetches.Records()...)
	}
	return recs
}

// states is what the output reports about itself.
type states struct {
	mu      sync.Mutex
	now     string // "" is ready, "?" nothing was reported yet
	told    bool
	history []string
	changed chan struct{}
}

func (s *states) report(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.told = "", true
	if err != nil {
		s.now = err.Error()
	}
	s.history = append(s.history, s.now)
	close(s.changed)
	s.changed = make(chan struct{})
}

// ready waits until the output says that it is.
func (r *rig) ready() { r.t.Helper(); r.wait("") }

// unready waits until the output says why it is not.
func (r *rig) unready(part string) { r.t.Helper(); r.wait(part) }

func (r *rig) wait(part string) {
	r.t.Helper()
	ctx, s := deadline(r.t), r.state
	for {
		s.mu.Lock()
		ok := s.told && (part == "" && s.now == "" || part != "" && strings.Contains(s.now, part))
		changed := s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.t.Fatalf("the output never said %q, but %q", part, s.history)
		}
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settled waits until everything written was confirmed.
func (r *rig) settled() {
	r.t.Helper()
	select {
	case <-r.out.flights.idle():
	case <-deadline(r.t).Done():
		r.t.Fatalf("records are still under way: %q", r.state.history)
	}
}
