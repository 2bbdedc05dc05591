package collector

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

const (
	testTopic = "logging.kong"
	testGroup = "millrace-kong"
)

// patience bounds waiting in tests; it is reached only when they fail.
const patience = time.Minute

// broker is a Kafka cluster in this process, and a client of it.
type broker struct {
	t       *testing.T
	cluster *kfake.Cluster
	addrs   []string
	client  *kgo.Client
	admin   *kadm.Client
}

func newBroker(t *testing.T, partitions int32) *broker {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, testTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &broker{t, cluster, cluster.ListenAddrs(), client, kadm.NewClient(client)}
}

func (b *broker) conn() kafkaconn.Config { return kafkaconn.Config{Brokers: b.addrs} }

// produce writes values to a partition.
func (b *broker) produce(partition int32, values ...string) {
	b.t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: testTopic, Partition: partition, Value: []byte(v)}
	}
	if err := b.client.ProduceSync(b.t.Context(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

// committed are the group's offsets by partition.
func (b *broker) committed() map[int32]int64 {
	b.t.Helper()
	offsets, err := b.admin.FetchOffsets(b.t.Context(), testGroup)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		b.t.Fatal(err)
	}
	at := map[int32]int64{}
	offsets.Each(func(o kadm.OffsetResponse) { at[o.Partition] = o.At })
	return at
}

// note is what stands beside a partition's offset.
func (b *broker) note(partition int32) *note {
	b.t.Helper()
	offsets, err := b.admin.FetchOffsets(b.t.Context(), testGroup)
	if err != nil {
		b.t.Fatal(err)
	}
	o, _ := offsets.Lookup(testTopic, partition)
	n, err := readNote(o.Metadata, partition)
	if err != nil {
		b.t.Fatal(err)
	}
	if n == nil {
		return &note{}
	}
	return n
}

// topicID is the id of the topic.
func (b *broker) topicID() string {
	b.t.Helper()
	m, err := b.admin.Metadata(b.t.Context(), testTopic)
	if err != nil {
		b.t.Fatal(err)
	}
	id := m.Topics[testTopic].ID
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// member is a source with an output, running as one member of the group.
type member struct {
	t      *testing.T
	source *source
	ledger *pipeline.Ledger
	pool   *pipeline.Pool
	stop   context.CancelFunc
	ended  chan error

	mu      sync.Mutex
	reports []error
}

// start runs a member. change may change its options.
func (b *broker) start(output pipeline.Output, change func(*sourceOptions)) *member {
	b.t.Helper()
	m := &member{t: b.t, ended: make(chan error, 1)}
	o := sourceOptions{
		config:   KafkaConfig{Conn: b.conn(), Topic: testTopic, Group: testGroup, StartAt: startAtBeginning},
		pipeline: "kong",
		limits:   limits{bytes: 1 << 20, rows: 100, weight: 4 << 20, age: 20 * time.Millisecond},
		memory:   shareMemory(128<<20, 1, 2),
		lanes:    2,
		ledger:   pipeline.NewLedger("kong", labelNames...),
		report:   m.note,
	}
	if change != nil {
		change(&o)
	}
	o.pool = pipeline.NewPool(o.lanes, 1<<20)
	m.ledger, m.pool = o.ledger, o.pool
	var err error
	if m.source, err = newSource(o); err != nil {
		b.t.Fatal(err)
	}
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	line := pipeline.Pipeline{Source: m.source, Output: output, Drain: patience}
	go func() { m.ended <- line.Run(ctx) }()
	b.t.Cleanup(func() { m.stop() })
	return m
}

func (m *member) note(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports = append(m.reports, err)
}

// reported waits until the member's readiness is as ok wants it.
func (m *member) reported(what string, ok func(error) bool) {
	m.t.Helper()
	eventually(m.t, what, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.reports) > 0 && ok(m.reports[len(m.reports)-1])
	})
}

// shutDown stops the member, and checks its books.
func (m *member) shutDown() {
	m.t.Helper()
	m.stop()
	select {
	case err := <-m.ended:
		if err != nil {
			m.t.Errorf("the pipeline ended with %v", err)
		}
	case <-time.After(patience):
		m.t.Fatal("the pipeline does not end")
	}
	pipelinetest.CheckBalance(m.t, m.ledger, m.pool)
}

// newRecorder remembers records as partition/offset/value.
func newRecorder() *pipelinetest.Recorder {
	return &pipelinetest.Recorder{Encode: func(r *pipeline.Record) string {
		return fmt.Sprintf("%d/%d/%s", r.Origin.Partition, r.Offset, r.Raw)
	}}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("not in time"))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, context.Cause(ctx))
		}
	}
}

func numbered(prefix string, n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = prefix + strconv.Itoa(i)
	}
	return values
}

// collected gathers what recorders deliver until n different records are there.
func collected(t *testing.T, n int, from ...*pipelinetest.Recorder) (all []string) {
	t.Helper()
	distinct := map[string]bool{}
	eventually(t, fmt.Sprintf("%d records", n), func() bool {
		for _, r := range from {
			for _, s := range r.Take() {
				all = append(all, s)
				distinct[s] = true
			}
		}
		return len(distinct) >= n
	})
	return all
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
