package kafka

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

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
	deleteTopic(t, b, c.Transaction.PositionsTopic)
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

func TestRealKafkaZombie(t *testing.T) {
	for _, idle := range []bool{true, false} {
		t.Run(fmt.Sprintf("idle=%t", idle), func(t *testing.T) {
			_, n := realNode(t)
			zombie(t, n, idle)
		})
	}
}

func TestRealKafkaOpenTransactionOfANeighbour(t *testing.T) {
	b, n := realNode(t)
	a := n.start()
	n.line("proxy", 20)
	a.pump()
	neighbour(t, b, n, a)
}

// TestRealKafkaTransactionTimesOut: brokers end a transaction whose owner hung
// for too long; the owner reads it again and goes on, because nobody else has
// its id.
func TestRealKafkaTransactionTimesOut(t *testing.T) {
	b, n := realNode(t)
	n.config.Transaction.Interval, n.config.Transaction.Timeout = 20*time.Second, time.Second
	a := n.start()
	n.line("proxy", 40)
	a.awaitRestore()
	a.out.Write(a.read(20, "proxy"))
	a.landed(1)
	if got := readCommitted(t, b, n.config.Topic); len(got) > 0 { // waits until brokers have ended it
		t.Fatalf("%d records count before they were committed", len(got))
	}
	a.out.Write(a.read(20, "proxy"))
	a.unready("it was open for longer than transaction.timeout")
	a.until(func() bool { return a.containers["proxy"].acks.Open() == 0 })
	a.out.Write(a.read(40, "proxy"))
	a.stop()
	if !a.through() {
		t.Errorf("not everything is committed: %q", a.state.history)
	}
	n.exact()
}

func TestRealKafkaRights(t *testing.T) {
	b, n := realNode(t)
	rights(t, b, n)
}

// TestRealKafkaKilledInTransactions needs KAFKA_CONTROL, as TestRealKafkaKilled
// does. The broker is also the coordinator.
func TestRealKafkaKilledInTransactions(t *testing.T) {
	_, n := realNode(t)
	run := control(t)
	a := n.start()
	stop, cancel := context.WithCancel(t.Context())
	var source sync.WaitGroup
	source.Go(func() {
		for stop.Err() == nil {
			n.line("proxy", 10)
			if batch := a.read(10, "proxy"); batch != nil {
				a.out.Write(batch)
			}
		}
	})
	for range 2 {
		a.ready()
		run("kill")
		a.unready("broker " + n.broker.Addr)
		run("start")
	}
	a.ready()
	cancel()
	source.Wait()
	a.pump()
	a.stop()
	n.exact()
	t.Logf("%d lines, reported %q", n.lines["proxy"], a.state.history)
}
