package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
)

// Config is the section output.kafka.
type Config struct {
	Conn kafkaconn.Config `yaml:",inline"`
	// Topic is where the records go. It must exist.
	Topic string `yaml:"topic"`
	// Delivery is at_least_once: an idempotent producer with acks=all, whose
	// duplicates after a crash are bounded by what was in flight; or
	// exactly_once: records and positions in one transaction.
	Delivery string `yaml:"delivery"`
	// Compression is zstd, lz4, snappy, gzip or none, of whole batches.
	Compression string `yaml:"compression"`
	// Key says what a record's key is, and so which records share a
	// partition and keep their order: none, pod or container.
	Key string `yaml:"key"`
	// Linger is how long a record waits for others to fill its batch.
	Linger time.Duration `yaml:"linger"`
	// Transaction is for delivery: exactly_once.
	Transaction Transaction `yaml:"transaction"`
}

// Transaction is the section transaction of a transactional producer.
type Transaction struct {
	// Interval is how long a transaction takes in records.
	Interval time.Duration `yaml:"interval"`
	// Timeout is when brokers end a transaction that its owner did not: for
	// so long a node that died holds the readers of its partitions up.
	Timeout time.Duration `yaml:"timeout"`
	// PositionsTopic is the compacted topic that holds the positions.
	PositionsTopic string `yaml:"positions_topic"`
}

// The values of Config.Delivery.
const (
	AtLeastOnce = "at_least_once"
	ExactlyOnce = "exactly_once"
)

// The values of Config.Key.
const (
	KeyNone      = "none"
	KeyPod       = "pod"
	KeyContainer = "container"
)

// SetDefaults sets the defaults of the keys above.
func (c *Config) SetDefaults() {
	c.Delivery = ExactlyOnce
	c.Compression = "zstd"
	c.Key = KeyNone
	c.Linger = 10 * time.Millisecond
}

// SetDefaults sets the defaults of a transaction.
func (t *Transaction) SetDefaults() {
	t.Interval = time.Second
	t.Timeout = 10 * time.Second
	t.PositionsTopic = "millrace.positions"
}

// maxLinger is franz-go's own bound.
const maxLinger = time.Minute

// Validate checks the section's own keys.
func (c *Config) Validate(e *config.Errors) {
	kafkaconn.ValidateTopic(e, "topic", c.Topic)
	e.Enum("delivery", c.Delivery, AtLeastOnce, ExactlyOnce)
	if c.Topic == c.Transaction.PositionsTopic {
		e.Add("transaction.positions_topic", "must be another topic than that of the records")
	}
	e.Enum("compression", c.Compression, "zstd", "lz4", "snappy", "gzip", "none")
	e.Enum("key", c.Key, KeyNone, KeyPod, KeyContainer)
	if c.Linger > maxLinger {
		e.Add("linger", "must be at most %s", maxLinger)
	}
}

// The bounds of a transaction. maxTimeout is Kafka's default of
// transaction.max.timeout.ms.
const (
	minInterval = 10 * time.Millisecond
	maxTimeout  = 15 * time.Minute
)

// Validate checks the section's keys.
func (t *Transaction) Validate(e *config.Errors) {
	kafkaconn.ValidateTopic(e, "positions_topic", t.PositionsTopic)
	if t.Interval < minInterval {
		e.Add("interval", "must be at least %s", minInterval)
	}
	switch {
	case t.Timeout <= t.Interval:
		e.Add("timeout", "must be longer than interval, which is %s", t.Interval)
	case t.Timeout > maxTimeout:
		e.Add("timeout", "must be at most %s, which is what brokers allow unless their transaction.max.timeout.ms says otherwise", maxTimeout)
	}
}

// compression is the option of a client that has it done. Records of one
// container differ little, so the fastest zstd compresses about as well as a
// slow one.
func (c *Config) compression() kgo.ProducerOpt {
	switch c.Compression {
	case "zstd":
		return kgo.WithCompressor(newZstdCompressor())
	case "lz4":
		return kgo.WithCompressor(&lz4Compressor{})
	case "snappy":
		return kgo.ProducerBatchCompression(kgo.SnappyCompression())
	case "gzip":
		return kgo.ProducerBatchCompression(kgo.GzipCompression())
	}
	return kgo.ProducerBatchCompression(kgo.NoCompression())
}
