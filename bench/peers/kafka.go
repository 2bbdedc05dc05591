package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/bench/process"
)

const (
	user         = "agent"
	password     = "agent-secret"
	prefix       = "logging.peers-"
	positions    = "millrace.positions"
	positionsAre = 50
)

// cluster is the environment's Kafka. Shippers reach it by TLS and SCRAM, this
// program without, as administrator.
type cluster struct {
	client *kgo.Client
	admin  *kadm.Client
}

// openCluster gives the shippers' user its rights.
func openCluster(ctx context.Context) (*cluster, error) {
	control := os.Getenv("KAFKA_CONTROL")
	for _, name := range []string{"KAFKA_CONTROL", "KTB_DIR", "BOOTSTRAP_PLAIN", "BOOTSTRAP_SASL", "KAFKA_CA"} {
		if os.Getenv(name) == "" {
			return nil, errors.New("a real Kafka is needed: set KAFKA_CONTROL, KTB_DIR, BOOTSTRAP_PLAIN, BOOTSTRAP_SASL and KAFKA_CA")
		}
	}
	for _, args := range [][]string{{"user", user, password}, {"allow", "producer", user, prefix + "*"},
		{"allow", "txn", user, prefix + "*," + positions, "millrace-*"}, {"allow", "consumer", user, positions, "millrace-*"}} {
		if out, err := exec.CommandContext(ctx, control, args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s %s: %w\n%s", control, strings.Join(args[:2], " "), err, out)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("BOOTSTRAP_PLAIN")))
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	c := &cluster{client, kadm.NewClient(client)}
	compact := "compact"
	_, err = c.admin.CreateTopic(ctx, positionsAre, 1, map[string]*string{"cleanup.policy": &compact}, positions)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		client.Close()
		return nil, fmt.Errorf("create topic %s: %w", positions, err)
	}
	return c, nil
}

func (c *cluster) close() { c.client.Close() }

// topic is the topic of one run.
type topic struct {
	*cluster
	name string
}

func (c *cluster) newTopic(ctx context.Context, partitions int32) (*topic, error) {
	t := &topic{c, fmt.Sprintf("%s%08x", prefix, rand.Uint32())}
	_, err := c.admin.CreateTopic(ctx, partitions, 1, nil, t.name)
	if err != nil {
		return nil, fmt.Errorf("create topic %s: %w", t.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		_, _, err := t.ends(ctx)
		if err == nil || !kerr.IsRetriable(err) {
			return t, err
		}
		if process.Pause(ctx, look) != nil {
			return nil, err
		}
	}
}

// remove deletes the topic: the next run needs the disk.
func (t *topic) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // also after an interrupt
	defer cancel()
	_, err := t.admin.DeleteTopics(ctx, t.name)
	return err
}

// ends is where each partition ends for those who read what is committed.
func (t *topic) ends(ctx context.Context) (of kadm.ListedOffsets, total int64, err error) {
	of, err = t.admin.ListCommittedOffsets(ctx, t.name)
	if err == nil {
		err = of.Error()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("ask for the end of topic %s: %w", t.name, err)
	}
	of.Each(func(o kadm.ListedOffset) { total += o.Offset })
	return of, total, nil
}

// bytes is what the topic takes on the brokers' disks.
func (t *topic) bytes(ctx context.Context) (n int64, err error) {
	ends, _, err := t.ends(ctx)
	if err != nil {
		return 0, err
	}
	var set kadm.TopicsSet
	ends.Each(func(o kadm.ListedOffset) { set.Add(t.name, o.Partition) })
	dirs, err := t.admin.DescribeAllLogDirs(ctx, set)
	if err != nil {
		return 0, fmt.Errorf("ask for the size of topic %s: %w", t.name, err)
	}
	dirs.Each(func(d kadm.DescribedLogDir) { n += d.Size() })
	return n, nil
}

// read gives each record to take, in the order of its partition, up to the end
// that the topic has now.
func (t *topic) read(ctx context.Context, take func(value []byte)) error {
	ends, _, err := t.ends(ctx)
	if err != nil {
		return err
	}
	starts, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			starts[o.Partition], left[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("BOOTSTRAP_PLAIN")), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.name: starts}), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return fmt.Errorf("connect to Kafka: %w", err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollRecords(ctx, 10_000)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read topic %s: %w", t.name, err)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				if !r.Attrs.IsControl() {
					take(r.Value)
				}
				if r.Offset+1 >= left[p.Partition] {
					delete(left, p.Partition)
				}
			}
		})
	}
	return nil
}

// arrival is when and how many records had come, markers of transactions
// included.
type arrival struct {
	at    time.Time
	total int64
	// complete: as many as expected, and no more for a while. Markers are why
	// that while is needed: they are counted as records.
	complete bool
}

const (
	settled = 2500 * time.Millisecond // longer than a transaction
	look    = 50 * time.Millisecond
)

// arrive waits for n records, until nothing has come for patience, or until the
// program has ended.
func (t *topic) arrive(ctx context.Context, p *process.Process, n int64, patience time.Duration) (a arrival, err error) {
	a.at = time.Now()
	for ctx.Err() == nil {
		_, total, err := t.ends(ctx)
		if err != nil {
			return a, err
		}
		if total != a.total {
			a.total, a.at = total, time.Now()
		}
		a.complete = total >= n
		if still := time.Since(a.at); a.complete && still > settled || still > patience {
			return a, nil
		}
		select {
		case <-p.Ended():
			return a, nil
		default:
		}
		if err := process.Pause(ctx, look); err != nil {
			return a, err
		}
	}
	return a, context.Cause(ctx)
}
