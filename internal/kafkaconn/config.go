// Package kafkaconn is how both ends of Millrace reach Kafka: which brokers,
// TLS, SASL, and what went wrong, in one sentence that says what to change.
//
// Secrets are never kept: the CA, the client certificate and the password are
// read from their files at each new connection, so a rotated file counts from
// the next connection on and nothing has to be restarted. The package starts
// no goroutine.
package kafkaconn

import (
	"fmt"
	"net"
	"regexp"
	"strconv"

	"millrace/internal/config"
)

// Config is the part of a Kafka section that says how to connect. Sources and
// outputs take its keys over with `yaml:",inline"`.
type Config struct {
	// Brokers are host:port addresses of some of the cluster's brokers; the
	// others are found through them.
	Brokers []string `yaml:"brokers"`
	// TLS: without the section the connection is plaintext; with it, be it
	// empty (`tls: {}`), it is encrypted and the broker's certificate is
	// verified.
	TLS *TLS `yaml:"tls"`
	// SASL: without the section nobody logs in (or the client certificate
	// says who we are).
	SASL *SASL `yaml:"sasl"`
}

// TLS is the section tls. All files are PEM and are read at each connection.
type TLS struct {
	// CAFile holds the certificates that broker certificates must be signed
	// by; empty means the system's.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are the client's certificate and its key, for
	// brokers that ask for one (ssl.client.auth=required). Both or neither.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ServerName is the name that the broker's certificate must hold; empty
	// means the host that was connected to.
	ServerName string `yaml:"server_name"`
}

// SASL is the section sasl.
type SASL struct {
	// Mechanism is SCRAM-SHA-512 (the default), SCRAM-SHA-256 or PLAIN.
	Mechanism string `yaml:"mechanism"`
	Username  string `yaml:"username"`
	// Password is read at each authentication.
	Password config.Password `yaml:",inline"`
}

// The SASL mechanisms.
const (
	ScramSHA512 = "SCRAM-SHA-512"
	ScramSHA256 = "SCRAM-SHA-256"
	Plain       = "PLAIN"
)

// SetDefaults sets the default mechanism.
func (s *SASL) SetDefaults() { s.Mechanism = ScramSHA512 }

// topicName is what Kafka allows (org.apache.kafka.common.internals.Topic).
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// ValidateTopic adds a mistake unless topic is what Kafka allows as a name.
func ValidateTopic(e *config.Errors, key, topic string) {
	switch {
	case topic == "":
		e.Add(key, "must not be empty")
	case !topicName.MatchString(topic) || topic == "." || topic == "..":
		e.Add(key, "must be the name of a Kafka topic: up to 249 of a-z, A-Z, 0-9, dot, dash and underscore")
	}
}

// Validate checks the section's keys.
func (s *SASL) Validate(e *config.Errors) {
	e.Enum("mechanism", s.Mechanism, ScramSHA512, ScramSHA256, Plain)
	e.NotEmpty("username", s.Username)
}

// Validate checks the section's keys; it does not look at the files.
func (t *TLS) Validate(e *config.Errors) {
	if t.CertFile == "" && t.KeyFile != "" {
		e.Add("cert_file", "must be given together with key_file")
	}
	if t.KeyFile == "" && t.CertFile != "" {
		e.Add("key_file", "must be given together with cert_file")
	}
}

// Validate checks the brokers' addresses; the sections below check themselves.
func (c *Config) Validate(e *config.Errors) {
	e.NotEmpty("brokers", c.Brokers)
	for i, broker := range c.Brokers {
		host, port, err := net.SplitHostPort(broker)
		n, perr := strconv.ParseUint(port, 10, 16)
		if err != nil || perr != nil || host == "" || n == 0 {
			e.Add(fmt.Sprintf("brokers[%d]", i), "must be host:port, such as kafka-0.kafka:9092")
		}
	}
	if c.SASL != nil && c.SASL.Mechanism == Plain && c.TLS == nil {
		e.Add("sasl.mechanism", "must not be PLAIN without a tls section: the password would be readable on the wire")
	}
}
