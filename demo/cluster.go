package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"millrace/internal/certtest"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The names the two ends meet under.
const (
	topic      = "logging.kong"
	partitions = 4
	group      = "millrace-kong"
	scram512   = "SCRAM-SHA-512"
	positions  = "millrace.positions" // the agent makes it
)

// cluster is a Kafka broker in this process, with TLS, SCRAM and ACLs, at one
// port for its lifetime. Its log is on disk, so it can go down and come back.
type cluster struct {
	port  int
	opts  []kfake.Opt
	admin *kadm.Client

	mu   sync.Mutex
	fake *kfake.Cluster // nil: down
}

// startCluster starts the broker and the demo's own administrator.
func startCluster(dir string, ca *certtest.CA, secrets map[string]string) (*cluster, error) {
	pair, err := ca.Issue("localhost")
	if err != nil {
		return nil, fmt.Errorf("make the broker's certificate: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &cluster{port: port, opts: []kfake.Opt{
		kfake.Ports(port), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.DataDir(dir), kfake.SeedTopics(partitions, topic),
		kfake.BrokerConfigs(map[string]string{"log.retention.bytes": "1073741824"}),
		kfake.Superuser(scram512, "admin", secrets["admin"]),
		kfake.User(scram512, "agent", secrets["agent"],
			allow(kmsg.ACLResourceTypeTopic, topic, kmsg.ACLOperationWrite),
			allow(kmsg.ACLResourceTypeTopic, topic, kmsg.ACLOperationDescribeConfigs),
			allow(kmsg.ACLResourceTypeTopic, positions, kmsg.ACLOperationCreate),
			allow(kmsg.ACLResourceTypeTopic, positions, kmsg.ACLOperationDescribeConfigs),
			allow(kmsg.ACLResourceTypeTopic, positions, kmsg.ACLOperationRead),
			allow(kmsg.ACLResourceTypeTopic, positions, kmsg.ACLOperationWrite),
			prefixed(kmsg.ACLResourceTypeTransactionalId, "millrace-", kmsg.ACLOperationWrite)),
		kfake.User(scram512, "collector", secrets["collector"],
			allow(kmsg.ACLResourceTypeTopic, topic, kmsg.ACLOperationRead),
			allow(kmsg.ACLResourceTypeGroup, group, kmsg.ACLOperationRead)),
	}}
	if err := c.up(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addr()), kgo.DialTLSConfig(&tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}),
		kgo.SASL(scram.Auth{User: "admin", Pass: secrets["admin"]}.AsSha512Mechanism()))
	if err != nil {
		c.down()
		return nil, fmt.Errorf("make Kafka administrator: %w", err)
	}
	c.admin = kadm.NewClient(client)
	return c, nil
}

func allow(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
	return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
}

func prefixed(kind kmsg.ACLResourceType, prefix string, op kmsg.ACLOperation) kfake.ACL {
	acl := allow(kind, prefix, op)
	acl.Pattern = kmsg.ACLResourcePatternTypePrefixed
	return acl
}

// freePort is a port of the loopback address that nobody uses just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (c *cluster) addr() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

// up starts the broker again with what is on disk; nothing if it is running.
func (c *cluster) up() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fake != nil {
		return nil
	}
	fake, err := kfake.NewCluster(c.opts...)
	if err != nil {
		return fmt.Errorf("start Kafka on port %d: %w", c.port, err)
	}
	c.fake = fake
	return nil
}

// down stops the broker; connections break, the log stays.
func (c *cluster) down() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fake != nil {
		c.fake.Close()
		c.fake = nil
	}
}

func (c *cluster) running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fake != nil
}

// retain deletes what the retention of the topic does not keep.
func (c *cluster) retain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fake != nil {
		c.fake.ApplyRetention()
	}
}

func (c *cluster) close() {
	c.admin.Close()
	c.down()
}

// offsets are the sums over the topic's partitions: records written, and
// records the collector's group has committed.
func (c *cluster) offsets(ctx context.Context) (end, committed int64, err error) {
	ends, err := c.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("list end offsets of %s: %w", topic, err)
	}
	ends.Each(func(o kadm.ListedOffset) { end += o.Offset })
	got, err := c.admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nobody has joined yet
		return 0, 0, fmt.Errorf("fetch offsets of group %s: %w", group, err)
	}
	got.Each(func(o kadm.OffsetResponse) { committed += max(0, o.At) })
	return end, committed, nil
}
