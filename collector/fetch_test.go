package collector

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// flipListener is a network that changes one byte on its way, once.
type flipListener struct {
	net.Listener
	done *atomic.Bool
}

type flipConn struct {
	net.Conn
	done *atomic.Bool
}

func (l flipListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return flipConn{c, l.done}, err
}

func (c flipConn) Write(p []byte) (int, error) {
	if i := bytes.Index(p, []byte("FLIP-ME")); i >= 0 && c.done.CompareAndSwap(false, true) {
		p = bytes.Clone(p)
		p[i] ^= 1
	}
	return c.Conn.Write(p)
}

// A fetch whose second batch is corrupt loses neither the first one nor that.
func TestCorruptBatchCostsNoRecord(t *testing.T) {
	var flipped atomic.Bool
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, testTopic), kfake.ListenFn(func(network, addr string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		return flipListener{l, &flipped}, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b := &broker{t, cluster, cluster.ListenAddrs(), client, kadm.NewClient(client)}
	values := append(append(numbered("first ", 50), "FLIP-ME"), numbered("third ", 50)...)
	b.produce(0, values[:50]...)
	b.produce(0, values[50])
	b.produce(0, values[51:]...)
	out := newRecorder()
	m := b.start(out, nil)
	eventually(t, "everything is committed", func() bool { return b.committed()[0] == 101 })
	m.shutDown()
	if got := out.Take(); !flipped.Load() || !slices.Equal(got, want(0, 0, values)) {
		t.Errorf("%d of 101 records were delivered, committed at %d", len(got), b.committed()[0])
	}
}

// What a fetch error has skipped is read again: from the position, not from
// where the client goes on.
func TestGapAfterAFetchErrorIsReadAgain(t *testing.T) {
	p := &partition{id: 0, lane: &lane{}, lag: &lag{}}
	p.begin(offset{100, -1})
	s := &source{sourceOptions: sourceOptions{config: KafkaConfig{Topic: testTopic}}, parts: map[int32]*partition{0: p}}
	fetch := func(err error, at ...int64) {
		part := kgo.FetchPartition{Err: err}
		for _, o := range at {
			part.Records = append(part.Records, &kgo.Record{Topic: testTopic, Offset: o})
		}
		s.take(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: testTopic, Partitions: []kgo.FetchPartition{part}}}}})
	}
	fetch(fmt.Errorf("crc"), 100, 101)
	if len(p.queue) != 2 || p.next != 102 || p.rewind {
		t.Errorf("the records before the error are not taken: %d in the queue, next %d", len(p.queue), p.next)
	}
	fetch(nil, 110, 111)
	if !p.rewind || len(p.queue) != 0 {
		t.Error("a gap after an error is not read again")
	}
}

// A batch that the client refuses to decompress stops its partition for good.
// Records of other partitions do not hide that, and it has no lag of 0.
func TestStoppedPartitionIsNotForgotten(t *testing.T) {
	b := newBroker(t, 2)
	large, err := kgo.NewClient(kgo.SeedBrokers(b.addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(5<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer large.Close()
	record := &kgo.Record{Topic: testTopic, Value: []byte(strings.Repeat("x", 2<<20))}
	if err := large.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b.produce(0, numbered("behind ", 10)...)
	out := newRecorder()
	m := b.start(out, func(o *sourceOptions) { o.memory.decompressed = 1 << 20 })
	sentence := func(err error) bool {
		return err != nil && strings.Contains(err.Error(), `topic "logging.kong", partition 0: the records at offsets 0 to 0 decompress to more than the 1MiB that memory_limit leaves`) &&
			strings.Contains(err.Error(), "move its offset to 1 ")
	}
	m.reported("a sentence about the partition", sentence)
	for i := range 3 {
		b.produce(1, fmt.Sprintf("other %d", i))
		collected(t, 1, out)
	}
	m.mu.Lock()
	if last := m.reports[len(m.reports)-1]; !sentence(last) {
		t.Errorf("the source says %v", last)
	}
	m.mu.Unlock()
	if n, known := m.source.lags.get(0).records(); known && n == 0 {
		t.Error("the lag of a partition that was never read is 0")
	}
	m.shutDown()
}

// The lag is that of the group's offset before anything is read.
func TestLagBeginsAtTheGroupsOffset(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, numbered("line ", 100)...)
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
	m := b.start(newRecorder(), nil)
	eventually(t, "a lag of 90", func() bool {
		g := m.source.lags.get(0)
		if g == nil {
			return false
		}
		g.end.CompareAndSwap(-1, 100) // the ends are asked for only now and then
		n, known := g.records()
		return known && n == 90
	})
	m.shutDown()
}

// What is found out about a partition after it was taken away is not said:
// nothing would end it.
func TestLateExplanationOfALostPartitionIsDropped(t *testing.T) {
	b := newBroker(t, 1)
	m := b.start(newRecorder(), nil)
	m.reported("ready", func(err error) bool { return err == nil })
	// Of an earlier assignment, and of a partition that is somebody else's.
	// The loop has dealt with one when it takes the next.
	for id := range int32(3) {
		m.source.explainRange(&partition{id: id}, 10)
	}
	m.shutDown()
	for _, err := range m.reports {
		if err != nil {
			t.Errorf("the source said %v", err)
		}
	}
}
