package kafka

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"millrace/internal/kafkaconn/kafkatest"
)

// realNode is a node of its own on a real Kafka, with topics of its own.
func realNode(t *testing.T) (*kafkatest.Broker, *node) {
	t.Helper()
	b := realBroker(t)
	c := txDefaults(b)
	c.Topic = realTopic(t, b, false)
	suffix := strconv.FormatInt(time.Now().UnixNano(), 36)
	c.Transaction.PositionsTopic = "positions-" + suffix
	t.Cleanup(func() {
		b.Admin(func(admin *kadm.Client) error { //nolint:errcheck // it is a test broker
			_, err := admin.DeleteTopics(t.Context(), c.Topic, c.Transaction.PositionsTopic)
			return err
		})
	})
	return b, newNode(t, b, c, "node-"+suffix)
}

func TestRealKafkaExactlyOnce(t *testing.T) {
	_, n := realNode(t)
	for life := range 4 {
		a := n.start()
		for range 3 {
			n.line("proxy", 1000)
			n.line("ingress", 30)
			a.pump()
		}
		n.line("proxy", 50)
		for range 3 { // under way
			if batch := a.read(10, "proxy"); batch != nil {
				a.out.Write(batch)
			}
		}
		if life%2 == 0 {
			a.stop()
		} else {
			a.kill()
		}
	}
	a := n.start()
	a.pump()
	a.stop()
	n.exact()
}
