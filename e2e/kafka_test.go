package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const partitions = 4

// broker is a Kafka, real or in this process, with a fresh topic on it.
type broker struct {
	*testing.T
	addr    string
	tls     string // the YAML of the section, empty for none
	topic   string
	group   string
	control string // the command; empty with kfake
	// positions is the agent's own topic, transactionalID that of its node.
	positions, transactionalID string
}

const agentPassword, collectorPassword = "agent-secret", "collector-secret"

// newBroker uses the real broker where there is one. Nobody has any right to
// the topic yet.
func newBroker(t *testing.T) *broker {
	b := &broker{T: t, topic: fmt.Sprintf("logging.kong-%08x", rand.Uint32()), control: os.Getenv("KAFKA_CONTROL")}
	b.group, b.positions = b.topic+"-collector", b.topic+"-positions"
	b.transactionalID = "millrace-" + clusterUID + "-" + nodeName + "-kong"
	if b.control == "" {
		b.fake()
		return b
	}
	b.addr = os.Getenv("BOOTSTRAP_SASL")
	b.tls = "tls: {ca_file: " + os.Getenv("KAFKA_CA") + "}"
	b.run("topic", b.topic, fmt.Sprint(partitions))
	b.run("topic", b.positions, "1", "cleanup.policy=compact")
	return b
}

// realBroker skips the test where there is no real broker.
func realBroker(t *testing.T) *broker {
	if os.Getenv("KAFKA_CONTROL") == "" {
		t.Skip("real Kafka: KAFKA_CONTROL is not set")
	}
	return newBroker(t)
}

// fake starts a broker in this process, with all rights given.
func (b *broker) fake() {
	allow := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, b.topic), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.User("SCRAM-SHA-512", "agent", agentPassword, allow(kmsg.ACLResourceTypeTopic, b.topic, kmsg.ACLOperationWrite),
			allow(kmsg.ACLResourceTypeTopic, b.positions, kmsg.ACLOperationCreate), allow(kmsg.ACLResourceTypeTopic, b.positions, kmsg.ACLOperationDescribeConfigs),
			allow(kmsg.ACLResourceTypeTopic, b.positions, kmsg.ACLOperationRead), allow(kmsg.ACLResourceTypeTopic, b.positions, kmsg.ACLOperationWrite),
			allow(kmsg.ACLResourceTypeTransactionalId, b.transactionalID, kmsg.ACLOperationWrite)),
		kfake.User("SCRAM-SHA-512", "collector", collectorPassword,
			allow(kmsg.ACLResourceTypeTopic, b.topic, kmsg.ACLOperationRead), allow(kmsg.ACLResourceTypeGroup, b.group, kmsg.ACLOperationRead)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	b.addr = c.ListenAddrs()[0]
}

// run has the real broker's command do something and returns what it prints.
// Whether a broker runs that was started is for the test to see: the command
// looks for a line in the broker's log and may not find it in time when much is
// logged.
func (b *broker) run(args ...string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), b.control, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	switch {
	case err != nil && args[0] == "start":
		b.Logf("start: %v\n%s%s", err, out, errs.String())
	case err != nil:
		b.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

func (b *broker) allowAgent() {
	if b.control != "" {
		b.run("allow", "txn", "agent", b.topic+","+b.positions, b.transactionalID)
		b.run("allow", "consumer", "agent", b.positions, "unused")
	}
}

func (b *broker) allowCollector() {
	if b.control != "" {
		b.run("allow", "consumer", "collector", b.topic, b.group)
	}
}
