package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topic is a topic of a real Kafka.
type topic struct {
	name    string
	control string // the command of the test bed
}

// newTopic creates a topic that the user collector may read.
func newTopic(partitions int) (*topic, error) {
	t := &topic{control: os.Getenv("KAFKA_CONTROL")}
	if t.control == "" {
		return nil, errors.New("a real Kafka is needed: set KAFKA_CONTROL, KTB_DIR, BOOTSTRAP_PLAIN, BOOTSTRAP_SASL and KAFKA_CA")
	}
	t.name = fmt.Sprintf("logging.kong-%08x", rand.Uint32())
	if err := t.run(nil, "topic", t.name, strconv.Itoa(partitions)); err != nil {
		return nil, err
	}
	if err := t.run(nil, "user", "collector", password); err != nil {
		return nil, err
	}
	return t, t.run(nil, "allow", "consumer", "collector", t.name, "bench-*")
}

func (t *topic) run(env []string, args ...string) error {
	cmd := exec.Command(t.control, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", t.control, strings.Join(args, " "), err, out)
	}
	return nil
}

// producer writes as agents do: zstd at its fastest, batches of up to 1 MB.
func (t *topic) producer() (*kgo.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("BOOTSTRAP_PLAIN")), kgo.DefaultProduceTopic(t.name),
		kgo.ProducerBatchCompression(kgo.ZstdCompression().WithLevel(int(zstd.SpeedFastest))), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return nil, fmt.Errorf("write to Kafka: %w", err)
	}
	return client, nil
}

// fill writes n records and returns their bytes.
func (t *topic) fill(ctx context.Context, n int) (bytes int64, err error) {
	client, err := t.producer()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	m, at := newMaker(1), time.Now().Add(-time.Hour)
	var failed atomic.Pointer[error]
	for range n {
		at = at.Add(100 * time.Microsecond)
		value := m.next(at)
		bytes += int64(len(value))
		client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return bytes, fmt.Errorf("write to Kafka: %w", err)
	}
	if err := failed.Load(); err != nil {
		return bytes, fmt.Errorf("write to Kafka: %w", *err)
	}
	return bytes, nil
}
