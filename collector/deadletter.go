package collector

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/outputs/starrocks"
)

// deadLetterVersion is the version of a dead letter's headers.
const deadLetterVersion = "1"

// deadLetters stores records that can be no row in a topic of the cluster they
// came from: the value as it was, the rest as headers, and a key that names
// the record, so that storing it twice can be told.
type deadLetters struct {
	client  *kgo.Client
	subject kafkaconn.Subject
	source  string // the topic the records are from
}

// newDeadLetters dials nothing before the first record. The client's defaults
// are what is needed: idempotent, acknowledged by all replicas in sync.
func newDeadLetters(c *KafkaConfig, topic string, log *slog.Logger) (*deadLetters, error) {
	opts, err := kafkaconn.Options(&c.Conn, "millrace-dead-letters", log, nil)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.DefaultProduceTopic(topic),
		// A wrong password is silent to a producer until a record is too old.
		kgo.RecordDeliveryTimeout(30*time.Second),
		// The topic decides how large a record may be.
		kgo.ProducerBatchMaxBytes(64<<20))...)
	if err != nil {
		return nil, fmt.Errorf("produce to topic %q: %w", topic, err)
	}
	return &deadLetters{client, kafkaconn.Subject{Config: &c.Conn, Topic: topic, Right: "Write"}, c.Topic}, nil
}

// store returns when all letters are safe.
func (d *deadLetters) store(ctx context.Context, letters []starrocks.DeadLetter) error {
	records := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		partition, offset := strconv.Itoa(int(l.Partition)), strconv.FormatInt(l.Offset, 10)
		records[i] = &kgo.Record{
			Key:   []byte(d.source + "/" + partition + "/" + offset),
			Value: l.Value,
			Headers: []kgo.RecordHeader{
				{Key: "millrace", Value: []byte(deadLetterVersion)},
				{Key: "reason", Value: []byte(l.Reason)},
				{Key: "topic", Value: []byte(d.source)},
				{Key: "partition", Value: []byte(partition)},
				{Key: "offset", Value: []byte(offset)},
			},
		}
	}
	return kafkaconn.Explain(d.client.ProduceSync(ctx, records...).FirstErr(), d.subject)
}

func (d *deadLetters) close() { d.client.Close() }
