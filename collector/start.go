package collector

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
)

// widestID is as long as a topic's id gets: 16 bytes in base64.
const widestID = "AAAAAAAAAAAAAAAAAAAAAA"

// newLabel is a random label, for StarRocks and for ever: nothing else has it.
func newLabel() string { return "millrace-" + rand.Text() }

// owner names this process in plans.
func owner(instance string) string {
	if instance == "" {
		instance, _ = os.Hostname() // it is for people
	}
	return instance[:min(len(instance), maxOwner-27)] + "/" + rand.Text()
}

// stored is what the group holds of a partition.
type stored struct {
	at       offset // below 0: nothing
	metadata string
}

// onFetched is told what stands beside the offsets, right before onStart.
func (s *source) onFetched(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	s.beside = map[int32]stored{}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if t.Topic == s.config.Topic && p.Metadata != nil {
					s.beside[p.Partition] = stored{metadata: *p.Metadata}
				}
			}
		}
	}
	return nil
}

// onStart is told where assigned partitions are read from, after onAssigned
// and before their first fetch. An offset below 0 is none: the group has not
// committed one.
//
// This asks the brokers, on the goroutine that manages the group and that is
// waiting for them anyway; an error makes the client join again, and the watch
// says why.
func (s *source) onStart(ctx context.Context, all map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	offsets := all[s.config.Topic]
	of, err := s.askTopic(ctx)
	if err != nil {
		return nil, err
	}
	started := map[int32]stored{}
	for id, o := range offsets {
		at := o.EpochOffset()
		started[id] = stored{offset{max(at.Offset, -1), at.Epoch}, s.beside[id].metadata}
	}
	if s.config.StartAt == startAtEnd {
		if err := s.startAtEnd(ctx, of, offsets, started); err != nil {
			return nil, err
		}
	}
	s.pass(&rebalance{started: started, topic: of})
	return all, nil
}

// renew reads anew where partitions are that the client kept while the group
// threw us out and took us back under another id: others may have had them. It
// runs on the goroutine that manages the group and repeats what onStart does for
// partitions that are new.
func (s *source) renew(former map[int32]offset) {
	for {
		started, of, err := s.askOffsets(former)
		s.health.set("renew", err)
		if err == nil {
			s.pass(&rebalance{started: started, topic: of, former: former})
			return
		}
		if !idle(s.stop, askAgain) {
			return
		}
	}
}

// askOffsets asks the group for the offsets of partitions; where it has none,
// ours from before count.
func (s *source) askOffsets(former map[int32]offset) (map[int32]stored, topic, error) {
	ctx, cancel := context.WithTimeout(s.stop, commitTimeout)
	defer cancel()
	of, err := s.askTopic(ctx)
	if err != nil {
		return nil, of, err
	}
	offsets, err := kadm.NewClient(s.client).FetchOffsetsForTopics(ctx, s.config.Group, s.config.Topic)
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, of, fmt.Errorf("read the offsets of group %q: %w", s.config.Group, kafkaconn.Explain(err, s.subject))
	}
	started := map[int32]stored{}
	for id, low := range former {
		started[id] = stored{at: low}
		if o, ok := offsets.Lookup(s.config.Topic, id); ok && o.At >= 0 {
			started[id] = stored{offset{o.At, o.LeaderEpoch}, o.Metadata}
		}
	}
	return started, of, nil
}

// askTopic asks which topic this is.
func (s *source) askTopic(ctx context.Context) (topic, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	of, err := identify(ctx, kadm.NewClient(s.client), s.config.Topic)
	if err != nil {
		return of, fmt.Errorf("describe topic %q: %w", s.config.Topic, kafkaconn.Explain(err, s.subject))
	}
	return of, nil
}

// identify asks which topic one of that name is.
func identify(ctx context.Context, admin *kadm.Client, name string) (topic, error) {
	m, err := admin.Metadata(ctx, name)
	if err == nil {
		err = m.Topics[name].Err
	}
	if err != nil {
		return topic{}, err
	}
	id := m.Topics[name].ID
	if id == (kadm.TopicID{}) { // brokers before 2.8 have none
		return topic{name, m.Cluster}, nil
	}
	return topic{base64.RawURLEncoding.EncodeToString(id[:]), m.Cluster}, nil // as Kafka's own tools print it
}

