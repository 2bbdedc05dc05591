package kafka

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/pipeline"
)

// produceFault fails what is produced to a partition of the topic, for as long
// as when says so; nil is always.
func produceFault(partition int32, err *kerr.Error, when func() bool) kfake.Fault {
	return kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{partition}, Count: -1, Err: err,
		When: func(kmsg.Request) bool { return when == nil || when() },
	}
}

// evenAndOdd are two containers of a topic with two partitions, the first in
// partition 0, the second in partition 1.
func (r *rig) evenAndOdd() (even, odd *pipeline.Origin) {
	return r.origin("a-little-bit-long-string"), r.origin("abc")
}

// writeBoth writes one batch of both containers.
func (r *rig) writeBoth(even, odd *pipeline.Origin) {
	b := r.empty()
	r.extend(b, even, "one", "two")
	r.extend(b, odd, "three", "four")
	b.Emitted()
	r.out.Write(b)
}

// TestNothingOvertakesARefusal: a partition refuses its part of a batch once,
// and another one does not confirm the rest. The refusal is told all the same,
// and the container's next lines wait.
func TestNothingOvertakesARefusal(t *testing.T) {
	t.Parallel()
	for _, cause := range []*kerr.Error{kerr.InvalidRecord, kerr.MessageTooLarge} {
		t.Run(cause.Message, func(t *testing.T) {
			b := startBroker(t, kfake.SeedTopics(2, topic))
			c := defaults(b)
			c.Key = KeyContainer
			r := newRig(t, b, c)
			even, odd := r.evenAndOdd()
			r.ready()
			hang := b.Cluster().Fault(produceFault(1, kerr.NotEnoughReplicas, nil))
			once := produceFault(0, cause, nil)
			once.Count = 1
			b.Cluster().Fault(once)
			r.writeBoth(even, odd)
			r.unready(cause.Message)
			r.write(even, 3, 1)
			hang.Remove()
			r.ready()
			r.close()
		})
	}
}

// TestRefusalIsToldWhileTheRestHangs: also when the batch goes out alone,
// because it was refused before.
func TestRefusalIsToldWhileTheRestHangs(t *testing.T) {
	t.Parallel()
	b := startBroker(t, kfake.SeedTopics(2, topic))
	c := defaults(b)
	c.Key = KeyContainer
	r := newRig(t, b, c)
	even, odd := r.evenAndOdd()
	var again atomic.Bool
	first := func() bool { return !again.Load() }
	faults := b.Cluster().Fault(
		produceFault(0, kerr.InvalidRecord, first), produceFault(1, kerr.InvalidRecord, first),
		produceFault(0, kerr.PolicyViolation, again.Load), produceFault(1, kerr.NotEnoughReplicas, again.Load),
	)
	r.writeBoth(even, odd)
	r.unready("INVALID_RECORD")
	again.Store(true)
	r.unready("POLICY_VIOLATION")
	r.write(even, 3, 1)
	faults.Remove()
	r.ready()
	r.close()
}

// TestRefusedRecordsGetANewTime: a clock that was ahead at boot would be
// refused until the time it showed has come.
func TestRefusedRecordsGetANewTime(t *testing.T) {
	t.Parallel()
	b := startBroker(t, kfake.SeedTopics(1, topic))
	r := newRig(t, b, defaults(b))
	var refused atomic.Int64 // the first attempt's time, in Unix milliseconds
	fault := produceFault(0, kerr.InvalidTimestamp, nil)
	fault.When = func(req kmsg.Request) bool {
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records); err != nil {
			t.Error(err)
		}
		refused.CompareAndSwap(0, batch.FirstTimestamp)
		return true
	}
	refuse := b.Cluster().Fault(fault)
	r.write(r.origin("proxy"), 1, 3)
	r.unready("INVALID_TIMESTAMP")
	check(t, refuse.Wait(deadline(t), 2))
	refuse.Remove()
	r.ready()
	for _, rec := range r.close() {
		if first := time.UnixMilli(refused.Load()); !rec.Timestamp.After(first) {
			t.Errorf("a record was refused with the time %v and arrived with %v", first, rec.Timestamp)
		}
	}
}

// TestClosedSessionIsMute: an attempt to connect that fails after its client
// was closed says nothing about the next one.
func TestClosedSessionIsMute(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	r := newRig(t, b, defaults(b))
	r.ready()
	s, err := r.out.newSession("closed")
	check(t, err)
	s.close()
	s.watch.OnBrokerConnect(kgo.BrokerMetadata{Host: "a", Port: 1}, 0, nil, syscall.ECONNREFUSED)
	if err := r.out.health.current(); err != nil {
		t.Errorf("a closed session reported %v", err)
	}
	r.close()
}
