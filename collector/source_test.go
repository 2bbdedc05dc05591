package collector

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// want is what recorders should have seen of a partition.
func want(partition int32, first int64, values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprintf("%d/%d/%s", partition, first+int64(i), v)
	}
	return out
}

func TestOffsetsFollowTheOutput(t *testing.T) {
	b := newBroker(t, 3)
	values := numbered("line ", 350)
	for p := range int32(3) {
		b.produce(p, values...)
	}
	out := newRecorder()
	out.SetMode(pipelinetest.Hold)
	m := b.start(out, nil)
	eventually(t, "a batch in each lane", func() bool { return out.Held() == 2 })
	for p, at := range b.committed() {
		if at > 0 {
			t.Errorf("partition %d is committed at %d although nothing is delivered", p, at)
		}
	}
	out.SetMode(pipelinetest.Deliver)
	out.Release(nil)
	got := collected(t, 3*350, out)
	var all []string
	for p := range int32(3) {
		all = append(all, want(p, 0, values)...)
	}
	if !slices.Equal(sorted(got), sorted(all)) {
		t.Errorf("got %d records, not each once", len(got))
	}
	eventually(t, "the last commit", func() bool {
		at := b.committed()
		return at[0] == 350 && at[1] == 350 && at[2] == 350
	})
	m.shutDown()
	if n := m.ledger.Total(); n.Read != 1050 || n.Delivered != 1050 || n.Reread != 0 || n.Pending != 0 {
		t.Errorf("the ledger says %+v", n)
	}
}

func TestRecordsOfAPartitionKeepTheirOrder(t *testing.T) {
	b := newBroker(t, 2)
	values := numbered("", 1000)
	b.produce(0, values...)
	out := newRecorder()
	m := b.start(out, nil)
	if got := collected(t, 1000, out); !slices.Equal(got, want(0, 0, values)) {
		t.Errorf("records came in another order")
	}
	m.shutDown()
}

// An output that aborts makes the source read the same records again.
func TestAbortedBatchIsReadAgain(t *testing.T) {
	b := newBroker(t, 2)
	values := numbered("line ", 500)
	b.produce(0, values...)
	b.produce(1, values...)
	out := newRecorder()
	out.SetMode(pipelinetest.Hold)
	m := b.start(out, nil)
	for range 3 {
		eventually(t, "a batch in each lane", func() bool { return out.Held() == 2 })
		out.Release(pipeline.ErrAborted)
	}
	eventually(t, "a batch in each lane", func() bool { return out.Held() == 2 })
	out.SetMode(pipelinetest.Deliver)
	out.Release(nil)
	got := collected(t, 1000, out)
	if !slices.Equal(sorted(got), sorted(append(want(0, 0, values), want(1, 0, values)...))) {
		t.Errorf("got %d records, not each once", len(got))
	}
	m.shutDown()
	n := m.ledger.Total()
	if n.Read != 1000 || n.Delivered != 1000 || n.Reread < 600 || n.Pending != 0 {
		t.Errorf("the ledger says %+v", n)
	}
}

// A shutdown loses nothing and repeats nothing when the output delivers.
func TestRestartGoesOnWhereItStopped(t *testing.T) {
	b := newBroker(t, 2)
	first, second := numbered("a", 130), numbered("b", 130)
	b.produce(0, first...)
	out := newRecorder()
	m := b.start(out, nil)
	got := collected(t, 1, out)
	m.shutDown()
	got = append(got, out.Take()...)
	b.produce(0, second...)
	m = b.start(out, nil)
	got = append(got, collected(t, 260-len(got), out)...)
	m.shutDown()
	if !slices.Equal(got, append(want(0, 0, first), want(0, 130, second)...)) {
		t.Errorf("got %d records, not each once in order", len(got))
	}
}

// What is in flight when the process is stopped and cannot be delivered any
// more is the next one's.
func TestShutdownWithoutDeliveryCommitsNothing(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, numbered("line ", 150)...)
	out := newRecorder()
	out.SetMode(pipelinetest.Hold)
	m := b.start(out, nil)
	eventually(t, "a batch", func() bool { return out.Held() == 1 })
	m.shutDown()
	if at := b.committed()[0]; at > 0 {
		t.Errorf("committed at %d", at)
	}
	if n := m.ledger.Total(); n.Pending != n.Read {
		t.Errorf("the ledger says %+v", n)
	}
}

