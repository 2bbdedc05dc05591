package collector

import (
	"fmt"
	"time"

	"millrace/filters"
	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	"millrace/internal/ops"
	"millrace/outputs/starrocks"
)

// Config is the collector's configuration file.
type Config struct {
	// DataDir is for what must survive a restart and is not in Kafka. Nothing
	// is kept there yet; it must be writable all the same.
	DataDir string `yaml:"data_dir"`
	// MemoryLimit is of the whole process; the sizes of batches and fetches
	// follow from it.
	MemoryLimit config.Size `yaml:"memory_limit"`
	// Admin is the address of metrics, health and profiles; empty for none.
	Admin string        `yaml:"admin"`
	Log   ops.LogConfig `yaml:"log"`
	// Drain bounds how long a shutdown waits for loads. A pod's grace period
	// must be longer.
	Drain time.Duration `yaml:"drain"`

	Pipelines []PipelineConfig `yaml:"pipelines"`
}

// PipelineConfig is one straight line from a topic to a table.
type PipelineConfig struct {
	// Name is part of every metric and condition of the pipeline.
	Name    string       `yaml:"name"`
	Source  SourceConfig `yaml:"source"`
	Filters filters.List `yaml:"filters"`
	Output  OutputConfig `yaml:"output"`
}

// SourceConfig names the kind of source; at the collector there is one.
type SourceConfig struct {
	Kafka *KafkaConfig `yaml:"kafka"`
}

// OutputConfig names the kind of output; at the collector there is one.
type OutputConfig struct {
	StarRocks *starrocks.Config `yaml:"starrocks"`
}

// KafkaConfig is the section source.kafka.
type KafkaConfig struct {
	Conn  kafkaconn.Config `yaml:",inline"`
	Topic string           `yaml:"topic"`
	Group string           `yaml:"group"`
	// StartAt is beginning or end, for a partition for which the group has no
	// offset yet.
	StartAt string `yaml:"start_at"`
	// InstanceID makes the member a static one (KIP-345): a restart within
	// the session timeout moves no partition. It must differ between members
	// and stay with each of them; in a StatefulSet ${HOSTNAME} does.
	InstanceID string `yaml:"instance_id"`
}

// The values of start_at.
const (
	startAtBeginning = "beginning"
	startAtEnd       = "end"
)

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() {
	c.DataDir = "/var/lib/millrace"
	c.MemoryLimit = 512 * config.MiB
	c.Admin = ":9600"
	c.Drain = 20 * time.Second
}

// SetDefaults implements config.Defaulter.
func (c *KafkaConfig) SetDefaults() { c.StartAt = startAtBeginning }

// Validate implements config.Validator.
func (c *Config) Validate(e *config.Errors) {
	e.NotEmpty("data_dir", c.DataDir)
	ops.ValidateAddr(e, "admin", c.Admin)
	e.NotEmpty("pipelines", c.Pipelines)
	names := make([]string, len(c.Pipelines))
	groups := map[string]string{}
	for i := range c.Pipelines {
		names[i] = c.Pipelines[i].Name
		c.validateMemory(e, i)
		c.validateFilters(e, i)
		if k := c.Pipelines[i].Source.Kafka; k != nil && k.Group != "" && k.Topic != "" {
			key := k.Group + " " + k.Topic
			if other, taken := groups[key]; taken {
				e.Add(fmt.Sprintf("pipelines[%d].source.kafka.group", i), "must not be that of pipeline %s, which reads the same topic: they would share its partitions", other)
			}
			groups[key] = c.Pipelines[i].Name
		}
	}
	e.Names("pipelines", names)
}

func (c *Config) validateMemory(e *config.Errors, i int) {
	sr := c.Pipelines[i].Output.StarRocks
	if sr == nil || sr.Load.Concurrency < 1 {
		return
	}
	n := len(c.Pipelines)
	if shareMemory(int(c.MemoryLimit), n, 1).batch < minBatch {
		e.Add("memory_limit", "is too small: %v is what the process needs, and %v for each pipeline", config.Size(baseMemory), config.Size(minShare))
		return
	}
	if shareMemory(int(c.MemoryLimit), n, sr.Load.Concurrency).batch < minBatch {
		e.Add(fmt.Sprintf("pipelines[%d].output.starrocks.load.concurrency", i),
			"is too much for memory_limit: a batch would be smaller than %s", config.Size(minBatch))
	}
}

// validateFilters refuses what is not pure: the records of a planned range are
// read and filtered again, and must be the same then.
func (c *Config) validateFilters(e *config.Errors, i int) {
	for j := range c.Pipelines[i].Filters {
		if c.Pipelines[i].Filters[j].Limit != nil {
			e.Add(fmt.Sprintf("pipelines[%d].filters[%d].limit", i, j), "is for agents only: what the collector reads again must come out as before; limit at the agent")
		}
	}
}

// Validate implements config.Validator.
func (c *SourceConfig) Validate(e *config.Errors) { e.OneOf(c) }

// Validate implements config.Validator.
func (c *OutputConfig) Validate(e *config.Errors) { e.OneOf(c) }

// Validate implements config.Validator.
func (c *KafkaConfig) Validate(e *config.Errors) {
	kafkaconn.ValidateTopic(e, "topic", c.Topic)
	e.NotEmpty("group", c.Group)
	e.Enum("start_at", c.StartAt, startAtBeginning, startAtEnd)
}
