package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	"millrace/internal/kafkaconn/kafkatest"
)

// realBroker is a Kafka given by the environment: BOOTSTRAP_SASL is its
// listener with TLS and SCRAM-SHA-512, KAFKA_CA its CA, and its users are
// admin (super user) and agent with the passwords NAME-secret.
func realBroker(t *testing.T) *kafkatest.Broker {
	addr, ca := os.Getenv("BOOTSTRAP_SASL"), os.Getenv("KAFKA_CA")
	if addr == "" || ca == "" {
		t.Skip("no Kafka: BOOTSTRAP_SASL and KAFKA_CA are not set")
	}
	return &kafkatest.Broker{Addr: addr, CAFile: ca}
}

// realTopic makes a topic of one's own, which the agent may write to if write
// is set.
func realTopic(t *testing.T, b *kafkatest.Broker, write bool) string {
	t.Helper()
	name := "out-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	check(t, b.Admin(func(admin *kadm.Client) error {
		_, err := admin.CreateTopic(deadline(t), 3, 1, nil, name)
		return err
	}))
	deleteTopic(t, b, name)
	if write {
		check(t, b.Allow(deadline(t), user, kadm.OpWrite, name))
		check(t, b.Allow(deadline(t), user, kadm.OpDescribeConfigs, name))
	}
	return name
}

// deleteTopic has a topic deleted at the test's end: a broker that is killed
// looks through all it has when it comes back.
func deleteTopic(t *testing.T, b *kafkatest.Broker, name string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := b.Admin(func(admin *kadm.Client) error {
			_, err := admin.DeleteTopic(ctx, name)
			return err
		})
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) { // not every test makes its topic for positions
			t.Errorf("topic %q was not deleted: %v", name, err)
		}
	})
}

func realConfig(b *kafkatest.Broker, topic string) Config {
	c := defaults(b)
	c.Topic, c.Key = topic, KeyContainer
	return c
}

func TestRealKafkaEveryRecordArrives(t *testing.T) {
	b := realBroker(t)
	for _, compression := range []string{"zstd", "lz4", "snappy", "gzip", "none"} {
		t.Run(compression, func(t *testing.T) {
			c := realConfig(b, realTopic(t, b, true))
			c.Compression = compression
			r := newRig(t, b, c)
			var sources sync.WaitGroup
			for _, name := range []string{"proxy", "ingress", "sidecar"} {
				sources.Go(func() { r.write(r.origin(name), 20, 100) })
			}
			sources.Wait()
			r.close()
		})
	}
}

func TestRealKafkaWrongPassword(t *testing.T) {
	b := realBroker(t)
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) { check(t, os.WriteFile(file, []byte(password+"\n"), 0o600)) }
	write("wrong")
	c := realConfig(b, realTopic(t, b, true))
	c.Conn.SASL.Password = config.Password{File: file}
	r := newRig(t, b, c)
	r.write(r.origin("proxy"), 10, 10)
	r.unready("broker " + b.Addr + ` refused user "agent": wrong password or no SCRAM-SHA-512 credentials for that user; check sasl.username and sasl.password_file (` + file + `)`)
	write(password)
	r.ready()
	r.close()
}

func TestRealKafkaMissingRight(t *testing.T) {
	b := realBroker(t)
	name := realTopic(t, b, false)
	r := newRig(t, b, realConfig(b, name))
	o := r.origin("proxy")
	r.write(o, 10, 10)
	r.unready("broker " + b.Addr + `: user "agent" needs Write on topic "` + name + `"`)
	check(t, b.Allow(deadline(t), user, kadm.OpDescribe, name))
	r.write(o, 10, 10)
	check(t, b.Allow(deadline(t), user, kadm.OpWrite, name))
	r.ready()
	r.write(o, 10, 10)
	r.settled()
	revokeOn(t, b, name)
	r.write(o, 10, 10)
	r.unready(`user "agent" needs Write on topic "` + name + `"`)
	r.write(o, 10, 10)
	check(t, b.Allow(deadline(t), user, kadm.OpWrite, name))
	r.ready()
	r.close()
	t.Logf("reported: %q", r.state.history)
}

func TestRealKafkaMissingTopic(t *testing.T) {
	b := realBroker(t)
	name := "later-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	check(t, b.Allow(deadline(t), user, kadm.OpWrite, name))
	r := newRig(t, b, realConfig(b, name))
	o := r.origin("proxy")
	r.write(o, 10, 10)
	r.unready(`has no topic "` + name + `", or user "agent" may not see it`)
	create := func() {
		check(t, b.Admin(func(admin *kadm.Client) error {
			_, err := admin.CreateTopic(deadline(t), 2, 1, nil, name)
			return err
		}))
	}
	create()
	r.ready()
	r.settled()
	check(t, b.Admin(func(admin *kadm.Client) error {
		_, err := admin.DeleteTopic(deadline(t), name)
		return err
	}))
	clear(r.wanted) // gone with the topic
	r.write(o, 10, 10)
	r.unready(`"` + name + `"`)
	create()
	r.ready()
	r.close()
	t.Logf("reported: %q", r.state.history)
}

