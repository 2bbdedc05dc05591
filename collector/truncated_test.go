package collector

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// An election was not clean: the log ends before what was read (KIP-320), other
// records come at the same offsets. Nothing is skipped in silence: the
// partition stands.
func TestTruncatedLogStands(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, numbered("old ", 10)...)
	out := newRecorder()
	m := b.start(out, nil)
	collected(t, 10, out)
	eventually(t, "the commit", func() bool { return b.committed()[0] == 10 })
	m.shutDown()
	var asked atomic.Int32
	b.cluster.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		asked.Add(1)
		r := req.(*kmsg.OffsetForLeaderEpochRequest)
		resp := r.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, p.LeaderEpoch, 5
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	m = b.start(out, nil)
	m.reported("any report", func(error) bool { return true })
	eventually(t, "the client has asked", func() bool { return asked.Load() > 0 })
	m.reported("a sentence", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "Kafka has lost the records from offset 5 on, of which those before 10 were read")
	})
	b.produce(0, "later")
	m.shutDown()
	if got := out.Take(); len(got) > 0 || b.committed()[0] != 10 {
		t.Errorf("it goes on: %q, committed %d", got, b.committed()[0])
	}
}
