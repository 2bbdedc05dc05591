package config_test

import (
	"fmt"
	"time"

	"millrace/internal/config"
)

// Each package owns the struct of its section; the tree of structs is the tree of the file.
type producer struct {
	Brokers  []string      `yaml:"brokers"`
	Delivery string        `yaml:"delivery"`
	Buffer   config.Size   `yaml:"buffer"`
	Interval time.Duration `yaml:"interval"`
	SASL     *login        `yaml:"sasl"` // nil: not in the file
}

func (c *producer) SetDefaults() {
	c.Delivery, c.Buffer, c.Interval = "exactly_once", 4*config.MiB, time.Second
}

func (c *producer) Validate(e *config.Errors) {
	e.NotEmpty("brokers", c.Brokers)
	e.Enum("delivery", c.Delivery, "exactly_once", "at_least_once")
	if c.Interval < 100*time.Millisecond {
		e.Add("interval", "must be at least 100ms")
	}
}

type login struct {
	Username string          `yaml:"username"`
	Password config.Password `yaml:",inline"` // keys password and password_file, exactly one of them
}

type sink struct {
	Kafka  *producer `yaml:"kafka"`
	Stdout *struct{} `yaml:"stdout"`
}

func (c *sink) Validate(e *config.Errors) { e.OneOf(c) }

type agent struct {
	Outputs []sink `yaml:"outputs"`
}

func Example() {
	f, err := config.Parse("agent.yaml", []byte(`
outputs:
  - kafka:
      brokers: [kafka-0.kafka:9093]
      buffer: 64KiB
      sasl: {username: agent, password_file: /etc/millrace/password}
  - stdout: {}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	var c agent
	if err := f.Decode(&c); err != nil {
		fmt.Println(err)
		return
	}
	k := c.Outputs[0].Kafka
	fmt.Println(k.Brokers, k.Delivery, k.Buffer, k.Interval)
	fmt.Println(c.Outputs[1].Kafka == nil, c.Outputs[1].Stdout != nil)
	// Output:
	// [kafka-0.kafka:9093] exactly_once 64KiB 1s
	// true true
}

func Example_mistakes() {
	f, err := config.Parse("agent.yaml", []byte(`
outputs:
  - kafka:
      broker: [kafka-0.kafka:9093]
      interval: 5
      delivery: twice
      sasl:
        username: agent
  - {}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Decode(new(agent)))
	// Output:
	// agent.yaml:4: outputs[0].kafka.broker: unknown key, did you mean brokers?
	// agent.yaml:5: outputs[0].kafka.interval: must be a duration with a unit such as 500ms, 10s, 1m30s or 24h, not "5"
	// agent.yaml:6: outputs[0].kafka.delivery: must be exactly_once or at_least_once, not "twice"
	// agent.yaml:7: outputs[0].kafka.sasl: must have exactly one of password, password_file, has none
	// agent.yaml:9: outputs[1]: must have exactly one of kafka, stdout, has none
}