func TestRealKafkaLimitIsLowered(t *testing.T) {
	b := realBroker(t)
	for _, rights := range []bool{true, false} {
		t.Run(fmt.Sprintf("DescribeConfigs=%t", rights), func(t *testing.T) {
			name := realTopic(t, b, false)
			check(t, b.Allow(deadline(t), user, kadm.OpWrite, name))
			if rights {
				check(t, b.Allow(deadline(t), user, kadm.OpDescribeConfigs, name))
			}
			c := realConfig(b, name)
			c.Compression = "none"
			r := newRig(t, b, c)
			o := r.origin("proxy")
			for _, m := range longMessages() {
				r.out.Write(r.batch(o, m))
			}
			r.settled()
			setLimitOf(t, b, name, 50_000)
			for _, m := range longMessages() {
				r.out.Write(r.batch(o, m))
			}
			check(t, r.out.Close(deadline(t)))
			r.balanced()
			if n := len(readAll(t, b, name)); n != 2*len(longMessages()) {
				t.Errorf("%d records arrived", n)
			}
			t.Logf("counted %+v, reported %q", o.Account.Balance(), r.state.history)
		})
	}
}

// control runs KAFKA_CONTROL with a word. Whether a broker runs that was started
// is for the test to see: the command looks for a line in the broker's log and
// may not find it in time when much is logged.
func control(t *testing.T) func(word string) {
	command := os.Getenv("KAFKA_CONTROL")
	if command == "" {
		t.Skip("the broker cannot be killed: KAFKA_CONTROL is not set")
	}
	return func(word string) {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command+" "+word).CombinedOutput()
		switch {
		case err != nil && word == "start":
			t.Logf("%s: %v\n%s", word, err, out)
		case err != nil:
			t.Fatalf("%s: %v\n%s", word, err, out)
		}
	}
}

// TestRealKafkaKilled needs KAFKA_CONTROL, a command that takes the words kill
// (SIGKILL to the broker) and start.
func TestRealKafkaKilled(t *testing.T) {
	b, run := realBroker(t), control(t)
	r := newRig(t, b, realConfig(b, realTopic(t, b, true)))
	o := r.origin("proxy")
	stop, cancel := context.WithCancel(deadline(t))
	var source sync.WaitGroup
	source.Go(func() {
		for stop.Err() == nil {
			r.write(o, 1, 50)
		}
	})
	for range 2 {
		r.ready()
		run("kill")
		r.unready("broker " + b.Addr)
		run("start")
	}
	r.ready()
	cancel()
	source.Wait()
	recs := r.close()
	t.Logf("%d records, reported %q", len(recs), r.state.history)
}

// TestRealKafkaConnecting: what the broker says when one thing is wrong.
func TestRealKafkaConnecting(t *testing.T) {
	b := realBroker(t)
	plain, mtls, otherCA := os.Getenv("BOOTSTRAP_PLAIN"), os.Getenv("BOOTSTRAP_MTLS"), os.Getenv("KAFKA_OTHER_CA")
	for _, test := range []struct {
		name   string
		change func(*kafkaconn.Config)
		want   string
	}{
		{"other CA", func(c *kafkaconn.Config) { c.TLS.CAFile = otherCA }, "not signed by tls.ca_file"},
		{"no TLS", func(c *kafkaconn.Config) { c.TLS = nil }, "speaks TLS on this port: add a tls section"},
		{"TLS to the plain port", func(c *kafkaconn.Config) { c.Brokers = []string{plain} }, "may not speak TLS on this port"},
		{"no SASL", func(c *kafkaconn.Config) { c.SASL = nil }, "add a sasl section"},
		{"SASL to the plain port", func(c *kafkaconn.Config) { c.Brokers, c.TLS = []string{plain}, nil }, "has no login on this port"},
		{"SCRAM-SHA-256", func(c *kafkaconn.Config) { c.SASL.Mechanism = kafkaconn.ScramSHA256 }, "does not offer SCRAM-SHA-256"},
		{"no client certificate", func(c *kafkaconn.Config) { c.Brokers, c.SASL = []string{mtls}, nil }, "set tls.cert_file and tls.key_file"},
		{"unknown user", func(c *kafkaconn.Config) { c.SASL.Username = "nobody" }, `refused user "nobody"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := b.Conn(user, password)
			test.change(&conn)
			if conn.Brokers[0] == "" {
				t.Skip("its address is not set")
			}
			opts, err := kafkaconn.Options(&conn, "test", nil, nil)
			check(t, err)
			client, err := kgo.NewClient(opts...)
			check(t, err)
			defer client.Close()
			err = kafkaconn.Explain(client.Ping(deadline(t)), kafkaconn.Subject{Config: &conn})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			t.Log(err)
		})
	}
}
