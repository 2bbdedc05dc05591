package collector

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
)

// A member has another id than before: where it was in its partitions is kept,
// for those of which the group has no offset.
func TestFormerOffsetsAreKept(t *testing.T) {
	forgotten := 0
	const rounds = 300
	for range rounds {
		s, err := newSource(sourceOptions{
			config: KafkaConfig{Conn: kafkaconn.Config{Brokers: []string{"127.0.0.1:1"}}, Topic: testTopic, Group: testGroup, StartAt: startAtBeginning}, pipeline: "kong",
			limits: limits{bytes: 1 << 20, rows: 100, weight: 4 << 20}, memory: shareMemory(128<<20, 1, 2), lanes: 2,
			ledger: pipeline.NewLedger("kong", labelNames...), pool: pipeline.NewPool(2, 1<<20), report: func(error) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		if s.client, err = kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1")); err != nil {
			t.Fatal(err)
		}
		s.rebalance(&rebalance{member: "first", assigned: []int32{0, 1, 2, 3}, done: make(chan struct{})})
		s.rebalance(&rebalance{lost: []int32{0}, done: make(chan struct{})}) // another member joined
		for _, p := range s.parts {
			p.begin(offset{5, -1})
		}
		r := &rebalance{member: "second", done: make(chan struct{})}
		s.rebalance(r)
		for _, at := range r.former {
			if at.at != 5 {
				forgotten++
			}
		}
		s.client.Close()
	}
	if forgotten > 0 {
		t.Errorf("of %d partitions, where we were in %d is forgotten", 3*rounds, forgotten)
	}
}
