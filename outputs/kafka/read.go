package kafka

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
)

// reading is one read of a partition of the positions topic, from its
// beginning, transactions that were committed only.
type reading struct {
	out    *Output
	place  Place
	client *kgo.Client
	// mayEndEarly is for partitions that may have had no record for days. One
	// that has just been written to must be read to its very end.
	mayEndEarly bool
	watch       *kafkaconn.Watch
}

func (r *reading) open(s *session) error {
	o := s.out
	r.out, r.watch = o, kafkaconn.NewWatch(o.positionsSubject("Read"), o.health.connected)
	opts, err := kafkaconn.Options(&o.config.Conn, s.clientID, o.log, r.watch)
	if err != nil {
		return err
	}
	r.client, err = kgo.NewClient(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.place.Topic: {r.place.Partition: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The end of a partition is mostly the marker of a transaction.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxBytes(4<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.MaxConcurrentFetches(1),
	)...)
	return err
}

func (r *reading) close() {
	r.watch.Mute()
	r.client.Close()
}

// states reads the whole partition, which is up to what its end is now, and
// returns what it holds for each of the keys.
//
// The last stable offset is not the end: a transaction that another node has
// open holds it back, and what we committed behind that is not visible yet. So
// it waits until that transaction is over, which takes as long as its timeout
// at most.
func (s *session) states(ctx context.Context, r reading, keys ...string) ([]*state, error) {
	if err := r.open(s); err != nil {
		return nil, err
	}
	defer r.close()
	end, err := r.end(ctx)
	if err != nil {
		return nil, kafkaconn.Explain(err, r.out.positionsSubject("Read"))
	}
	values := make([]map[string][]byte, len(keys))
	for i := range values {
		values[i] = map[string][]byte{}
	}
	err = r.each(ctx, end, func(rec *kgo.Record) { keep(values, keys, rec) })
	if err != nil {
		return nil, kafkaconn.Explain(err, r.out.positionsSubject("Read"))
	}
	all := make([]*state, len(keys))
	for i := range keys {
		if all[i], err = readState(values[i]); err != nil {
			return nil, &stopError{say("the positions of %q on topic %q: %w", keys[i], r.place.Topic, err)}
		}
	}
	return all, nil
}

// each hands over the partition's records up to the offset end.
func (r *reading) each(ctx context.Context, end int64, do func(*kgo.Record)) error {
	at, silent := int64(0), 0
	for at < end {
		poll, cancel := context.WithTimeout(ctx, r.out.tuning.slowRead)
		fetches := r.client.PollFetches(poll)
		timedOut := poll.Err() != nil && ctx.Err() == nil
		cancel()
		if err := fetches.Err(); err != nil && !timedOut {
			return err
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			at, silent = rec.Offset+1, 0
			if !rec.Attrs.IsControl() {
				do(rec)
			}
		})
		if !timedOut || at >= end {
			continue
		}
		r.out.health.refused(say("reading the positions takes long: another node may have a transaction open in partition %d of topic %q, which ends at its transaction.timeout at the latest",
			r.place.Partition, r.place.Topic))
		if silent++; r.mayEndEarly && silent > 2 && r.decided(ctx, end) {
			return nil
		}
	}
	return nil
}

// decided tells that nothing before end is undecided: then a partition whose
// last records were compacted away, after days without any, is read.
func (r *reading) decided(ctx context.Context, end int64) bool {
	ctx, cancel := context.WithTimeout(ctx, r.out.tuning.dialWait)
	defer cancel()
	stable, err := kadm.NewClient(r.client).ListCommittedOffsets(ctx, r.place.Topic)
	last, ok := stable.Lookup(r.place.Topic, r.place.Partition)
	return err == nil && ok && last.Err == nil && last.Offset >= end
}

// end is the offset of the partition's next record, whether what is before it
// is committed or not.
func (r *reading) end(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, r.out.tuning.dialWait)
	defer cancel()
	admin := kadm.NewClient(r.client)
	first, err := admin.ListStartOffsets(ctx, r.place.Topic)
	if err != nil {
		return 0, err
	}
	ends, err := admin.ListEndOffsets(ctx, r.place.Topic)
	if err != nil {
		return 0, err
	}
	begin, _ := first.Lookup(r.place.Topic, r.place.Partition)
	last, ok := ends.Lookup(r.place.Topic, r.place.Partition)
	switch {
	case !ok:
		return 0, fmt.Errorf("topic %q has no partition %d", r.place.Topic, r.place.Partition)
	case last.Err != nil:
		return 0, last.Err
	case begin.Offset == last.Offset:
		return 0, nil // empty, or emptied
	}
	return last.Offset, nil
}

// keep takes a record in that belongs to one of the keys.
func keep(values []map[string][]byte, keys []string, rec *kgo.Record) {
	for i, key := range keys {
		suffix, ok := strings.CutPrefix(string(rec.Key), key)
		if !ok || suffix == "" || suffix[0] != '/' && suffix[0] != 0 {
			continue
		}
		if rec.Value == nil {
			delete(values[i], suffix)
		} else {
			values[i][suffix] = rec.Value
		}
	}
}

// positionsSubject is the positions topic in sentences about errors.
func (o *Output) positionsSubject(right string) kafkaconn.Subject {
	about := o.subject
	about.Topic, about.Right = o.config.Transaction.PositionsTopic, right
	return about
}
