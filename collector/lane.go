package collector

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/pipeline"
)

// lane collects the records of some partitions into one batch after another,
// of which one is on its way at a time. Several partitions share a lane
// because every load is a version in every tablet: few large loads are what
// StarRocks wants. The loop of the source owns it.
type lane struct {
	parts  []*partition
	first  int       // the partition whose records come first in the next batch
	rows   int       // in the queues; markers are not counted
	bytes  int       // of the rows, as load.max_bytes counts them
	weight int       // of the rows and markers, as memory counts them
	since  time.Time // when the oldest in the queues was polled; zero: they are empty
	flight int       // batches emitted and not yet committed
	paused bool
	extra  int // bytes that filters add to each row
}

// limits is when a lane's queues make a batch.
type limits struct {
	bytes  int // rows as they are in the load's body
	rows   int
	weight int // rows as they are in memory
	age    time.Duration
}

// rowGrowth is what a row has besides its record's bytes and what filters add,
// about: where it came from.
const rowGrowth = 64

// add puts a record into the queue of its partition.
func (l *lane) add(p *partition, r *kgo.Record, now time.Time) {
	if l.since.IsZero() {
		l.since = now
	}
	p.queue = append(p.queue, r)
	l.count(r, 1)
}

func (l *lane) count(r *kgo.Record, n int) {
	l.weight += n * (len(r.Value) + recordWeight)
	if !r.Attrs.IsControl() {
		l.rows += n
		l.bytes += n * (len(r.Value) + rowGrowth + l.extra)
		l.weight += n * l.extra
	}
}

// full says that the queues hold a batch.
func (l *lane) full(max *limits) bool {
	return l.rows >= max.rows || l.bytes >= max.bytes || l.weight >= max.weight
}

// due is when the queues become a batch whatever they hold; false: they are
// empty.
func (l *lane) due(max *limits) (at time.Time, any bool) {
	return l.since.Add(max.age), !l.since.IsZero()
}

// drop empties the queue of one partition.
func (l *lane) drop(p *partition) {
	for _, r := range p.queue {
		l.count(r, -1)
	}
	p.queue = nil
	l.settle(time.Time{})
}

// settle sets since after records have left: what is still there is as old as
// now, for it came with the last poll. The zero time leaves it.
func (l *lane) settle(now time.Time) {
	for _, p := range l.parts {
		if len(p.queue) > 0 {
			if !now.IsZero() {
				l.since = now
			}
			return
		}
	}
	l.since = time.Time{}
}

// remove takes a partition out of the lane.
func (l *lane) remove(p *partition) {
	l.drop(p)
	for i := range l.parts {
		if l.parts[i] == p {
			l.parts = append(l.parts[:i], l.parts[i+1:]...)
			break
		}
	}
	l.settle(time.Time{})
}

// fill moves a batch's worth from the queues into b: one span per partition,
// in another order each time, so that none of them is always last. It returns
// the partitions of the spans.
func (l *lane) fill(b *pipeline.Batch, max *limits) []*partition {
	var parts []*partition
	taken := lane{extra: l.extra} // what is in b
	l.first++
	for i := range l.parts {
		p := l.parts[(l.first+i)%len(l.parts)]
		if len(p.queue) == 0 || p.rewind || taken.full(max) {
			continue
		}
		l.span(b, p, &taken, max)
		parts = append(parts, p)
	}
	return parts
}

// span moves records of one partition until the batch is full.
func (l *lane) span(b *pipeline.Batch, p *partition, taken *lane, max *limits) {
	s := b.Begin(p.account)
	n := 0
	for n < len(p.queue) && !taken.full(max) {
		r := p.queue[n]
		n++
		l.count(r, -1)
		taken.count(r, 1)
		if r.Attrs.IsControl() {
			continue
		}
		rec := b.Add()
		// The bytes are the Kafka client's, made for one fetch and not used
		// again; the collector of garbage has them once the batch is done.
		rec.Origin, rec.Offset, rec.Raw = p.origin, r.Offset, r.Value
		if rec.Raw == nil {
			rec.Raw = []byte{}
		}
	}
	last := p.queue[n-1]
	s.Position = Position{Topic: last.Topic, Partition: p.id, Start: p.queue[0].Offset, End: last.Offset + 1, Epoch: last.LeaderEpoch}
	s.Seq = p.acks.Add(offset{last.Offset + 1, last.LeaderEpoch})
	clear(p.queue[:n])
	p.queue = p.queue[n:]
	if len(p.queue) == 0 {
		p.queue = nil
	}
}
