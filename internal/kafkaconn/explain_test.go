package kafkaconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/kafkaconn"
)

// TestExplainRequests makes a broker refuse what a logged-in client asks for.
func TestExplainRequests(t *testing.T) {
	b := start(t)
	conn := b.Conn("agent", secret)
	subject := kafkaconn.Subject{Config: &conn, Topic: "other", Right: "Write", Group: "g", TransactionalID: "tx"}
	produce := func(ctx context.Context, topic string, opts ...kgo.Opt) error {
		client := newClient(t, &conn, nil, opts...)
		return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
	}
	for _, test := range []struct {
		name string
		do   func(ctx context.Context) error
		is   error
		want string
	}{
		{"no right on the topic", func(ctx context.Context) error { return produce(ctx, "other") },
			kerr.TopicAuthorizationFailed, `broker ` + b.Addr + `: user "agent" needs Write on topic "other"`},
		{"no topic", func(ctx context.Context) error {
			check(t, b.Allow(ctx, "agent", kadm.OpWrite, "missing"))
			return produce(ctx, "missing", kgo.UnknownTopicRetries(0))
		}, kerr.UnknownTopicOrPartition, `has no topic "other", or user "agent" may not see it`},
		{"no right on the transactional id", func(ctx context.Context) error {
			client := newClient(t, &conn, nil, kgo.TransactionalID("tx"))
			return client.BeginTransaction()
		}, kerr.TransactionalIDAuthorizationFailed, `user "agent" needs Write on transactional id "tx"`},
		{"no right on the group", func(ctx context.Context) error {
			check(t, b.Allow(ctx, "agent", kadm.OpRead, "logs"))
			client := newClient(t, &conn, nil, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("logs"))
			return client.PollFetches(ctx).Err0()
		}, kerr.GroupAuthorizationFailed, `user "agent" needs Read on group "g"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := kafkaconn.Explain(test.do(deadline(t)), subject)
			expect(t, err, test.want)
			if !errors.Is(err, test.is) {
				t.Fatalf("%v does not wrap %v", err, test.is)
			}
		})
	}
}

// TestExplainAnswers has the answers that kfake does not give.
func TestExplainAnswers(t *testing.T) {
	conn := kafkaconn.Config{Brokers: []string{"a:1", "b:2"}, SASL: &kafkaconn.SASL{Mechanism: kafkaconn.ScramSHA512, Username: "agent"}}
	anonymous := kafkaconn.Config{Brokers: []string{"a:1"}}
	for _, test := range []struct {
		err   error
		about kafkaconn.Subject
		want  string
	}{
		{kerr.SaslAuthenticationFailed, kafkaconn.Subject{Config: &conn, Broker: "b:2"},
			`broker b:2 refused user "agent": wrong password or no SCRAM-SHA-512 credentials for that user; check sasl.username and sasl.password`},
		{kerr.UnsupportedSaslMechanism, kafkaconn.Subject{Config: &conn}, "broker a:1,b:2 does not offer SCRAM-SHA-512: set sasl.mechanism to one it has enabled"},
		{errors.New("invalid large response size 352518912 > limit 104857600; the first three bytes received appear to be a tls alert record for TLS v1.2; is this a plaintext connection speaking to a tls endpoint?"),
			kafkaconn.Subject{Config: &conn, Broker: "a:1"}, "broker a:1 speaks TLS on this port: add a tls section"},
		{kerr.IllegalSaslState, kafkaconn.Subject{Config: &conn}, "broker a:1,b:2 has no login on this port"},
		{kerr.TopicAuthorizationFailed, kafkaconn.Subject{Config: &anonymous, Topic: "logs", Right: "Read"},
			`broker a:1: the anonymous user (no sasl section) needs Read on topic "logs"`},
		{kerr.ClusterAuthorizationFailed, kafkaconn.Subject{Config: &conn, Topic: "logs", Right: "Write"}, `needs Write on topic "logs"`},
		{kerr.MessageTooLarge, kafkaconn.Subject{Config: &conn, Topic: "logs"}, "max.message.bytes"},
		{kerr.InvalidRecord, kafkaconn.Subject{Config: &conn, Topic: "logs"}, "takes no records without a key"},
		{kerr.InvalidTransactionTimeout, kafkaconn.Subject{Config: &conn}, "lower transaction.timeout"},
		{kerr.OffsetMetadataTooLarge, kafkaconn.Subject{Config: &conn, Group: "g"}, "offset.metadata.max.bytes"},
		{kerr.UnknownMemberID, kafkaconn.Subject{Config: &conn, Group: "g"}, `of group "g"`},
		{kerr.IllegalGeneration, kafkaconn.Subject{Config: &conn, Group: "g"}, `of group "g"`},
		{kerr.StaleMemberEpoch, kafkaconn.Subject{Config: &conn, Group: "g"}, `of group "g"`},
		{context.DeadlineExceeded, kafkaconn.Subject{Config: &conn}, "does not answer"},
		{io.EOF, kafkaconn.Subject{Config: &conn, Broker: "a:1"}, "broker a:1 closed the connection"},
		{errors.New("line one\nline two"), kafkaconn.Subject{Config: &conn, Topic: "logs"}, `broker a:1,b:2, topic "logs": line one line two`},
	} {
		err := kafkaconn.Explain(fmt.Errorf("wrapped: %w", test.err), test.about)
		if test.want[len(test.want)-3:] == "two" {
			err = kafkaconn.Explain(test.err, test.about)
		}
		expect(t, err, test.want)
		if !errors.Is(err, test.err) {
			t.Errorf("%v does not wrap %v", err, test.err)
		}
		if again := kafkaconn.Explain(fmt.Errorf("again: %w", err), test.about); again.Error() != "again: "+err.Error() {
			t.Errorf("explained twice: %v", again)
		}
	}
	if err := kafkaconn.Explain(nil, kafkaconn.Subject{}); err != nil {
		t.Errorf("nil became %v", err)
	}
}

// TestExplainWrongPassword plays Kafka's answer, which kfake does not give.
func TestExplainWrongPassword(t *testing.T) {
	b := start(t)
	refuse := b.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.SASLAuthenticate}, TopLevel: true, Count: -1, Err: kerr.SaslAuthenticationFailed,
	})
	defer refuse.Remove()
	conn := b.Conn("agent", secret)
	client := newClient(t, &conn, nil)
	err := kafkaconn.Explain(client.Ping(deadline(t)), kafkaconn.Subject{Config: &conn})
	expect(t, err, "broker "+b.Addr+` refused user "agent": wrong password`)
}

// TestOptionsLogIn logs in with each mechanism.
func TestOptionsLogIn(t *testing.T) {
	b := start(t,
		kfake.User(kafkaconn.ScramSHA256, "s256", secret),
		kfake.User(kafkaconn.Plain, "plain", secret))
	for user, mechanism := range map[string]string{"agent": kafkaconn.ScramSHA512, "s256": kafkaconn.ScramSHA256, "plain": kafkaconn.Plain} {
		t.Run(mechanism, func(t *testing.T) {
			conn := b.Conn(user, secret)
			conn.SASL.Mechanism = mechanism
			check(t, newClient(t, &conn, nil).Ping(deadline(t)))
			conn = b.Conn(user, "wrong")
			conn.SASL.Mechanism = mechanism
			if newClient(t, &conn, nil).Ping(deadline(t)) == nil {
				t.Error("logged in with a wrong password")
			}
		})
	}
}