func TestStartAtEnd(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, numbered("old ", 10)...)
	out := newRecorder()
	m := b.start(out, func(o *sourceOptions) { o.config.StartAt = startAtEnd })
	m.reported("ready", func(err error) bool { return err == nil })
	var got []string
	for i := 0; len(got) == 0; i++ { // the offset is looked up some time after joining
		b.produce(0, fmt.Sprintf("new %d", i))
		got = out.Take()
	}
	m.shutDown()
	for _, s := range append(got, out.Take()...) {
		if !strings.Contains(s, "/new ") {
			t.Errorf("got %q", s)
		}
	}
}

func TestOffsetOutOfRangeIsNotReset(t *testing.T) {
	b := newBroker(t, 2)
	b.produce(0, numbered("line ", 100)...)
	b.produce(1, "other")
	commit := kadm.Offsets{}
	commit.AddOffset(testTopic, 0, 10, -1)
	if _, err := b.admin.CommitOffsets(t.Context(), testGroup, commit); err != nil {
		t.Fatal(err)
	}
	gone := kadm.Offsets{}
	gone.AddOffset(testTopic, 0, 40, -1)
	if _, err := b.admin.DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	out := newRecorder()
	m := b.start(out, nil)
	m.reported("a sentence about the offset", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), `topic "logging.kong", partition 0: the group's offset 10 is outside the broker's offsets 40 to 100`)
	})
	if got := collected(t, 1, out); !slices.Equal(got, want(1, 0, []string{"other"})) {
		t.Errorf("got %q", got)
	}
	m.shutDown()
	if at := b.committed()[0]; at != 10 {
		t.Errorf("the group's offset was moved to %d", at)
	}
}

// With an output that takes nothing, what the process holds stays bounded:
// partitions are paused.
func TestMemoryIsBoundedWhileTheOutputHangs(t *testing.T) {
	b := newBroker(t, 4)
	for p := range int32(4) {
		b.produce(p, numbered("line ", 5000)...)
	}
	out := newRecorder()
	out.SetMode(pipelinetest.Hold)
	m := b.start(out, func(o *sourceOptions) { o.limits.age = patience })
	m.reported("ready", func(err error) bool { return err == nil })
	eventually(t, "all partitions paused", func() bool {
		return len(m.source.clientPaused()) == 4
	})
	eventually(t, "a batch of each lane", func() bool { return out.Held() == 2 })
	if m.pool.Out() != 2 {
		t.Errorf("%d batches are out", m.pool.Out())
	}
	m.stop()
	out.Release(pipeline.ErrAborted)
	m.shutDown()
	for _, l := range m.source.lanes {
		if l.rows > 100+pollRecords {
			t.Errorf("a lane queued %d records", l.rows)
		}
	}
	if n := m.ledger.Total(); n.Read > 4*100 {
		t.Errorf("%d records were emitted", n.Read)
	}
}

// A topic that an exactly-once producer writes to ends with markers; nothing
// of it is left to read.
func TestLagOfAnIdleTransactionalTopicIsZero(t *testing.T) {
	b := newBroker(t, 1)
	txn, err := kgo.NewClient(kgo.SeedBrokers(b.addrs...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic(testTopic))
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		name := map[bool]string{true: "committed", false: "aborted"}[bool(end)]
		if err := txn.ProduceSync(t.Context(), kgo.StringRecord(name), kgo.StringRecord(name)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := txn.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	out := newRecorder()
	m := b.start(out, nil)
	got := collected(t, 4, out)
	for _, s := range got {
		if !strings.HasSuffix(s, "/committed") {
			t.Errorf("got %q", s)
		}
	}
	eventually(t, "the offset behind the last marker", func() bool { return b.committed()[0] == 12 })
	eventually(t, "no lag", func() bool {
		g := m.source.lags.get(0)
		return g.end.Load() == 12 && g.position.Load() == 12
	})
	m.shutDown()
}

func TestUnknownTopicIsNotReady(t *testing.T) {
	b := newBroker(t, 1)
	m := b.start(newRecorder(), func(o *sourceOptions) { o.config.Topic = "nonesuch" })
	m.reported("a sentence about the topic", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), `"nonesuch"`)
	})
	m.shutDown()
}

