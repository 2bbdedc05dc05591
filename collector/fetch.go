package collector

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
)

// fetchPart is the part of the source's health that is about fetching the
// topic as a whole.
const fetchPart = "fetch"

// partitionPart is the part that is about fetching one partition.
func partitionPart(id int32) string { return "partition " + strconv.Itoa(int(id)) }

// take queues what a poll returned. Records of a partition that is not ours,
// or that is being set back, are thrown away.
func (s *source) take(fetches kgo.Fetches) {
	now := time.Now()
	fetches.EachPartition(func(t kgo.FetchTopicPartition) {
		p := s.parts[t.Partition]
		if t.Topic != s.config.Topic {
			p, t.Partition = nil, -1 // an error of the client's own
		}
		// An error does not exclude records: those before it come with it, and
		// the client does not fetch them again.
		if t.Err != nil {
			s.fetchError(t.Partition, p, t.Err)
		}
		if p == nil || len(t.Records) == 0 {
			return
		}
		if p.renewing {
			if p.thrown == nil {
				p.thrown = &offset{t.Records[0].Offset, -1}
			}
			return
		}
		if t.Err == nil {
			s.fetched(p)
		}
		p.lag.end.Store(max(p.lag.end.Load(), t.HighWatermark))
		if !p.begun {
			p.begin(offset{t.Records[0].Offset, -1})
		}
		if p.rewind || p.held || s.isDraining {
			return
		}
		records := s.wanted(p.id, p.unread(t.Records))
		if len(records) == 0 {
			return
		}
		first, last := records[0], records[len(records)-1]
		if p.suspect && first.Offset != p.next {
			// What is missing may be a hole in the log, or what the error cost.
			p.setBack()
			s.interrupts.raise()
			return
		}
		p.suspect = t.Err != nil
		for _, r := range records {
			p.lane.add(p, r, now)
		}
		p.next = last.Offset + 1
		p.moved()
	})
}

// unread leaves out what lies before the next offset. The client does not take
// SetOffsets for a partition of which it still looks up where to begin
// (assignSetMatching in its consumer.go), so what a plan had may come again.
func (p *partition) unread(records []*kgo.Record) []*kgo.Record {
	for len(records) > 0 && records[0].Offset < p.next {
		records = records[1:]
	}
	return records
}

// wanted leaves out what lies behind the end that we were given.
func (s *source) wanted(id int32, records []*kgo.Record) []*kgo.Record {
	if s.until == nil {
		return records
	}
	for n := len(records); n > 0 && records[n-1].Offset >= s.until[id]; n-- {
		records = records[:n-1]
	}
	return records
}

// rewind sets the client back to where a batch was given back. It is called
// between a poll and the next one, while the group cannot take partitions
// away: the client asks for both.
func (s *source) rewind() {
	set := map[int32]kgo.EpochOffset{}
	for id, p := range s.parts {
		if !p.rewind || p.load != nil || p.held || s.isDraining {
			continue
		}
		low := p.low
		p.account.Rewound()
		set[id] = kgo.EpochOffset{Offset: low.at, Epoch: low.epoch}
		p.rewind, p.suspect, p.next = false, false, low.at
		p.moved()
	}
	if len(set) > 0 {
		s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{s.config.Topic: set})
	}
}

// fetched says that fetches of a partition work again.
func (s *source) fetched(p *partition) {
	if s.fetchFailed {
		s.fetchFailed = false
		s.health.set(fetchPart, nil)
	}
	if p.lag.failed.Swap(0) != 0 {
		s.health.set(partitionPart(p.id), nil)
	}
}

// troubled says why a partition is not read. Its next record ends that.
func (s *source) troubled(p *partition, err error) {
	p.lag.failed.Store(time.Now().UnixNano())
	s.health.set(partitionPart(p.id), err)
}

// fetchError says why a partition, or the whole topic (id -1), is not read.
// The client goes on trying, except with an offset that is out of range and
// with what it cannot decompress: there somebody has to decide.
func (s *source) fetchError(id int32, p *partition, err error) {
	var group *kgo.ErrGroupSession
	var large *kgo.ErrDecompressTooLarge
	var lost *kgo.ErrDataLoss
	if ignorable(err) || errors.As(err, &group) { // the watch reports the group's
		return
	}
	if id < 0 {
		s.fetchFailed = true
		s.lags.failed()
		s.health.set(fetchPart, kafkaconn.Explain(err, s.subject))
		return
	}
	if p == nil {
		return
	}
	p.suspect = true
	switch {
	case errors.As(err, &lost):
		s.stand(p, fmt.Errorf("topic %q, partition %d: Kafka has lost the records from offset %d on, of which those before %d were read (an election that was not clean), and writes new ones there: stop the group %q and set its offset (kafka-consumer-groups --reset-offsets); rows of lost records may be in the table",
			s.config.Topic, id, lost.ResetTo, lost.ConsumedTo, s.config.Group))
	case errors.Is(err, kerr.OffsetOutOfRange):
		if committed := p.low; !p.explaining {
			p.explaining = true
			s.work.Go(func() { s.explainRange(p, committed.at) })
		}
	case errors.As(err, &large):
		s.troubled(p, fmt.Errorf("topic %q, partition %d: the records at offsets %d to %d decompress to more than the %s that memory_limit leaves for one batch of a producer: raise memory_limit, or stop the group %q and move its offset to %d (kafka-consumer-groups --reset-offsets), which skips them",
			s.config.Topic, id, large.Offset, large.NextOffset-1, config.Size(s.memory.decompressed), s.config.Group, large.NextOffset))
	default:
		s.troubled(p, fmt.Errorf("read topic %q, partition %d: %w", s.config.Topic, id, kafkaconn.Explain(err, s.subject)))
	}
}

// explanation is why a partition cannot be read, found out by a goroutine. It
// counts only while the partition is still assigned to us.
type explanation struct {
	part *partition
	err  error
}

// explainRange says which records of a partition are gone: the offset at which
// the group is, and what the partition still has.
func (s *source) explainRange(p *partition, committed int64) {
	ctx, cancel := context.WithTimeout(s.stop, lagInterval)
	defer cancel()
	admin := kadm.NewClient(s.client)
	have := "what the broker has"
	starts, err := admin.ListStartOffsets(ctx, s.config.Topic)
	ends, eerr := admin.ListEndOffsets(ctx, s.config.Topic)
	if err == nil && eerr == nil {
		start, _ := starts.Lookup(s.config.Topic, p.id)
		end, _ := ends.Lookup(s.config.Topic, p.id)
		if committed < start.Offset {
			s.lags.miss(s.config.Topic, p.id, committed, start.Offset)
		}
		have = fmt.Sprintf("the broker's offsets %d to %d", start.Offset, end.Offset)
	}
	why := fmt.Errorf("topic %q, partition %d: the group's offset %d is outside %s: records were deleted before they were loaded, or the topic was made anew; stop the group %q and set its offset (kafka-consumer-groups --reset-offsets)",
		s.config.Topic, p.id, committed, have, s.config.Group)
	select {
	case s.explained <- explanation{p, why}:
	case <-s.ended:
	}
}
