package kafka

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/kafkaconn/kafkatest"
	"millrace/internal/pipeline"
)

// abortedFor is how many transactions of the agent were aborted for a reason.
func (a *agent) abortedFor(reason string) int {
	return int(metricValue(a.out.metrics.aborted.WithLabelValues(reason)))
}

// newTx is a broker, a node on it, and its first agent with committed lines.
func newTx(t *testing.T, opts ...kfake.Opt) (*kafkatest.Broker, *node, *agent) {
	b := txBroker(t, opts...)
	n := newNode(t, b, txDefaults(b), "a")
	a := n.start()
	n.line("proxy", 20)
	a.pump()
	return b, n, a
}

// TestRefusedRecordAbortsTheSlice: Kafka would commit the rest.
func TestRefusedRecordAbortsTheSlice(t *testing.T) {
	t.Parallel()
	for _, where := range []string{topic, "millrace.positions"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			b, n, a := newTx(t)
			refuse := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: where, Count: -1, Err: kerr.InvalidRecord,
				When: once()})
			n.line("proxy", 50)
			a.pump()
			if refuse.Hits() == 0 || a.abortedFor(becauseRefused) != 1 {
				t.Errorf("%d refusals, %d aborted", refuse.Hits(), a.abortedFor(becauseRefused))
			}
			a.stop()
			if !slices.ContainsFunc(a.state.history, func(s string) bool { return strings.Contains(s, where) }) {
				t.Errorf("nothing is said of the topic: %q", a.state.history)
			}
			n.exact()
		})
	}
}

// once lets the first request that is asked about be the only one.
func once() func(kmsg.Request) bool {
	var done atomic.Bool
	return func(kmsg.Request) bool { return !done.Swap(true) }
}

// TestLostAnswerToACommit: whether the commit happened or not, each line is
// there once, and what happened is found out and not guessed.
func TestLostAnswerToACommit(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		t.Run(map[bool]string{true: "it happened", false: "it did not"}[happened], func(t *testing.T) {
			t.Parallel()
			b, n, a := newTx(t)
			var inside atomic.Bool
			lost := make(chan struct{})
			admin, err := b.Client()
			check(t, err)
			t.Cleanup(admin.Close)
			b.Cluster().ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
				b.Cluster().KeepControl()
				end := req.(*kmsg.EndTxnRequest)
				select {
				case <-lost:
					return nil, nil, false
				default:
				}
				if !end.Commit || inside.Swap(true) {
					return nil, nil, false
				}
				if happened {
					b.Cluster().SleepControl(func() {
						if resp, err := end.RequestWith(t.Context(), admin); err != nil || resp.ErrorCode != 0 {
							t.Errorf("commit for the agent: %v %+v", err, resp)
						}
					})
				}
				close(lost)
				resp := end.ResponseKind().(*kmsg.EndTxnResponse)
				resp.ErrorCode = kerr.UnknownServerError.Code
				return resp, nil, true
			})
			n.line("proxy", 50)
			a.pump()
			<-lost
			if got, want := a.abortedFor(becauseUnconfirmed), map[bool]int{true: 0, false: 1}[happened]; got != want {
				t.Errorf("%d transactions count as aborted, want %d", got, want)
			}
			a.stop()
			if a.containers["proxy"].aborted > 0 == happened {
				t.Errorf("%d spans were read again", a.containers["proxy"].aborted)
			}
			n.exact()
		})
	}
}

// TestStrayBatch: a batch that was emitted before an abort and is written after
// it is not committed over the hole, whether a transaction is open then or not.
func TestStrayBatch(t *testing.T) {
	t.Parallel()
	b := txBroker(t)
	c := txDefaults(b)
	c.Transaction.Interval = 500 * time.Millisecond
	n := newNode(t, b, c, "a")
	a := n.start()
	a.awaitRestore()
	a.ready()
	n.line("proxy", 30)
	refuse := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Count: -1, Err: kerr.InvalidRecord})
	first, stray, late := a.read(10, "proxy"), a.read(10, "proxy"), a.read(10, "proxy")
	a.out.Write(first)
	a.until(func() bool { return a.containers["proxy"].acks.Open() == 2 })
	refuse.Remove()
	n.line("ingress", 10)
	a.out.Write(stray) // nothing is open
	a.out.Write(a.read(10, "ingress"))
	a.landed(1)
	if got := a.containers["proxy"].acks.Open(); got != 1 {
		t.Errorf("%d batches of the container are still out, want only the late one", got)
	}
	a.out.Write(late) // the slice of the other container is open
	a.pump()
	if a.abortedFor(becauseBehind) != 1 {
		t.Errorf("%d transactions were aborted because of a position behind a hole, want 1", a.abortedFor(becauseBehind))
	}
	a.stop()
	n.exact()
}

// until waits for a condition of the source.
func (a *agent) until(done func() bool) {
	a.t.Helper()
	ctx := deadline(a.t)
	for {
		a.mu.Lock()
		ok := done()
		a.mu.Unlock()
		if ok {
			return
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			a.t.Fatalf("it never came about: %q", a.state.history)
		}
	}
}

