package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/bench/process"
)

// replay writes the positions of many nodes.
type replay struct {
	*options
	*cluster
	// key is the beginning of the real agent's keys, which the records of the
	// others are made from.
	key         string
	disk        string
	owner, last *kgo.Record   // who has the positions; its last slice
	templates   []*kgo.Record // of its containers' positions
	begun       time.Time
	before      int64   // bytes of the positions topic when it began
	appended    float64 // bytes on disk that a transaction took

	transactions atomic.Int64
	// records, plain and wire are what the positions topic was sent.
	records, plain, wire atomic.Int64

	mu      sync.Mutex
	commits []time.Duration
}

var (
	diskMember   = regexp.MustCompile(`"disk":"([^"]*)"`)
	offsetMember = regexp.MustCompile(`"offset":\d+`)
	sliceMember  = regexp.MustCompile(`"slice":\d+`)
)

// newReplay takes what the real agent has written.
func newReplay(ctx context.Context, c *cluster, o *options, n *node) (*replay, error) {
	r := &replay{options: o, cluster: c, key: strings.Join([]string{clusterName, n.name, pipelineName}, "/")}
	latest := map[string]*kgo.Record{}
	for p := range o.partitions {
		got, err := r.read(ctx, int32(p))
		if err != nil {
			return nil, err
		}
		for _, rec := range got.records {
			latest[string(rec.Key)] = rec
		}
	}
	for key, rec := range latest {
		switch suffix := strings.TrimPrefix(key, r.key); suffix {
		case "\x00owner":
			r.owner = rec
		case "\x00slice":
			r.last = rec
			if m := diskMember.FindSubmatch(rec.Value); m != nil {
				r.disk = string(m[1])
			}
		default:
			r.templates = append(r.templates, rec)
		}
	}
	if r.owner == nil || r.last == nil || r.disk == "" || len(r.templates) != o.containers {
		return nil, fmt.Errorf("read what the agent wrote: %d positions of %d containers", len(r.templates), o.containers)
	}
	sizes, err := c.sizes(ctx, c.positions)
	r.before, r.begun = sum(sizes), time.Now()
	return r, err
}

// fetched counts the bytes of a client's answers to fetches.
type fetched struct{ bytes atomic.Int64 }

// OnBrokerRead implements kgo.HookBrokerRead.
//
//nolint:revive // the arguments are the interface's
func (f *fetched) OnBrokerRead(_ kgo.BrokerMetadata, key int16, n int, _, _ time.Duration, _ error) {
	if kmsg.Key(key) == kmsg.Fetch {
		f.bytes.Add(int64(n))
	}
}

// result is what a read of a partition found.
type result struct {
	records []*kgo.Record
	markers int
	bytes   int64 // of the answers, as they come from the broker
	took    time.Duration
}

// read reads a partition of the positions topic as an agent does that starts:
// read_committed, from the beginning to what was its end.
func (r *replay) read(ctx context.Context, partition int32) (got result, err error) {
	began, counter := time.Now(), &fetched{}
	client, err := r.dial(r.agent, kgo.WithHooks(counter),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.positions: {partition: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxBytes(4<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.MaxConcurrentFetches(1))
	if err != nil {
		return got, err
	}
	defer client.Close()
	ends, err := r.control.ListEndOffsets(ctx, r.positions)
	if err != nil {
		return got, fmt.Errorf("look up the end of the positions: %w", err)
	}
	end, _ := ends.Lookup(r.positions, partition)
	for at := int64(0); at < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return got, fmt.Errorf("read positions: %w", err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			at = rec.Offset + 1
			if rec.Attrs.IsControl() {
				got.markers++
			} else {
				got.records = append(got.records, rec)
			}
		})
	}
	got.bytes, got.took = counter.bytes.Load(), time.Since(began)
	return got, nil
}

