package collector

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/pipeline"
)

// drainOutput delivers only at the end: what a pipeline that stands still has
// on its way when it is shut down.
type drainOutput struct {
	mu        sync.Mutex
	held      []*pipeline.Batch
	stuck     int64 // a batch with this offset is given back
	delivered []int64
	after     func() // each batch
}

func (o *drainOutput) Write(b *pipeline.Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = append(o.held, b)
}

func (o *drainOutput) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.held)
}

func (o *drainOutput) Close(context.Context) error {
	for _, b := range o.held {
		var outcome error
		for i := range b.Records {
			if b.Records[i].Offset == o.stuck {
				outcome = pipeline.ErrAborted
			}
		}
		for i := range b.Records {
			if outcome == nil {
				o.delivered = append(o.delivered, b.Records[i].Offset)
				b.Delivered(b.SpanOf(i), 1)
			}
		}
		b.Done(outcome)
		if o.after != nil {
			o.after()
		}
	}
	return nil
}

// queued waits until a batch of a member is out and the next one is queued.
func (o *drainOutput) queued(t *testing.T, m *member) {
	t.Helper()
	eventually(t, "a batch", func() bool { return o.count() == 1 })
	eventually(t, "a whole batch behind it", func() bool { return len(m.source.clientPaused()) == 1 })
}

// A pipeline that stands before a record it cannot load is restarted again and
// again: nothing behind it is loaded each time.
func TestRestartsBeforeAStuckBatchRepeatNothing(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, append([]string{"bad"}, numbered("line ", 50)...)...)
	seen := map[int64]int{}
	for range 3 {
		out := &drainOutput{}
		m := b.start(out, func(o *sourceOptions) { o.limits.rows = 10 })
		out.queued(t, m)
		m.shutDown()
		for _, at := range out.delivered {
			seen[at]++
		}
	}
	for at, n := range seen {
		if n > 1 {
			t.Errorf("the record at %d was loaded %d times", at, n)
		}
	}
}

// A commit that is repeated does not come after one of a later offset.
func TestCommitsOfAPartitionNeverGoBack(t *testing.T) {
	b := newBroker(t, 1)
	var tries atomic.Int32
	var mu sync.Mutex
	var offsets []int64
	b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		commit := req.(*kmsg.OffsetCommitRequest)
		mu.Lock()
		offsets = append(offsets, commit.Topics[0].Partitions[0].Offset)
		mu.Unlock()
		if tries.Add(1) > 1 {
			return nil, nil, false
		}
		return refusedCommit(commit, kerr.RequestTimedOut), nil, true
	})
	b.produce(0, numbered("line ", 150)...)
	out := &drainOutput{stuck: -1}
	out.after = func() { eventually(t, "a try of the commit", func() bool { return tries.Load() >= 1 }) }
	m := b.start(out, func(o *sourceOptions) { o.limits.rows = 50 })
	out.queued(t, m)
	m.shutDown()
	if !slices.IsSorted(offsets) || len(offsets) < 2 {
		t.Errorf("commits of %v", offsets)
	}
	if at := b.committed()[0]; at != int64(len(out.delivered)) {
		t.Errorf("%d records were delivered, committed at %d", len(out.delivered), at)
	}
}

// What arrives while the collector is away belongs to what is new, even if it
// had read nothing before.
func TestStartAtEndIsKeptOverARestart(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, numbered("old ", 10)...)
	end := func(o *sourceOptions) { o.config.StartAt = startAtEnd }
	m := b.start(newRecorder(), end)
	eventually(t, "the start is committed", func() bool { return b.committed()[0] == 10 })
	m.shutDown()
	values := numbered("while away ", 10)
	b.produce(0, values...)
	out := newRecorder()
	m = b.start(out, end)
	if got := collected(t, 10, out); !slices.Equal(got, want(0, 10, values)) {
		t.Errorf("got %q", got)
	}
	m.shutDown()
}

// Where to start cannot be committed: nothing is read, and it is said.
func TestStartAtEndThatCannotBeCommitted(t *testing.T) {
	b := newBroker(t, 1)
	var allowed atomic.Bool
	b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if allowed.Load() {
			return nil, nil, false
		}
		return refusedCommit(req.(*kmsg.OffsetCommitRequest), kerr.GroupAuthorizationFailed), nil, true
	})
	b.produce(0, "old")
	m := b.start(newRecorder(), func(o *sourceOptions) { o.config.StartAt = startAtEnd })
	m.reported("a sentence about the commit", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), `Read on group "millrace-kong"`)
	})
	allowed.Store(true)
	m.reported("ready", func(err error) bool { return err == nil })
	eventually(t, "the start is committed", func() bool { return b.committed()[0] == 1 })
	m.shutDown()
}

// refusedCommit is a broker's answer to a commit.
func refusedCommit(req *kmsg.OffsetCommitRequest, why *kerr.Error) *kmsg.OffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, rt := range req.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, t.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition, p.ErrorCode = rp.Partition, why.Code
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}