// TestTransactionTimesOut: a slice that is not confirmed in time is aborted and
// read again, and the agent goes on.
func TestTransactionTimesOut(t *testing.T) {
	t.Parallel()
	b := txBroker(t)
	c := txDefaults(b)
	c.Transaction.Timeout = 500 * time.Millisecond
	n := newNode(t, b, c, "a")
	a := n.start()
	n.line("proxy", 20)
	a.pump()
	hang := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Count: -1, Err: kerr.NotEnoughReplicas})
	n.line("proxy", 20)
	batch := a.read(20, "proxy")
	a.out.Write(batch)
	a.unready("within transaction.timeout, 500ms")
	hang.Remove()
	a.pump()
	if a.abortedFor(becauseTimeout) == 0 {
		t.Error("no transaction timed out")
	}
	a.stop()
	n.exact()
}

// TestTransactionTooLarge: a record that turns out to be larger than the topic
// takes is cut when it is read again.
func TestTransactionTooLarge(t *testing.T) {
	t.Parallel()
	b := txBroker(t)
	c := txDefaults(b)
	c.Compression = "none"
	a := newNode(t, b, c, "a").start()
	a.awaitRestore()
	setLimitOf(t, b, topic, 20_000)
	batch := a.empty()
	a.extend(batch, a.origin("long"), strings.Repeat("x", 30_000))
	batch.Spans[0].Position = &reach{name: "long"}
	batch.Emitted()
	a.out.Write(batch)
	a.unready("max.message.bytes")
	a.until(func() bool { return len(a.errors()) == 1 })
	if errs := a.errors(); len(errs) != 1 || !errors.Is(errs[0], pipeline.ErrAborted) {
		t.Errorf("the batch is %v", errs)
	}
	again := a.empty()
	a.extend(again, a.origin("long"), strings.Repeat("x", 30_000))
	again.Spans[0].Position = &reach{name: "long"}
	again.Emitted()
	a.out.Write(again)
	a.settled()
	if errs := a.errors(); errs[1] != nil {
		t.Errorf("the batch is %v", errs)
	}
	if got := a.origin("long").Account.Cut.Load(); got != 1 {
		t.Errorf("%d records count as cut", got)
	}
	a.stop()
}

func (r *rig) errors() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.done)
}

// TestProducerForgotten: when the client begins anew in the middle of a
// transaction, by itself, what was confirmed before that does not count.
func TestProducerForgotten(t *testing.T) {
	t.Parallel()
	b := txBroker(t)
	c := txDefaults(b)
	c.Transaction.Interval = 300 * time.Millisecond
	n := newNode(t, b, c, "a")
	a := n.start()
	n.line("proxy", 20)
	a.awaitRestore()
	a.out.Write(a.read(10, "proxy"))
	a.landed(1)
	forgot := make(chan struct{})
	b.Cluster().ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, rt := range req.(*kmsg.ProduceRequest).Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode, sp.LogStartOffset = rp.Partition, kerr.UnknownProducerID.Code, 1<<40
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		close(forgot)
		return resp, nil, true
	})
	a.out.Write(a.read(10, "proxy"))
	<-forgot
	a.pump()
	a.stop()
	n.exact()
}

// TestNothingWrittenNothingOpened: an idle agent has no transaction.
func TestNothingWrittenNothingOpened(t *testing.T) {
	t.Parallel()
	b, _, a := newTx(t)
	before := metricValue(a.out.metrics.committed)
	watch := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn, kmsg.Produce}, Count: -1, Observe: true, TopLevel: true})
	if err := pause(deadline(t), 10*a.config.Transaction.Interval); err != nil {
		t.Fatal(err)
	}
	a.stop()
	if got := metricValue(a.out.metrics.committed); got != before || watch.Hits() > 0 {
		t.Errorf("%v transactions and %d requests while nothing was written", got-before, watch.Hits())
	}
}

// TestPositionsWithoutRecords: lines that were all filtered are not read again,
// and a container that is gone leaves the topic.
func TestPositionsWithoutRecords(t *testing.T) {
	t.Parallel()
	_, n, a := newTx(t)
	n.line("ingress", 10)
	b := a.read(10, "ingress")
	b.Records = b.Records[:0] // as after filters
	b.Dropped(0, 10, pipeline.TooLarge)
	s := a.containers["ingress"]
	a.out.Write(b)
	a.until(func() bool { return s.low == 10 })
	gone := a.empty()
	gone.Begin(a.origin("proxy").Account).Position = &reach{name: "proxy"}
	gone.Emitted()
	a.out.Write(gone)
	a.settled()
	a.kill()
	next := n.start()
	next.awaitRestore()
	if len(next.restored) != 1 || string(next.restored["ingress"]) != `{"next":10}` {
		t.Errorf("restored %s", next.restored)
	}
	next.stop()
}
