package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/chaos/check"
)

// reader reads the topic as a consumer with isolation.level=read_committed
// does, from its beginning, and shows each record to the checker.
type reader struct {
	checker *check.Checker
	topic   *check.Topic
	planter check.Planter
	client  *kgo.Client
	stop    context.CancelFunc
	done    chan struct{}
	fetches atomic.Int64 // answers to fetch requests

	mu      sync.Mutex
	next    map[int32]int64 // offsets
	trouble error           // that a reader cannot survive
}

// startReader begins to read the cluster's topic.
func startReader(c *cluster, o *options) (*reader, error) {
	from := map[int32]kgo.Offset{}
	for p := range o.partitions {
		from[int32(p)] = kgo.NewOffset().AtStart()
	}
	checker := check.New(o.random(), o.key == "container")
	r := &reader{checker: checker, topic: check.NewTopic(), planter: check.Planter{Checker: checker, Fault: o.fault}, done: make(chan struct{}), next: map[int32]int64{}}
	client, err := c.dial(kgo.WithHooks(r), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("make consumer: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.client, r.stop = client, stop
	go func() {
		defer close(r.done)
		r.read(ctx)
	}()
	return r, nil
}

func (r *reader) read(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := r.client.PollFetches(ctx)
		fetches.EachError(func(_ string, partition int32, err error) {
			var lost *kgo.ErrDataLoss
			if errors.As(err, &lost) {
				r.fail(fmt.Errorf("partition %d: the broker has lost records: %w", partition, err))
			}
		})
		fetches.EachRecord(func(record *kgo.Record) {
			if !record.Attrs.IsControl() {
				r.topic.Read(record.Partition, record.Offset, record.Value)
				r.planter.Read(record.Partition, record.Value)
			}
		})
		r.mu.Lock()
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if n := len(p.Records); n > 0 {
				r.next[p.Partition] = p.Records[n-1].Offset + 1
			}
		})
		r.mu.Unlock()
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (r *reader) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if kmsg.Key(key) == kmsg.Fetch && e2e.Err() == nil {
		r.fetches.Add(1)
	}
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = errors.Join(r.trouble, err)
}

// reached says whether everything before the offsets was read and checked.
func (r *reader) reached(ends map[int32]int64) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, end := range ends {
		if r.next[p] < end {
			return false, r.trouble
		}
	}
	return true, r.trouble
}

func (r *reader) close() {
	r.stop()
	<-r.done
	r.client.Close()
}

// broken is what the reader cannot survive, or nil.
func (r *reader) broken() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trouble
}