// write writes the slices of all nodes.
func (r *replay) write(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var nodes sync.WaitGroup
	for i := range r.nodes {
		nodes.Go(func() {
			w := &writer{replay: r, number: i, partition: int32(i % r.partitions), random: rand.New(rand.NewPCG(1, uint64(i)))}
			if err := w.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	nodes.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// writer is one node.
type writer struct {
	*replay
	number    int
	partition int32
	random    *rand.Rand
	client    *kgo.Client
	key, disk string
	offsets   []int64 // by container
	zipf      *rand.Zipf
	commits   []time.Duration
}

func (w *writer) run(ctx context.Context) (err error) {
	name := fmt.Sprintf("worker-%03d", w.number+1)
	w.key = strings.Join([]string{clusterName, name, pipelineName}, "/")
	w.disk = w.replay.disk[:len(w.replay.disk)-3] + fmt.Sprintf("%03d", w.number)
	w.offsets = make([]int64, w.containers)
	w.zipf = rand.NewZipf(w.random, 1.1, 1, uint64(w.containers-1))
	w.client, err = w.dial(w.agent, kgo.TransactionalID(strings.Join([]string{"millrace", clusterName, name, pipelineName}, "-")),
		kgo.TransactionTimeout(w.timeout), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(10*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.ZstdCompression().WithLevel(int(zstd.SpeedFastest))), kgo.WithHooks(w))
	if err != nil {
		return err
	}
	defer w.client.Close()
	all := make([]int, w.containers)
	for i := range all {
		all[i] = i
	}
	// The first slice has all containers, as that of a node that joins.
	phase := time.Duration(w.random.Float64() * float64(time.Second) / w.speed)
	for n := range w.slices {
		if err := process.Pause(ctx, time.Until(w.begun.Add(phase+time.Duration(float64(n)/w.speed*float64(time.Second))))); err != nil {
			return err
		}
		moved := all
		if n > 0 {
			moved = w.draw()
		}
		if err := w.slice(ctx, n, moved); err != nil {
			return fmt.Errorf("write a slice of %s: %w", name, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replay.commits = append(w.replay.commits, w.commits...)
	return nil
}

// draw draws the containers that moved.
func (w *writer) draw() []int {
	drawn := map[int]bool{}
	for len(drawn) < w.moving {
		drawn[int(w.zipf.Uint64())] = true
	}
	moved := make([]int, 0, w.moving)
	for i := range drawn {
		moved = append(moved, i)
	}
	return moved
}

// slice is one transaction.
func (w *writer) slice(ctx context.Context, n int, moved []int) error {
	if err := w.client.BeginTransaction(); err != nil {
		return err
	}
	recs := []*kgo.Record{{Topic: w.topic, Partition: int32((w.number + n) % 8), Value: []byte(text(w.number, time.Now()))}}
	for _, i := range moved {
		w.offsets[i] += 1 + w.random.Int64N(20_000)
		t := w.templates[i]
		value := offsetMember.ReplaceAllLiteral(t.Value, fmt.Appendf(nil, `"offset":%d`, w.offsets[i]))
		recs = append(recs, w.record(t.Key, value))
	}
	recs = append(recs, w.record(w.last.Key, sliceMember.ReplaceAllLiteral(w.last.Value, fmt.Appendf(nil, `"slice":%d`, n))))
	if n == 0 {
		recs = append(recs, w.record(w.owner.Key, w.owner.Value))
	}
	var refused atomic.Pointer[error]
	for _, rec := range recs {
		w.client.Produce(ctx, rec, func(_ *kgo.Record, err error) {
			if err != nil {
				refused.Store(&err)
			}
		})
	}
	if err := w.client.Flush(ctx); err != nil {
		return err
	}
	if err := refused.Load(); err != nil {
		return *err
	}
	at := time.Now()
	if err := w.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	w.commits = append(w.commits, time.Since(at))
	w.transactions.Add(1)
	return nil
}

// record is one of the real agent's in this node's name.
func (w *writer) record(key, value []byte) *kgo.Record {
	return &kgo.Record{Topic: w.positions, Partition: w.partition,
		Key:   append([]byte(w.key), bytes.TrimPrefix(key, []byte(w.replay.key))...),
		Value: bytes.Replace(value, []byte(w.replay.disk), []byte(w.disk), 1)}
}

// OnProduceBatchWritten implements kgo.HookProduceBatchWritten.
func (w *writer) OnProduceBatchWritten(_ kgo.BrokerMetadata, topic string, _ int32, b kgo.ProduceBatchMetrics) {
	if topic == w.positions {
		w.records.Add(int64(b.NumRecords))
		w.plain.Add(int64(b.UncompressedBytes))
		w.wire.Add(int64(b.CompressedBytes))
	}
}
