package config_test

import (
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"millrace/internal/config"
)

// The configuration these tests load: cut down from a real one, and using everything a struct may use.

type end struct {
	DataDir     string      `yaml:"data_dir"`
	MemoryLimit config.Size `yaml:"memory_limit"`
	Log         logging     `yaml:"log"`
	Pipelines   []line      `yaml:"pipelines"`
	Started     time.Time   `yaml:"-"`
}

func (c *end) SetDefaults() {
	c.DataDir = "/var/log/millrace"
	c.MemoryLimit = 32 * config.MiB
}

func (c *end) Validate(e *config.Errors) {
	e.NotEmpty("pipelines", c.Pipelines)
	first := map[string]int{}
	for i, p := range c.Pipelines {
		if j, ok := first[p.Name]; ok {
			e.Add(fmt.Sprintf("pipelines[%d].name", i), "is the name of pipelines[%d] already", j)
			continue
		}
		first[p.Name] = i
	}
	if c.MemoryLimit < config.MiB {
		e.Add("memory_limit", "must be at least %s", config.MiB)
	}
}

type logging struct {
	Level  slog.Level `yaml:"level"`
	Format string     `yaml:"format"`
}

func (c *logging) SetDefaults() { c.Format = "json" }

func (c *logging) Validate(e *config.Errors) { e.Enum("format", c.Format, "json", "text") }

type line struct {
	Name    string   `yaml:"name"`
	Source  source   `yaml:"source"`
	Filters []filter `yaml:"filters"`
	Output  output   `yaml:"output"`
}

func (c *line) SetDefaults() { c.Output.Retry.Max = 9 * time.Second } // a parent knows better than retry itself

func (c *line) Validate(e *config.Errors) { e.NotEmpty("name", c.Name) }

type source struct {
	Include []selector `yaml:"include"`
	MaxLine *int32     `yaml:"max_line"`
	Partial bool       `yaml:"partial"`
}

func (c *source) SetDefaults() { c.Partial = true }

type selector struct {
	Namespaces []string `yaml:"namespaces"`
	Share      float64  `yaml:"share"`
}

func (c *selector) SetDefaults() { c.Share = 1 }

func (c *selector) Validate(e *config.Errors) {
	for i, n := range c.Namespaces {
		if n == "" {
			e.Add(fmt.Sprintf("namespaces[%d]", i), "must not be empty")
		}
	}
}

type filter struct {
	Drop *drop `yaml:"drop"`
	Kong *kong `yaml:"kong"`
}

func (c *filter) Validate(e *config.Errors) { e.OneOf(c) }

type drop struct {
	Field  string         `yaml:"field"`
	Match  *regexp.Regexp `yaml:"match"`
	Equals *string        `yaml:"equals"`
}

func (c *drop) Validate(e *config.Errors) {
	e.NotEmpty("field", c.Field)
	e.OneOf(c, "match", "equals")
}

type kong struct{}

type output struct {
	Kafka  *kafka    `yaml:"kafka"`
	Stdout *struct{} `yaml:"stdout"`
	Retry  retry     `yaml:"retry"`
}

func (c *output) Validate(e *config.Errors) { e.OneOf(c) }

type retry struct {
	Max   time.Duration `yaml:"max"`
	Tries uint8         `yaml:"tries"`
}

func (c *retry) SetDefaults() { c.Max, c.Tries = time.Second, 3 }

type kafka struct {
	Brokers []string          `yaml:"brokers"`
	SASL    *sasl             `yaml:"sasl"`
	Columns map[string]mapTo  `yaml:"columns"`
	Headers map[string]string `yaml:"headers"`
	TLS     *struct {
		CAFile string `yaml:"ca_file"`
	} `yaml:"tls"`
}

func (c *kafka) Validate(e *config.Errors) { e.NotEmpty("brokers", c.Brokers) }

type mapTo struct {
	Column string `yaml:"column"`
	Width  int    `yaml:"width"`
}

func (c *mapTo) SetDefaults() { c.Width = 255 }

func (c *mapTo) Validate(e *config.Errors) {
	if c.Width < 1 {
		e.Add("width", "must be at least 1")
	}
}

type sasl struct {
	Username string          `yaml:"username"`
	Password config.Password `yaml:",inline"`
}

func (c *sasl) Validate(e *config.Errors) { e.NotEmpty("username", c.Username) }
