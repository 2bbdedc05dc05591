package collector

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// live is what the heap holds after a collection.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Many brokers answer at once with records that compress very well, and the
// output takes nothing: what is held stays within memory_limit.
func TestWhatCompressesWellFitsIntoMemory(t *testing.T) {
	const limit, partitions = 112 << 20, 36
	cluster, err := kfake.NewCluster(kfake.NumBrokers(18), kfake.SeedTopics(partitions, testTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b := &broker{t, cluster, cluster.ListenAddrs(), client, kadm.NewClient(client)}
	// As a pod's metadata: the same in each record.
	var meta strings.Builder
	for i := range 40 {
		fmt.Fprintf(&meta, "label-%d/%x ", i*i, i*7919*7919)
	}
	values := logRecords(meta.String(), 12_000)
	for p := range int32(partitions) {
		b.produce(p, values...)
	}
	before := live()
	m := shareMemory(limit, 1, 2)
	out := newRecorder()
	out.SetMode(pipelinetest.Hold)
	source := b.start(out, func(o *sourceOptions) {
		o.memory = m
		o.limits = limits{bytes: 64 << 20, rows: 500_000, weight: m.batch, age: patience}
	})
	source.reported("ready", func(err error) bool { return err == nil })
	peak := int64(0)
	eventually(t, "all partitions paused", func() bool {
		peak = max(peak, live()-before)
		return len(source.source.clientPaused()) == partitions
	})
	if peak > limit {
		t.Errorf("%d MiB are held, memory_limit is %d MiB", peak>>20, limit>>20)
	}
	source.stop()
	out.Release(fmt.Errorf("over: %w", pipeline.ErrAborted))
	source.shutDown()
}
