package kafka

import (
	"time"

	"github.com/klauspost/compress/zstd"
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
	// duplicates after a crash are bounded by what was in flight.
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
	Interval       time.Duration `yaml:"interval"`
	Timeout        time.Duration `yaml:"timeout"`
	PositionsTopic string        `yaml:"positions_topic"`
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

// SetDefaults sets the defaults of the keys above. The default delivery is
// at_least_once for as long as Validate refuses exactly_once; then it becomes
// exactly_once.
func (c *Config) SetDefaults() {
	c.Delivery = AtLeastOnce
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
	if c.Delivery == ExactlyOnce {
		e.Add("delivery", "exactly_once is not available in this version: use at_least_once")
	} else {
		e.Enum("delivery", c.Delivery, AtLeastOnce)
	}
	e.Enum("compression", c.Compression, "zstd", "lz4", "snappy", "gzip", "none")
	e.Enum("key", c.Key, KeyNone, KeyPod, KeyContainer)
	if c.Linger > maxLinger {
		e.Add("linger", "must be at most %s", maxLinger)
	}
}

// codec is the compression as the client knows it. Records of one container
// differ little, so the fastest zstd compresses about as well as a slow one.
func (c *Config) codec() kgo.CompressionCodec {
	switch c.Compression {
	case "zstd":
		return kgo.ZstdCompression().WithLevel(int(zstd.SpeedFastest))
	case "lz4":
		return kgo.Lz4Compression()
	case "snappy":
		return kgo.SnappyCompression()
	case "gzip":
		return kgo.GzipCompression()
	}
	return kgo.NoCompression()
}
