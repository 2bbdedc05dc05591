package kafkaconn_test

import (
	"strings"
	"testing"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
)

func TestConfig(t *testing.T) {
	for _, test := range []struct{ yaml, want string }{
		{"brokers: [a:1]", ""},
		{"brokers: ['[::1]:9093', b:2]\ntls: {}", ""},
		{"brokers: [a:1]\ntls: {cert_file: c, key_file: k}\nsasl: {username: u, password_file: p}", ""},
		{"brokers: []", "brokers: must not be empty"},
		{"brokers: [a:1, b]", "brokers[1]: must be host:port, such as kafka-0.kafka:9092"},
		{"brokers: [':1']", "brokers[0]: must be host:port"},
		{"brokers: ['a:0']", "brokers[0]: must be host:port"},
		{"brokers: [a:1]\ntls: {cert_file: c}", "tls.key_file: must be given together with cert_file"},
		{"brokers: [a:1]\ntls: {key_file: c}", "tls.cert_file: must be given together with key_file"},
		{"brokers: [a:1]\nsasl: {username: u}", "password"},
		{"brokers: [a:1]\nsasl: {password: p}", "sasl.username: must not be empty"},
		{"brokers: [a:1]\nsasl: {username: u, password: p, mechanism: SCRAM}", "sasl.mechanism: must be"},
		{"brokers: [a:1]\nsasl: {username: u, password: p, mechanism: PLAIN}", "sasl.mechanism: must not be PLAIN without a tls section"},
	} {
		f, err := config.Parse("test.yaml", []byte(test.yaml))
		check(t, err)
		var c kafkaconn.Config
		err = f.Decode(&c)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s\n got %v\nwant %s", test.yaml, err, test.want)
		}
		if err == nil && c.SASL != nil && c.SASL.Mechanism != kafkaconn.ScramSHA512 {
			t.Errorf("the default mechanism is %s", c.SASL.Mechanism)
		}
	}
}
