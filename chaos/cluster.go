package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
)

// cluster is a Kafka with this run's topics on it.
type cluster struct {
	brokers brokers
	fake    bool
	count   int // of brokers
	addrs   []string
	ca      string // file; empty: no TLS
	admin   login
	agent   login
	// collector is who reads the topic, in group.
	collector login

	topic, positions, group string
	topicID                 string // as the collector writes it into rows
	client                  *kgo.Client
}

type login struct{ user, password string }

// openCluster connects to the environment's Kafka, or starts a fake one with
// its files in dir, and makes the topic. The caller closes it.
func openCluster(ctx context.Context, o *options, dir string) (*cluster, error) {
	c := &cluster{
		topic:     fmt.Sprintf("chaos.lines-%08x", rand.Uint32()),
		positions: fmt.Sprintf("chaos.positions-%08x", rand.Uint32()),
		group:     fmt.Sprintf("chaos.table-%08x", rand.Uint32()),
	}
	if err := c.connect(ctx, o, dir); err != nil {
		c.close()
		return nil, err
	}
	if err := c.prepare(ctx, o); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cluster) connect(ctx context.Context, o *options, dir string) error {
	if control := os.Getenv("KAFKA_CONTROL"); control != "" {
		c.addrs = strings.Split(os.Getenv("BOOTSTRAP_SASL"), ",")
		c.brokers = &realBrokers{control: control, addrs: c.addrs}
		c.ca = os.Getenv("KAFKA_CA")
		c.admin = login{os.Getenv("KAFKA_ADMIN_USER"), os.Getenv("KAFKA_ADMIN_PASSWORD")}
		c.agent = login{os.Getenv("KAFKA_AGENT_USER"), os.Getenv("KAFKA_AGENT_PASSWORD")}
		c.collector = login{os.Getenv("KAFKA_COLLECTOR_USER"), os.Getenv("KAFKA_COLLECTOR_PASSWORD")}
	} else {
		fake, err := startFake(ctx, dir)
		c.brokers, c.fake = fake, true
		if err != nil {
			return err
		}
		c.addrs = []string{fake.config.addr()}
		c.admin = login{fake.config.AdminUser, fake.config.AdminPassword}
		c.agent = login{fake.config.AgentUser, fake.config.AgentPassword}
		c.collector = login{fake.config.CollectorUser, fake.config.CollectorPassword}
	}
	if c.count = len(c.addrs); o.brokers != 0 && o.brokers != c.count {
		return fmt.Errorf("-brokers %d: there are %d (BOOTSTRAP_SASL if KAFKA_CONTROL is set, else one kfake)", o.brokers, c.count)
	}
	var err error
	c.client, err = c.dial()
	return err
}

// dial makes a client of the administrator.
func (c *cluster) dial(opts ...kgo.Opt) (*kgo.Client, error) {
	conn := kafkaconn.Config{
		Brokers: c.addrs,
		SASL: &kafkaconn.SASL{Mechanism: kafkaconn.ScramSHA512, Username: c.admin.user,
			Password: config.Password{Value: config.NewSecret(c.admin.password)}},
	}
	if c.ca != "" {
		conn.TLS = &kafkaconn.TLS{CAFile: c.ca}
	}
	all, err := kafkaconn.Options(&conn, "chaos", nil, nil)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(all, opts...)...)
}

// prepare makes the topic and gives agent and collector their rights: the
// agent makes the topic for its positions itself.
func (c *cluster) prepare(ctx context.Context, o *options) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	admin := kadm.NewClient(c.client)
	made, err := admin.CreateTopics(ctx, int32(o.partitions), -1, nil, c.topic)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", c.topic, err)
	}
	id := made[c.topic].ID
	c.topicID = base64.RawURLEncoding.EncodeToString(id[:])
	return c.allow(ctx, admin)
}

// allow gives agent and collector what README says that they need.
func (c *cluster) allow(ctx context.Context, admin *kadm.Client) error {
	to := func(l login) *kadm.ACLBuilder { return kadm.NewACLs().Allow("User:" + l.user).AllowHosts("*") }
	rights := func() *kadm.ACLBuilder { return to(c.agent) }
	for _, acl := range []*kadm.ACLBuilder{
		rights().Topics(c.topic).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite, kadm.OpDescribe, kadm.OpDescribeConfigs),
		rights().Topics(c.positions).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpCreate, kadm.OpWrite, kadm.OpRead, kadm.OpDescribe, kadm.OpDescribeConfigs),
		rights().TransactionalIDs("millrace-").ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpWrite, kadm.OpDescribe),
		to(c.collector).Topics(c.topic).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead),
		to(c.collector).Groups(c.group).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead),
	} {
		made, err := admin.CreateACLs(ctx, acl)
		if err != nil {
			return fmt.Errorf("give agent and collector their rights: %w", err)
		}
		for _, one := range made {
			if one.Err != nil {
				return fmt.Errorf("give agent and collector their rights: %w", one.Err)
			}
		}
	}
	return nil
}

// stable lists the last stable offsets: what lies before them is decided.
func (c *cluster) stable(ctx context.Context) (map[int32]int64, error) {
	listed, err := kadm.NewClient(c.client).ListCommittedOffsets(ctx, c.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list last stable offsets: %w", err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// forget deletes the run's topics and its group from a Kafka that stays: one
// that is killed looks through all it has when it comes back.
func (c *cluster) forget() error {
	if c.fake {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	admin := kadm.NewClient(c.client)
	if _, err := admin.DeleteTopics(ctx, c.topic, c.positions); err != nil {
		return fmt.Errorf("delete the run's topics: %w", err)
	}
	if _, err := admin.DeleteGroups(ctx, c.group); err != nil {
		return fmt.Errorf("delete the run's group: %w", err)
	}
	return nil
}

func (c *cluster) close() {
	if c.client != nil {
		c.client.Close()
	}
	if c.brokers != nil {
		c.brokers.close()
	}
}
