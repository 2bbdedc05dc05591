package collector

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
)

// onStart is told where assigned partitions are read from, after onAssigned
// and before their first fetch. An offset below 0 is none: the group has not
// committed one.
//
// With start_at end such a partition gets one here, before anything is read,
// or what arrives until the first commit would be skipped by a restart. This
// asks the brokers, on the goroutine that manages the group and that is waiting
// for them anyway; an error makes the client join again, and the watch says why.
func (s *source) onStart(ctx context.Context, all map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	offsets := all[s.config.Topic]
	if s.config.StartAt == startAtEnd {
		if err := s.startAtEnd(ctx, offsets); err != nil {
			return nil, err
		}
	}
	started := map[int32]offset{}
	for id, o := range offsets {
		if at := o.EpochOffset(); at.Offset >= 0 {
			started[id] = offset{at.Offset, at.Epoch}
		}
	}
	s.pass(&rebalance{started: started})
	return all, nil
}

// startAtEnd replaces offsets that are none by the ends of their partitions,
// and commits those.
func (s *source) startAtEnd(ctx context.Context, offsets map[int32]kgo.Offset) error {
	first := map[int32]kgo.EpochOffset{}
	for id, o := range offsets {
		if o.EpochOffset().Offset < 0 {
			first[id] = kgo.EpochOffset{Offset: -1, Epoch: -1}
		}
	}
	if len(first) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	// Of a transaction that is open, all records count as new.
	ends, err := kadm.NewClient(s.client).ListCommittedOffsets(ctx, s.config.Topic)
	if err != nil {
		return fmt.Errorf("list end offsets of topic %q: %w", s.config.Topic, kafkaconn.Explain(err, s.subject))
	}
	for id := range first {
		end, ok := ends.Lookup(s.config.Topic, id)
		if end.Err != nil {
			return fmt.Errorf("list end offset of topic %q, partition %d: %w", s.config.Topic, id, kafkaconn.Explain(end.Err, s.subject))
		}
		if !ok {
			return fmt.Errorf("list end offset of topic %q, partition %d: the brokers do not name it", s.config.Topic, id)
		}
		first[id] = kgo.EpochOffset{Offset: end.Offset, Epoch: -1}
		offsets[id] = kgo.NewOffset().At(end.Offset)
	}
	return s.storeOffsets(ctx, first)
}