// startAtEnd replaces offsets that are none by the ends of their partitions,
// and commits those: what arrives until the first load would be skipped by a
// restart. If the table has rows of such a partition, its offset was lost, and
// it is read from behind them.
func (s *source) startAtEnd(ctx context.Context, of topic, offsets map[int32]kgo.Offset, started map[int32]stored) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	first := map[int32]entry{}
	for id, o := range started {
		if o.at.at >= 0 {
			continue
		}
		if s.loads != nil {
			highest, found, err := s.loads.Highest(ctx, of.id, id, 0)
			if err != nil {
				return err
			}
			if found {
				n := note{TopicID: of.id}
				started[id] = stored{offset{highest + 1, -1}, n.text()}
				offsets[id] = kgo.NewOffset().At(highest + 1)
				continue
			}
		}
		first[id] = entry{}
	}
	if len(first) == 0 {
		return nil
	}
	// Of a transaction that is open, all records count as new.
	ends, err := kadm.NewClient(s.client).ListCommittedOffsets(ctx, s.config.Topic)
	if err != nil {
		return fmt.Errorf("list end offsets of topic %q: %w", s.config.Topic, kafkaconn.Explain(err, s.subject))
	}
	n := note{TopicID: of.id}
	member, _ := s.client.GroupMetadata()
	for id := range first {
		end, ok := ends.Lookup(s.config.Topic, id)
		if end.Err != nil {
			return fmt.Errorf("list end offset of topic %q, partition %d: %w", s.config.Topic, id, kafkaconn.Explain(end.Err, s.subject))
		}
		if !ok {
			return fmt.Errorf("list end offset of topic %q, partition %d: the brokers do not name it", s.config.Topic, id)
		}
		first[id] = entry{offset{end.Offset, -1}, n.text(), member}
		offsets[id] = kgo.NewOffset().At(end.Offset)
		started[id] = stored{first[id].at, first[id].metadata}
	}
	return s.storeOffsets(ctx, first)
}

// begin is told what the group holds of partitions that were assigned to us.
func (s *source) begin(started map[int32]stored) {
	plans := map[string]*load{}
	for _, id := range slices.Sorted(maps.Keys(started)) {
		p, st := s.parts[id], started[id]
		if p == nil || p.begun {
			continue
		}
		p.renewing = false
		p.origin = &pipeline.Origin{Account: p.account, Partition: id, TopicID: s.topic.id}
		if st.at.at >= 0 {
			p.begin(st.at)
		} else if p.thrown != nil {
			p.begin(*p.thrown)
		}
		n, err := readNote(st.metadata, id)
		switch {
		case err != nil:
			s.stand(p, fmt.Errorf("topic %q, partition %d: what stands beside the offset of group %q cannot be used: %w", s.config.Topic, id, s.config.Group, err))
		case n == nil:
			s.check(p, max(st.at.at, 0))
		case n.TopicID != s.topic.id:
			s.stand(p, fmt.Errorf("topic %q, partition %d: the offset of group %q is of a topic of that name which is gone (id %s, now %s): stop the group and delete its offsets (kafka-consumer-groups --delete-offsets), or the new topic's records would be skipped",
				s.config.Topic, id, s.config.Group, n.TopicID, s.topic.id))
		case n.Plan != nil:
			s.found(p, n.Plan, plans)
		default:
			s.visible = n.After
			s.start(p)
		}
	}
	for _, d := range plans {
		s.resolve(d, d.leads)
	}
}

// stand holds a partition until somebody has decided and we are started again.
func (s *source) stand(p *partition, why error) {
	s.hold(p)
	p.stands = true
	s.health.set(planPart(p.id), why)
}

// found collects the partitions of ours that one plan names.
func (s *source) found(p *partition, of *plan, plans map[string]*load) {
	d := plans[of.Label]
	if d == nil {
		d = &load{plan: of, lane: p.lane}
		plans[of.Label] = d
	}
	if of.Lead == p.id {
		d.plan, d.leads = of, true
	}
	r, _ := of.of(p.id)
	d.cuts = append(d.cuts, cut{part: p, rows: r.count, end: offset{r.end, -1}})
}

// check is the answer to what the table has of a partition.
type check struct {
	part  *partition
	next  int64 // behind its rows
	found bool
}

// check asks whether the table has rows of a partition that lie behind its
// offset, where no note of ours says that there are none: the offset was lost or
// set back, or a plan was erased. What is in the table is not loaded again.
func (s *source) check(p *partition, from int64) {
	if s.loads == nil {
		s.start(p)
		return
	}
	s.hold(p)
	id, topicID := p.id, s.topic.id
	s.work.Go(func() {
		c := check{part: p}
		for wait := askAgain; ; wait = min(wait*2, askSeldom) {
			highest, found, err := s.loads.Highest(s.stop, topicID, id, from)
			if err == nil {
				c.next, c.found = highest+1, found
				break
			}
			s.health.set(planPart(id), err)
			if !idle(s.stop, wait) {
				return
			}
		}
		select {
		case s.checks <- c:
		case <-s.ended:
		}
	})
}

// checked goes on after check.
func (s *source) checked(c check) {
	p := c.part
	if p.lost {
		if s.parts[p.id] == nil {
			s.health.set(planPart(p.id), nil)
		}
		return
	}
	if c.found {
		s.log.Warn("the table has rows behind the group's offset: reading goes on behind them", "topic", s.config.Topic, "partition", p.id, "offset", p.low.at, "next", c.next)
		p.begin(offset{c.next, -1})
		p.lane.owe(p)
	}
	s.free(p)
}
