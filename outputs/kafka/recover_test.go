package kafka

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/certtest"
	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	"millrace/internal/kafkaconn/kafkatest"
)

// TestWrongPassword: not ready with the reason, until the password file is
// replaced.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	refuse := b.Cluster().Fault(kfake.Fault{ // Kafka's answer; kfake itself hangs up
		Keys: []kmsg.Key{kmsg.SASLAuthenticate}, TopLevel: true, Count: -1, Err: kerr.SaslAuthenticationFailed,
	})
	file := filepath.Join(t.TempDir(), "password")
	check(t, os.WriteFile(file, []byte("wrong"), 0o600))
	c := defaults(b)
	c.Conn.SASL.Password = config.Password{File: file}
	r := newRig(t, b, c)
	r.write(r.origin("proxy"), 10, 10)
	r.unready("broker " + b.Addr + ` refused user "agent": wrong password or no SCRAM-SHA-512 credentials for that user; check sasl.username and sasl.password_file (` + file + `)`)
	refuse.Remove()
	r.unready("closed the connection") // still wrong
	check(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	r.ready()
	r.close()
}

// TestPasswordChangesWhileRecordsFlow: the old password stops working at the
// next connection, and the file follows.
func TestPasswordChangesWhileRecordsFlow(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	file := filepath.Join(t.TempDir(), "password")
	check(t, os.WriteFile(file, []byte(password), 0o600))
	c := defaults(b)
	c.Conn.SASL.Password = config.Password{File: file}
	r := newRig(t, b, c)
	o := r.origin("proxy")
	r.write(o, 5, 10)
	r.ready()
	check(t, b.SetPassword(deadline(t), user, "agent-2"))
	b.Stop()
	check(t, b.Restart())
	r.write(o, 5, 10)
	r.unready("closed the connection")
	check(t, os.WriteFile(file, []byte("agent-2"), 0o600))
	r.ready()
	r.write(o, 5, 10)
	r.close()
}

// TestRotatedCA: the broker gets a certificate of a new authority, then the CA
// file follows.
func TestRotatedCA(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	other, err := certtest.NewCA("other")
	check(t, err)
	c := defaults(b)
	c.Conn.TLS.CAFile = filepath.Join(t.TempDir(), "ca.crt")
	check(t, other.WriteFile(c.Conn.TLS.CAFile))
	r := newRig(t, b, c)
	r.write(r.origin("proxy"), 5, 10)
	r.unready("has a certificate that is not signed by tls.ca_file (" + c.Conn.TLS.CAFile + ")")
	check(t, b.CA.WriteFile(c.Conn.TLS.CAFile))
	r.ready()
	r.close()
}

// TestMissingRight: nothing is lost while the right to write is missing, at
// the start or later.
func TestMissingRight(t *testing.T) {
	t.Parallel()
	b := startBare(t, kfake.User(kafkaconn.ScramSHA512, user, password))
	ctx := deadline(t)
	c := defaults(b)
	c.Key = KeyContainer
	r := newRig(t, b, c)
	o := r.origin("proxy")
	r.write(o, 10, 10)
	r.unready("broker " + b.Addr + `: user "agent" needs Write on topic "logs"`)
	check(t, b.Allow(ctx, user, kadm.OpWrite, topic))
	r.ready()
	r.write(o, 10, 10)
	if !strings.Contains(r.logged.String(), "no right DescribeConfigs") {
		t.Errorf("the other missing right is not logged: %s", r.logged)
	}

	check(t, b.Allow(ctx, user, kadm.OpDescribe, topic))
	revokeOn(t, b, topic)
	r.write(o, 10, 10)
	r.unready(`user "agent" needs Write on topic "logs"`)
	r.write(o, 10, 10)
	check(t, b.Allow(ctx, user, kadm.OpWrite, topic))
	r.ready()
	r.write(o, 10, 10)
	r.close()
	if n := strings.Count(r.logged.String(), "DescribeConfigs"); n != 1 {
		t.Errorf("the missing right is logged %d times", n)
	}
}

// revokeOn takes the right to write to a topic away.
func revokeOn(t *testing.T, b *kafkatest.Broker, topic string) {
	check(t, b.Admin(func(admin *kadm.Client) error {
		deleted, err := admin.DeleteACLs(deadline(t), kadm.NewACLs().Allow("User:"+user).AllowHosts("*").
			Operations(kadm.OpWrite).Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral))
		if err == nil && len(deleted) != 1 {
			t.Errorf("deleted %v", deleted)
		}
		return err
	}))
}

// TestMissingTopic: records wait for the topic to be created, and for one that
// was deleted to be created again.
func TestMissingTopic(t *testing.T) {
	t.Parallel()
	const name = "later"
	b := startBare(t, kfake.User(kafkaconn.ScramSHA512, user, password, kafkatest.WriteACL(name)))
	c := defaults(b)
	c.Topic = name
	r := newRig(t, b, c)
	o := r.origin("proxy")
	r.write(o, 5, 10)
	r.unready("broker " + b.Addr + ` has no topic "later", or user "agent" may not see it`)
	check(t, b.Admin(func(admin *kadm.Client) error {
		_, err := admin.CreateTopic(deadline(t), 2, 1, nil, name)
		return err
	}))
	r.ready()
	r.close()
}

