package kafka

import (
	"strings"
	"testing"

	"millrace/internal/config"
)

func TestConfig(t *testing.T) {
	for _, test := range []struct{ yaml, want string }{
		{"{brokers: [a:1], topic: logs}", ""},
		{"{brokers: [a:1], topic: logs, delivery: at_least_once, compression: lz4, key: pod, linger: 0, transaction: {interval: 2s}}", ""},
		{"{brokers: [a:1]}", "topic: must not be empty"},
		{"{brokers: [], topic: logs}", "brokers: must not be empty"},
		{"{brokers: [a:1], topic: 'a b'}", "topic: must be the name of a Kafka topic"},
		{"{brokers: [a:1], topic: ..}", "topic: must be the name of a Kafka topic"},
		{"{brokers: [a:1], topic: logs, delivery: exactly_once}", "delivery: exactly_once is not available in this version: use at_least_once"},
		{"{brokers: [a:1], topic: logs, delivery: once}", "delivery: must be at_least_once"},
		{"{brokers: [a:1], topic: logs, compression: brotli}", "compression: must be zstd, lz4, snappy, gzip or none"},
		{"{brokers: [a:1], topic: logs, key: node}", "key: must be none, pod or container"},
		{"{brokers: [a:1], topic: logs, linger: 2m}", "linger: must be at most 1m0s"},
		{"{brokers: [a:1], topic: logs, tls: {cert_file: x}}", "tls.key_file: must be given"},
	} {
		f, err := config.Parse("test.yaml", []byte(test.yaml))
		check(t, err)
		var c Config
		err = f.Decode(&c)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s\n got %v\nwant %s", test.yaml, err, test.want)
		}
	}
}
