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
		{"{brokers: [a:1], topic: logs, delivery: exactly_once}", ""},
		{"{brokers: [a:1], topic: logs, delivery: once}", "delivery: must be at_least_once or exactly_once"},
		{"{brokers: [a:1], topic: logs, transaction: {interval: 1ms}}", "transaction.interval: must be at least 10ms"},
		{"{brokers: [a:1], topic: logs, transaction: {interval: 10s}}", "transaction.timeout: must be longer than interval, which is 10s"},
		{"{brokers: [a:1], topic: logs, transaction: {timeout: 16m}}", "transaction.timeout: must be at most 15m0s"},
		{"{brokers: [a:1], topic: logs, transaction: {positions_topic: 'a b'}}", "transaction.positions_topic: must be the name of a Kafka topic"},
		{"{brokers: [a:1], topic: logs, transaction: {positions_topic: logs}}", "transaction.positions_topic: must be another topic than that of the records"},
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
