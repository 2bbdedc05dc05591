package kafka

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/kafkaconn/kafkatest"
	"millrace/internal/pipeline"
)

// TestEveryRecordArrives: byte for byte, in order per container where the key
// asks for it, with every compression.
func TestEveryRecordArrives(t *testing.T) {
	t.Parallel()
	for _, compression := range []string{"zstd", "lz4", "snappy", "gzip", "none"} {
		for _, key := range []string{KeyNone, KeyPod, KeyContainer} {
			t.Run(compression+" "+key, func(t *testing.T) {
				b := startBroker(t)
				c := defaults(b)
				c.Compression, c.Key = compression, key
				r := newRig(t, b, c)
				var sources sync.WaitGroup
				for _, name := range []string{"proxy", "ingress", "sidecar"} {
					sources.Go(func() { r.write(r.origin(name), 20, 100) })
				}
				sources.Wait()
				partition := map[string]int32{}
				for _, rec := range r.close() {
					if key == KeyNone && rec.Key != nil {
						t.Fatalf("key %q, want none", rec.Key)
					}
					if p, ok := partition[string(rec.Key)]; key != KeyNone && ok && p != rec.Partition {
						t.Fatalf("key %q is in partitions %d and %d", rec.Key, p, rec.Partition)
					}
					partition[string(rec.Key)] = rec.Partition
				}
				if key != KeyNone && len(partition) != 3 {
					t.Errorf("keys %v, want one for each container", partition)
				}
			})
		}
	}
}

// TestPartitionIsThatOfJavaClients: the vectors are those of Kafka's own test
// of its murmur2 (org.apache.kafka.common.utils.UtilsTest).
func TestPartitionIsThatOfJavaClients(t *testing.T) {
	t.Parallel()
	const partitions = 7
	b := startBroker(t, kfake.SeedTopics(partitions, topic))
	c := defaults(b)
	c.Key = KeyContainer
	r := newRig(t, b, c)
	murmur := map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971}
	for name := range murmur {
		r.write(r.origin(name), 1, 3)
	}
	for _, rec := range r.close() {
		if want := (murmur[string(rec.Key)] & 0x7fffffff) % partitions; rec.Partition != want {
			t.Errorf("key %q is in partition %d, want %d", rec.Key, rec.Partition, want)
		}
	}
}

// TestClosedWhileBrokerHangs: Close returns at its deadline, and every batch is
// Done, once, with an error.
func TestClosedWhileBrokerHangs(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	r := newRig(t, b, defaults(b))
	o := r.origin("proxy")
	r.write(o, 1, 10)
	r.ready()
	r.settled()

	hung, release := make(chan struct{}, 100), make(chan struct{})
	b.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster().KeepControl()
		hung <- struct{}{}
		<-release
		return nil, nil, false
	})
	t.Cleanup(func() { close(release) })
	r.write(o, 10, 10)
	<-hung
	r.write(o, 10, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.out.Close(ctx); err == nil || !strings.Contains(err.Error(), `topic "logs"`) {
		t.Errorf("Close returned %v", err)
	}
	r.balanced()
	failed := 0
	for _, err := range r.done {
		if err != nil {
			failed++
		}
	}
	if len(r.done) != 21 || failed != 20 {
		t.Errorf("%d batches are Done, %d of them with an error; want 21 and 20", len(r.done), failed)
	}
	if p := r.ledger.Total().Pending; p != 200 {
		t.Errorf("pending is %d, want the 200 records that are to be read again", p)
	}
}

// TestClosedBeforeKafkaWasThere: batches that never left are Done with an
// error that says why.
func TestClosedBeforeKafkaWasThere(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	b.Stop()
	r := newRig(t, b, defaults(b))
	r.write(r.origin("proxy"), 10, 10)
	r.unready("nothing listens at broker " + b.Addr)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.out.Close(ctx); err == nil || !strings.Contains(err.Error(), "nothing listens at") {
		t.Errorf("Close returned %v", err)
	}
	r.balanced()
	r.out.Write(r.batch(r.origin("late"), "too late"))
	r.balanced()
	if len(r.done) != 11 {
		t.Errorf("%d batches are Done, want 11", len(r.done))
	}
}

// TestMetrics: what is exported after records went through and some came back.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	r := newRig(t, b, defaults(b))
	o := r.origin("proxy")
	r.write(o, 5, 100)
	r.settled()
	b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord})
	r.write(o, 5, 100)
	recs := r.close()
	bytes := 0
	for _, rec := range recs {
		bytes += len(rec.Value)
	}
	m := r.out.metrics
	for name, test := range map[string]struct {
		c    prometheus.Metric
		want float64
	}{
		"records":        {m.records, 1000},
		"bytes":          {m.bytes, float64(bytes)},
		"invalid record": {m.errors.WithLabelValues("INVALID_RECORD"), 0},
		"wire":           {m.wire, 0},
		"retries":        {m.retries, 0},
	} {
		got := metricValue(test.c)
		if test.want > 0 && got != test.want || test.want == 0 && got == 0 {
			t.Errorf("%s is %v, want %v (0: anything but)", name, got, test.want)
		}
	}
	if metricValue(m.wire) >= metricValue(m.bytes)/2 {
		t.Errorf("%v bytes on the wire of %v", metricValue(m.wire), metricValue(m.bytes))
	}
}

// TestNothingRunsAfterClose: no goroutine of the output or its client is left.
func TestNothingRunsAfterClose(t *testing.T) {
	b := startBroker(t)
	r := newRig(t, b, defaults(b))
	r.write(r.origin("proxy"), 5, 100)
	r.close()
	ctx := deadline(t)
	stacks := make([]byte, 1<<20)
	for {
		// The client's goroutines end right after its Close.
		all := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(all, "pkg/kgo.") && !strings.Contains(all, "kafka.(*Output)") {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("still running:\n%s", all)
		}
		runtime.Gosched()
	}
}

// TestEncodingAllocatesNothing, whatever the number of records.
func TestEncodingAllocatesNothing(t *testing.T) {
	m, err := newMetrics(nil, "test")
	check(t, err)
	o := &Output{config: Config{Topic: topic, Key: KeyContainer}, metrics: m}
	ledger := pipeline.NewLedger("test", "container")
	origin := &pipeline.Origin{Account: ledger.Open("a", "a"), Tail: []byte(`,"kubernetes":{}`), Container: "uid/proxy"}
	b, err := pipeline.NewPool(1, 16<<20).Get(t.Context())
	check(t, err)
	b.Begin(origin.Account)
	for range 1000 {
		rec := b.Add()
		rec.Origin, rec.Message = origin, []byte("a message")
	}
	f := &flight{}
	if n := testing.AllocsPerRun(10, func() {
		f.board(o, b)
		f.encode(defaultLimit)
	}); n > 0 {
		t.Errorf("%v allocations for 1000 records", n)
	}
}

// TestClosedWhileNobodyAnswers: a broker that is stopped or whose packets are
// dropped does not hold Close up either.
func TestClosedWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and nothing else
	check(t, err)
	defer silent.Close()
	b := &kafkatest.Broker{Addr: silent.Addr().String(), CAFile: "unused"}
	c := defaults(b)
	c.Conn.TLS = nil
	r := newRig(t, b, c)
	r.write(r.origin("proxy"), 10, 10)
	r.unready("connecting to")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.out.Close(ctx); err == nil || !strings.Contains(err.Error(), "10 batches left") {
		t.Errorf("Close returned %v", err)
	}
	r.balanced()
}
