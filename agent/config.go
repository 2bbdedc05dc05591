// Package agent is the node end of Millrace: it assembles pod discovery, the
// following of container logs, filters and outputs to pipelines and runs them.
package agent

import (
	"fmt"
	"slices"
	"time"

	"millrace/agent/kube"
	"millrace/agent/tail"
	"millrace/filters"
	"millrace/internal/config"
	"millrace/internal/ops"
	"millrace/outputs/kafka"
	"millrace/outputs/stdout"
)

// Config is the agent's configuration file.
type Config struct {
	// DataDir holds positions and the cache of pod metadata.
	DataDir string `yaml:"data_dir"`
	// MemoryLimit bounds the lines in flight, all pipelines together.
	MemoryLimit config.Size `yaml:"memory_limit"`
	// Admin is the address of metrics, health and profiles; empty for none.
	Admin string        `yaml:"admin"`
	Log   ops.LogConfig `yaml:"log"`
	// Drain bounds how long a shutdown waits for outputs to deliver what was
	// read. A pod's grace period must be longer.
	Drain time.Duration `yaml:"drain"`

	Kubernetes kube.Config      `yaml:"kubernetes"`
	Pipelines  []PipelineConfig `yaml:"pipelines"`
}

// PipelineConfig is one straight line from containers to an output.
type PipelineConfig struct {
	// Name is part of every position and metric of the pipeline.
	Name string `yaml:"name"`
	// PreviousName is what the pipeline was called before: its positions are
	// taken over where it has none by its own name.
	PreviousName string `yaml:"previous_name"`

	Source  SourceConfig `yaml:"source"`
	Filters filters.List `yaml:"filters"`
	Output  OutputConfig `yaml:"output"`
}

// SourceConfig names the kind of source; at the agent there is one.
type SourceConfig struct {
	Containers *ContainersConfig `yaml:"containers"`
}

// ContainersConfig selects containers and says how their logs are read.
type ContainersConfig struct {
	Selection kube.Selection `yaml:",inline"`
	Tail      tail.Config    `yaml:",inline"`
}

// OutputConfig names exactly one kind of output.
type OutputConfig struct {
	Kafka  *kafka.Config  `yaml:"kafka"`
	Stdout *stdout.Config `yaml:"stdout"`
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() {
	c.DataDir = "/var/log/millrace"
	c.MemoryLimit = 32 << 20
	c.Admin = ":9600"
	c.Drain = 20 * time.Second
}

// Validate implements config.Validator.
func (c *Config) Validate(e *config.Errors) {
	e.NotEmpty("data_dir", c.DataDir)
	n := max(1, len(c.Pipelines))
	if least := config.Size(minBatches * n * tail.BatchMemory); c.MemoryLimit < least {
		e.Add("memory_limit", "must be at least %v: %v for each pipeline", least, least/config.Size(n))
	}
	ops.ValidateAddr(e, "admin", c.Admin)
	e.NotEmpty("pipelines", c.Pipelines)
	names := make([]string, len(c.Pipelines))
	for i := range c.Pipelines {
		names[i] = c.Pipelines[i].Name
		if previous := c.Pipelines[i].PreviousName; slices.ContainsFunc(c.Pipelines, func(p PipelineConfig) bool { return p.Name == previous && previous != "" }) {
			e.Add(fmt.Sprintf("pipelines[%d].previous_name", i), "must not be the name of a pipeline that is configured: %q", previous)
		}
		if containers := c.Pipelines[i].Source.Containers; containers != nil {
			key := fmt.Sprintf("pipelines[%d].source.containers", i)
			containers.Selection.ValidateMetadata(e, key, c.Kubernetes.Metadata)
		}
	}
	e.Names("pipelines", names)
}

// Validate implements config.Validator.
func (c *SourceConfig) Validate(e *config.Errors) { e.OneOf(c) }

// Validate implements config.Validator.
func (c *OutputConfig) Validate(e *config.Errors) { e.OneOf(c) }
