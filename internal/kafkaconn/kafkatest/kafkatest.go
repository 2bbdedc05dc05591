// Package kafkatest is a Kafka for tests and the demo: franz-go's kfake behind
// real sockets, with TLS, SCRAM-SHA-512 and ACLs as a production cluster has
// them. No production code imports it.
//
// kfake is not Kafka in one thing that matters here: a wrong password makes it
// close the connection, where Kafka answers SASL_AUTHENTICATION_FAILED.
package kafkatest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/certtest"
	"millrace/internal/config"
	"millrace/internal/kafkaconn"
)

// The super user, who may everything.
const (
	AdminUser     = "admin"
	AdminPassword = "admin-secret"
)

// Broker is a cluster of one broker on localhost that keeps its data in a
// folder, so that it can be stopped and started. Not for concurrent use.
type Broker struct {
	// Addr is where it listens, also after a restart.
	Addr string
	// CA signed its certificate; CAFile is that certificate.
	CA     *certtest.CA
	CAFile string

	port    int
	dir     string
	opts    []kfake.Opt
	cluster *kfake.Cluster
}

// Start starts a broker that keeps its files in dir. Further options of kfake
// are users, topics and the like; those that set listeners, TLS or the data
// folder are the broker's own.
func Start(dir string, opts ...kfake.Opt) (*Broker, error) {
	ca, err := certtest.NewCA("kafkatest")
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue("localhost")
	if err != nil {
		return nil, err
	}
	b := &Broker{CA: ca, CAFile: filepath.Join(dir, "ca.crt"), dir: dir}
	if err := ca.WriteFile(b.CAFile); err != nil {
		return nil, err
	}
	b.opts = append([]kfake.Opt{
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}),
		kfake.EnableSASL(),
		kfake.EnableACLs(),
		kfake.Superuser(kafkaconn.ScramSHA512, AdminUser, AdminPassword),
		kfake.DataDir(filepath.Join(dir, "kafka")),
	}, opts...)
	return b, b.Restart()
}

// Cluster is the running cluster; it is another one after Restart.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Stop stops the broker as a clean shutdown does.
func (b *Broker) Stop() {
	if b.cluster != nil {
		b.cluster.Close()
		b.cluster = nil
	}
}

// Restart starts the broker again on the same address with the same data.
func (b *Broker) Restart() error {
	b.Stop()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.Ports(b.port)}, b.opts...)...)
	if err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	b.cluster = cluster
	b.Addr = cluster.ListenAddrs()[0]
	_, port, err := net.SplitHostPort(b.Addr)
	if err != nil {
		return err
	}
	b.port, err = strconv.Atoi(port)
	return err
}

// Conn is the configuration of a client that logs in with a password.
func (b *Broker) Conn(user, password string) kafkaconn.Config {
	return kafkaconn.Config{
		Brokers: []string{b.Addr},
		TLS:     &kafkaconn.TLS{CAFile: b.CAFile},
		SASL: &kafkaconn.SASL{
			Mechanism: kafkaconn.ScramSHA512,
			Username:  user,
			Password:  config.Password{Value: config.NewSecret(password)},
		},
	}
}

// Client is a client of the super user; the caller closes it.
func (b *Broker) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	conn := b.Conn(AdminUser, AdminPassword)
	all, err := kafkaconn.Options(&conn, "kafkatest", nil, nil)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(all, opts...)...)
}

// Admin runs fn with an administrator of the cluster.
func (b *Broker) Admin(fn func(*kadm.Client) error) error {
	client, err := b.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	return fn(kadm.NewClient(client))
}

// SetPassword changes a user's password, or adds the user. Connections that
// are open stay open, as with Kafka.
func (b *Broker) SetPassword(ctx context.Context, user, password string) error {
	return b.Admin(func(admin *kadm.Client) error {
		done, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{
			User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password,
		}})
		if err != nil {
			return err
		}
		return done.Error()
	})
}

// Allow gives a user a right on a topic.
func (b *Broker) Allow(ctx context.Context, user string, op kadm.ACLOperation, topic string) error {
	return b.Admin(func(admin *kadm.Client) error {
		acl := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").Operations(op).
			Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral)
		created, err := admin.CreateACLs(ctx, acl)
		if err != nil {
			return err
		}
		for _, one := range created {
			if one.Err != nil {
				return one.Err
			}
		}
		return nil
	})
}

// WriteACL is an option's argument: the right to produce to a topic.
func WriteACL(topic string) kfake.ACL { return acl(topic, kmsg.ACLOperationWrite) }

// DescribeConfigsACL is the right to read a topic's settings.
func DescribeConfigsACL(topic string) kfake.ACL { return acl(topic, kmsg.ACLOperationDescribeConfigs) }

func acl(topic string, op kmsg.ACLOperation) kfake.ACL {
	return kfake.ACL{
		Resource:  kmsg.ACLResourceTypeTopic,
		Name:      topic,
		Pattern:   kmsg.ACLResourcePatternTypeLiteral,
		Operation: op,
		Allow:     true,
	}
}

// TempDir is a directory for a broker's data, removed at the end of the test.
// Unlike that of testing.T it may be left behind: a broker that was stopped
// with a request in its hands can write for a moment longer.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-kafka-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // see above
	return dir
}
