package collector

import (
	"context"
	"crypto/rand"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const deadTopic = "logging.kong.dead"

// letters reads at least n dead letters, and all there are by then.
func (b *broker) letters(n int) (all []*kgo.Record) {
	b.t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.addrs...), kgo.ConsumeTopics(deadTopic))
	if err != nil {
		b.t.Fatal(err)
	}
	defer reader.Close()
	ends, err := b.admin.ListEndOffsets(b.t.Context(), deadTopic)
	if err != nil {
		b.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n = max(n, int(o.Offset)) })
	for len(all) < n {
		ctx, cancel := context.WithTimeout(b.t.Context(), patience)
		fetches := reader.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// Dead letters are sent in batches that their topic takes. One that is too
// large by itself is cut and says so.
func TestDeadLettersFitTheirTopic(t *testing.T) {
	b, srv := newBroker(t, 1), newStarRocks(t)
	if _, err := b.admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": kadm.StringPtr("2000")}, deadTopic); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat(rand.Text(), 200)
	b.produce(0, append(numbered("junk ", 20), large)...)
	p := run(t, b, srv)
	eventually(t, "the commit", func() bool { return b.committed()[0] == 21 })
	for i, r := range b.letters(21) {
		cut := false
		for _, h := range r.Headers {
			cut = cut || h.Key == "truncated" && string(h.Value) == "true"
		}
		switch value := string(r.Value); {
		case i < 20 && (cut || !strings.HasPrefix(value, "junk ")):
			t.Errorf("letter %d is %q, cut: %v", i, value, cut)
		case i == 20 && (!cut || len(value) < 1000 || !strings.HasPrefix(large, value)):
			t.Errorf("the large one has %d bytes, cut: %v", len(value), cut)
		}
	}
	p.shutDown()
}

// Letters that are safe are not stored again because others are refused.
func TestOnlyRefusedDeadLettersAreRepeated(t *testing.T) {
	b, srv := newBroker(t, 1), newStarRocks(t)
	if _, err := b.admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": kadm.StringPtr("2000")}, deadTopic); err != nil {
		t.Fatal(err)
	}
	b.produce(0, numbered("junk ", 200)...)
	var requests atomic.Int32
	b.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if requests.Add(1) != 3 {
			return nil, nil, false
		}
		return refusedProduce(req.(*kmsg.ProduceRequest), kerr.PolicyViolation), nil, true
	})
	p := run(t, b, srv)
	eventually(t, "the commit", func() bool { return b.committed()[0] == 200 })
	p.shutDown()
	seen := map[string]int{}
	for _, r := range b.letters(200) {
		seen[string(r.Key)]++
	}
	if requests.Load() < 4 {
		t.Error("no letter was refused")
	}
	for key, n := range seen {
		if n > 1 {
			t.Errorf("%s is stored %d times", key, n)
		}
	}
}

// refusedProduce is a broker's answer to a request to produce.
func refusedProduce(req *kmsg.ProduceRequest, why *kerr.Error) *kmsg.ProduceResponse {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, rt := range req.Topics {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode = rp.Partition, why.Code
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}
