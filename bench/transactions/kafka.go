package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/bench/process"
	"millrace/internal/config"
	"millrace/internal/kafkaconn"
)

// cluster is the environment's Kafka with this run's topics on it.
type cluster struct {
	addrs        []string
	ca           string
	admin, agent login

	topic, positions string
	client           *kgo.Client
	control          *kadm.Client
}

type login struct{ user, password string }

// openCluster connects as administrator. The topics are not there yet.
func openCluster() (*cluster, error) {
	run := rand.Uint32()
	c := &cluster{
		addrs: strings.Split(os.Getenv("BOOTSTRAP_SASL"), ","), ca: os.Getenv("KAFKA_CA"),
		admin: login{os.Getenv("KAFKA_ADMIN_USER"), os.Getenv("KAFKA_ADMIN_PASSWORD")},
		agent: login{os.Getenv("KAFKA_AGENT_USER"), os.Getenv("KAFKA_AGENT_PASSWORD")},
		topic: fmt.Sprintf("bench.lines-%08x", run), positions: fmt.Sprintf("bench.positions-%08x", run),
	}
	if c.addrs[0] == "" || c.ca == "" || c.admin.user == "" || c.agent.user == "" {
		return nil, errors.New("find Kafka: BOOTSTRAP_SASL, KAFKA_CA and the users have to be in the environment")
	}
	var err error
	if c.client, err = c.dial(c.admin); err != nil {
		return nil, err
	}
	c.control = kadm.NewClient(c.client)
	return c, nil
}

// close deletes the topics: those of a run are of no use to the next.
func (c *cluster) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := c.control.DeleteTopics(ctx, c.topic, c.positions)
	c.client.Close()
	return err
}

// dial makes a client.
func (c *cluster) dial(as login, opts ...kgo.Opt) (*kgo.Client, error) {
	conn := kafkaconn.Config{
		Brokers: c.addrs,
		TLS:     &kafkaconn.TLS{CAFile: c.ca},
		SASL: &kafkaconn.SASL{Mechanism: kafkaconn.ScramSHA512, Username: as.user,
			Password: config.Password{Value: config.NewSecret(as.password)}},
	}
	all, err := kafkaconn.Options(&conn, "bench", nil, nil)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(all, opts...)...)
}

// create makes a topic.
func (c *cluster) create(ctx context.Context, topic string, partitions int, settings map[string]string) error {
	configs := map[string]*string{}
	for key, value := range settings {
		configs[key] = &value
	}
	if _, err := c.control.CreateTopic(ctx, int32(partitions), -1, configs, topic); err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

// allow gives the agents what README says that they need.
func (c *cluster) allow(ctx context.Context) error {
	rights := func() *kadm.ACLBuilder { return kadm.NewACLs().Allow("User:" + c.agent.user).AllowHosts("*") }
	for _, acl := range []*kadm.ACLBuilder{
		rights().Topics(c.topic).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite, kadm.OpDescribe, kadm.OpDescribeConfigs),
		rights().Topics(c.positions).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpCreate, kadm.OpWrite, kadm.OpRead, kadm.OpDescribe, kadm.OpDescribeConfigs),
		rights().TransactionalIDs("millrace-").ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpWrite, kadm.OpDescribe),
	} {
		made, err := c.control.CreateACLs(ctx, acl)
		if err != nil {
			return fmt.Errorf("give the agents their rights: %w", err)
		}
		for _, one := range made {
			if one.Err != nil {
				return fmt.Errorf("give the agents their rights: %w", one.Err)
			}
		}
	}
	return nil
}

// sizes are the bytes of topics on the disks of all brokers, by partition.
func (c *cluster) sizes(ctx context.Context, topic string) (map[int32]int64, error) {
	details, err := c.control.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", topic, err)
	}
	dirs, err := c.control.DescribeAllLogDirs(ctx, details.TopicsSet())
	if err != nil {
		return nil, fmt.Errorf("look up the size of %s: %w", topic, err)
	}
	sizes := map[int32]int64{}
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) { sizes[p.Partition] += p.Size })
	})
	return sizes, nil
}

func sum(sizes map[int32]int64) (n int64) {
	for _, size := range sizes {
		n += size
	}
	return n
}

// brokerCPU is the time that the brokers' processes have used, zero if they
// are not known.
func brokerCPU() (used time.Duration, err error) {
	for _, pid := range strings.Fields(os.Getenv("KAFKA_PIDS")) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return 0, fmt.Errorf("look at broker %s: %w", pid, err)
		}
		// What follows the name, which may hold anything, begins with field 3.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, field := range fields[11:13] { // utime, stime in USER_HZ, which is 100
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("look at broker %s: %w", pid, err)
			}
			used += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return used, nil
}

// until asks every few milliseconds until the answer is yes, at most for so
// long. A question's error ends it.
func until(ctx context.Context, most time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if err := process.Pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}
