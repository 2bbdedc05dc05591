package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/outputs/starrocks"
)

const (
	// deadLetterVersion is the version of a dead letter's headers.
	deadLetterVersion = "1"
	// letterTimeout bounds one try to store letters. A wrong password is
	// silent to a producer until a record is too old.
	letterTimeout = 30 * time.Second
	// defaultLetterLimit is used while the topic's limit is not known: a bit
	// less than Kafka's default of max.message.bytes, 1048588.
	defaultLetterLimit = 1_000_000
	minLetterLimit     = 1 << 10
	maxLetterLimit     = 64 << 20
	// letterOverhead is what a batch and its only record have besides key,
	// value and headers; headerOverhead is for each of those.
	letterOverhead, headerOverhead = 128, 8
)

// deadLetters stores records that can be no row in a topic of the cluster they
// came from: the value as it was, the rest as headers, and a key that names
// the record, so that storing it twice can be told. A value too large for the
// topic is cut, and a header says so. Safe for concurrent use; one store at a
// time.
type deadLetters struct {
	opts    []kgo.Opt
	subject kafkaconn.Subject
	source  string // the topic the records are from

	mu     sync.Mutex
	client *kgo.Client
	limit  int  // bytes of a batch
	known  bool // limit is the topic's, or as good as that gets
	// refused is the last limit that was too large for the broker.
	refused int
	// stored are letters of calls that have failed: when they are repeated,
	// these are safe already.
	stored map[string]bool
}

// newDeadLetters dials nothing before the first record. The client's defaults
// are what is needed: idempotent, acknowledged by all replicas in sync.
func newDeadLetters(c *KafkaConfig, topic string, log *slog.Logger) (*deadLetters, error) {
	opts, err := kafkaconn.Options(&c.Conn, "millrace-dead-letters", log, nil)
	if err != nil {
		return nil, err
	}
	d := &deadLetters{
		opts:    append(opts, kgo.DefaultProduceTopic(topic), kgo.RecordDeliveryTimeout(letterTimeout)),
		subject: kafkaconn.Subject{Config: &c.Conn, Topic: topic, Right: "Write"},
		source:  c.Topic,
		stored:  map[string]bool{},
	}
	return d, d.open(defaultLetterLimit)
}

// open makes the client for batches of limit bytes: it cannot be changed later.
func (d *deadLetters) open(limit int) error {
	if limit == d.limit {
		return nil
	}
	client, err := kgo.NewClient(append(d.opts[:len(d.opts):len(d.opts)], kgo.ProducerBatchMaxBytes(int32(limit)))...)
	if err != nil {
		return fmt.Errorf("produce to topic %q: %w", d.subject.Topic, err)
	}
	if d.client != nil {
		d.client.Close()
	}
	d.client, d.limit = client, limit
	return nil
}

// learn finds out how large a batch the topic takes. Without the right to ask,
// or before the topic is there, it is a guess, halved when it is refused.
func (d *deadLetters) learn(ctx context.Context) error {
	if d.known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	limit, err := kafkaconn.TopicLimit(ctx, kadm.NewClient(d.client), d.subject.Topic)
	var answer *kerr.Error
	if err != nil && !errors.As(err, &answer) {
		return err
	}
	if limit == 0 {
		limit = defaultLetterLimit
	}
	if d.refused > 0 && limit >= d.refused {
		limit = d.refused / 2
	}
	d.known = true
	return d.open(min(max(limit, minLetterLimit), maxLetterLimit))
}

// store returns when all letters are safe. After an error it is called again
// with the same ones.
func (d *deadLetters) store(ctx context.Context, letters []starrocks.DeadLetter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.learn(ctx); err != nil {
		return kafkaconn.Explain(err, d.subject)
	}
	var records []*kgo.Record
	for i := range letters {
		if r := d.record(&letters[i]); !d.stored[string(r.Key)] {
			records = append(records, r)
		}
	}
	results := d.client.ProduceSync(ctx, records...)
	if err := results.FirstErr(); err != nil {
		for _, r := range results {
			if r.Err == nil {
				d.stored[string(r.Record.Key)] = true
			}
			if errors.Is(r.Err, kerr.MessageTooLarge) {
				d.refused, d.known = d.limit, false
			}
		}
		return kafkaconn.Explain(err, d.subject)
	}
	for i := range letters {
		delete(d.stored, d.key(&letters[i]))
	}
	return nil
}

func (d *deadLetters) key(l *starrocks.DeadLetter) string {
	return fmt.Sprintf("%s/%d/%d", l.TopicID, l.Partition, l.Offset)
}

// record is a letter as it is stored.
func (d *deadLetters) record(l *starrocks.DeadLetter) *kgo.Record {
	r := &kgo.Record{
		Key:   []byte(d.key(l)),
		Value: l.Value,
		Headers: []kgo.RecordHeader{
			{Key: "millrace", Value: []byte(deadLetterVersion)},
			{Key: "reason", Value: []byte(l.Reason)},
			{Key: "table", Value: []byte(l.Table)},
			{Key: "topic", Value: []byte(d.source)},
			{Key: "topic_id", Value: []byte(l.TopicID)},
			{Key: "partition", Value: []byte(strconv.Itoa(int(l.Partition)))},
			{Key: "offset", Value: []byte(strconv.FormatInt(l.Offset, 10))},
		},
	}
	truncated := kgo.RecordHeader{Key: "truncated", Value: []byte("true")}
	room := d.limit - letterOverhead - len(r.Key)
	for _, h := range append(r.Headers, truncated) {
		room -= headerOverhead + len(h.Key) + len(h.Value)
	}
	if len(r.Value) > room {
		r.Value = r.Value[:max(0, room)]
		r.Headers = append(r.Headers, truncated)
	}
	return r
}

func (d *deadLetters) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.client.Close()
}