// TestTopicCreatedAgain: the client's idea of a topic that was deleted and
// created again is renewed.
func TestTopicCreatedAgain(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	r := newRig(t, b, defaults(b))
	o := r.origin("proxy")
	r.write(o, 1, 10)
	r.ready()
	r.settled()
	clear(r.wanted) // these go with the topic
	check(t, b.Admin(func(admin *kadm.Client) error {
		if _, err := admin.DeleteTopic(deadline(t), topic); err != nil {
			return err
		}
		_, err := admin.CreateTopic(deadline(t), 3, 1, nil, topic)
		return err
	}))
	r.write(o, 5, 10)
	r.close()
}

// TestRefusedRecords: answers that no retry fixes close the gate; what was
// refused goes out first when Kafka takes it again.
func TestRefusedRecords(t *testing.T) {
	t.Parallel()
	for _, cause := range []*kerr.Error{kerr.InvalidRecord, kerr.PolicyViolation, kerr.CorruptMessage, kerr.UnknownTopicOrPartition} {
		t.Run(cause.Message, func(t *testing.T) {
			b := startBroker(t, kfake.SeedTopics(1, topic))
			c := defaults(b)
			c.Key = KeyContainer
			r := newRig(t, b, c)
			o := r.origin("proxy")
			r.write(o, 5, 10)
			r.ready()
			refuse := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Count: -1, Err: cause})
			r.write(o, 5, 10)
			r.unready(`"logs"`)
			r.write(o, 5, 10)
			check(t, refuse.Wait(deadline(t), 7))
			refuse.Remove()
			r.ready()
			r.write(o, 5, 10)
			r.close()
		})
	}
}

// TestProducerIDRefused: a client whose producer id was refused is of no more
// use; another one takes over.
func TestProducerIDRefused(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	refuse := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Count: 3, Err: kerr.ClusterAuthorizationFailed})
	r := newRig(t, b, defaults(b))
	r.write(r.origin("proxy"), 5, 10)
	r.unready(`user "agent" needs Write on topic "logs"`)
	check(t, refuse.Wait(deadline(t), 3))
	r.ready()
	r.close()
}

// TestBrokerRestarts: nothing lost, nothing twice, while the broker goes away
// again and again under load.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	c := defaults(b)
	c.Key = KeyContainer
	r := newRig(t, b, c)
	o := r.origin("proxy")
	stop, cancel := context.WithCancel(deadline(t))
	var source sync.WaitGroup
	source.Go(func() {
		for stop.Err() == nil {
			r.write(o, 1, 50)
		}
	})
	for range 3 {
		r.ready()
		b.Stop()
		r.unready("broker " + b.Addr)
		check(t, b.Restart())
	}
	r.ready()
	cancel()
	source.Wait()
	r.close()
}

// TestCutConnections: the broker has the records, but its answer is lost. The
// idempotent producer sends them again, and they are there once.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	c := defaults(b)
	c.Key = KeyContainer
	r := newRig(t, b, c)
	o := r.origin("proxy")
	for range 20 {
		// The append happens, the answer says that it is not known.
		b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.RequestTimedOut})
		r.write(o, 3, 20)
	}
	r.close()
}

// TestNotConfirmed: the client retries what brokers do not confirm without a
// word; after a while the output says so.
func TestNotConfirmed(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	tune := quick
	tune.stallAfter = 40 * time.Millisecond
	r := tunedRig(t, b, defaults(b), tune)
	r.ready()
	refuse := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Count: -1, Err: kerr.NotEnoughReplicas})
	r.write(r.origin("proxy"), 5, 10)
	r.unready(`have not confirmed a batch for topic "logs" within 40ms`)
	refuse.Remove()
	r.ready()
	r.close()
}

// TestHalfOfABatchIsRefused: one partition takes its records, the other does
// not. Only what was refused is produced again.
func TestHalfOfABatchIsRefused(t *testing.T) {
	t.Parallel()
	b := startBroker(t, kfake.SeedTopics(2, topic))
	c := defaults(b)
	c.Key = KeyContainer
	r := newRig(t, b, c)
	even, odd := r.origin("a-little-bit-long-string"), r.origin("abc") // partitions 0 and 1
	refuse := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{1}, Count: -1, Err: kerr.InvalidRecord})
	for range 5 {
		batch := r.empty()
		r.extend(batch, even, "one", "two")
		r.extend(batch, odd, "three", "four")
		batch.Emitted()
		r.out.Write(batch)
	}
	r.unready("INVALID_RECORD")
	check(t, refuse.Wait(deadline(t), 3))
	refuse.Remove()
	r.ready()
	recs := r.close()
	if len(recs) != 20 || recs[0].Partition == recs[19].Partition {
		t.Errorf("%d records, all in partition %d", len(recs), recs[0].Partition)
	}
}