// A commit that the broker refuses is repeated, and until it is through
// nothing more is loaded.
func TestRefusedCommitIsRepeated(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, numbered("line ", 10)...)
	refuse := 3
	b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if refuse--; refuse < 0 {
			return nil, nil, false
		}
		return refusedCommit(req.(*kmsg.OffsetCommitRequest), kerr.GroupAuthorizationFailed), nil, true
	})
	out := newRecorder()
	m := b.start(out, nil)
	m.reported("a sentence about the commit", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), `commit offsets of topic "logging.kong"`) && strings.Contains(err.Error(), `Read on group "millrace-kong"`)
	})
	collected(t, 10, out)
	b.produce(0, numbered("more ", 10)...)
	collected(t, 10, out)
	m.reported("ready", func(err error) bool { return err == nil })
	m.shutDown()
	if at := b.committed()[0]; at != 20 {
		t.Errorf("committed at %d", at)
	}
}

// What stands beside an offset names the topic for ever; before a load it is its
// plan.
func TestNotesBesideOffsets(t *testing.T) {
	b := newBroker(t, 2)
	b.produce(0, numbered("line ", 3)...)
	b.produce(1, numbered("line ", 2)...)
	out := newRecorder()
	out.SetMode(pipelinetest.Hold)
	m := b.start(out, func(o *sourceOptions) { o.lanes, o.limits.age = 1, time.Second })
	eventually(t, "a load of both partitions", func() bool { return out.Held() == 1 })
	lead, other := b.note(0).Plan, b.note(1).Plan
	if lead == nil || other == nil || lead.Label != other.Label {
		t.Fatalf("the plans are %+v and %+v", lead, other)
	}
	if lead.Lead != 0 {
		lead, other = other, lead
	}
	if len(lead.Parts) != 2 || len(other.Parts) != 1 || other.Parts[0] != lead.Parts[1] || lead.Cluster == "" || lead.Owner == "" {
		t.Errorf("the plans are %+v and %+v", lead, other)
	}
	out.Resume()
	eventually(t, "both committed", func() bool { at := b.committed(); return at[0] == 3 && at[1] == 2 })
	m.shutDown()
	if n := b.note(0); n.Plan != nil || len(n.TopicID) != len(widestID) {
		t.Errorf("beside the offset of a partition without a plan stands %+v", n)
	}
}

// ranges is an output that keeps the positions of what it delivers.
type ranges struct {
	pipelinetest.Recorder
	mu    sync.Mutex
	spans []Position
	ids   map[string]bool
}

func (o *ranges) Write(b *pipeline.Batch) {
	o.mu.Lock()
	for i := range b.Spans {
		o.spans = append(o.spans, b.Spans[i].Position.(Position))
	}
	o.ids[b.ID] = true
	o.mu.Unlock()
	o.Recorder.Write(b)
}

// The ranges of a partition's spans follow each other without a gap, and each
// batch has a label of its own.
func TestPositionsTileThePartition(t *testing.T) {
	b := newBroker(t, 2)
	for p := range int32(2) {
		b.produce(p, numbered("line ", 1000)...)
	}
	out := &ranges{Recorder: pipelinetest.Recorder{Encode: newRecorder().Encode}, ids: map[string]bool{}}
	m := b.start(out, nil)
	collected(t, 2000, &out.Recorder)
	m.shutDown()
	next := map[int32]int64{}
	for _, s := range out.spans {
		if s.Topic != testTopic || s.Start != next[s.Partition] || s.End <= s.Start {
			t.Errorf("%+v does not begin at %d", s, next[s.Partition])
		}
		next[s.Partition] = s.End
	}
	if next[0] != 1000 || next[1] != 1000 {
		t.Errorf("the ranges end at %v", next)
	}
	if len(out.ids) != len(out.spans) || out.ids[""] {
		t.Errorf("%d labels for %d batches", len(out.ids), len(out.spans))
	}
}
