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
	paused bool
	extra  int // bytes that filters add to each row

	origins originsOf // nil: records are from where they were fetched

	// busy: a plan is being stored, or its load is on its way.
	busy bool
	// owed are the offsets up to which partitions are in the table and that
	// are not committed yet.
	owed map[*partition]offset
	// waiting are plans that were made before and have to be sent again.
	waiting []*load
	// alone says that the last load was one of a search for a bad record.
	alone bool
}

// limits is when a lane's queues make a batch.
type limits struct {
	bytes  int // rows as they are in the load's body
	rows   int
	weight int // rows as they are in memory
	age    time.Duration
	parts  int // partitions, as many as a plan can name
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

// searching says that a bad record is searched among those in the queues.
func (l *lane) searching() bool {
	for _, p := range l.parts {
		if p.bad.next > 0 && len(p.queue) > 0 && !p.rewind {
			return true
		}
	}
	return false
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

// cut is the beginning of a partition's queue that goes into one load.
type cut struct {
	part *partition
	n    int // in the queue, markers too
	rows int // records without markers
	end  offset
}

// cut decides what the next load takes: a batch's worth from the queues, one
// run per partition, in another order each time, so that none of them is always
// last. A partition that hides a bad record goes alone, in turn with the others.
func (l *lane) cut(max *limits) []cut {
	taken := lane{extra: l.extra}
	if !l.alone {
		for _, p := range l.parts {
			if p.bad.next > 0 && len(p.queue) > 0 && !p.rewind {
				l.alone = true
				return []cut{p.cut(&taken, max, p.bad.next)}
			}
		}
	}
	l.alone = false
	var cuts []cut
	l.first++
	for i := range l.parts {
		p := l.parts[(l.first+i)%len(l.parts)]
		if len(p.queue) > 0 && !p.rewind && p.bad.next == 0 && !taken.full(max) && len(cuts) < max.parts {
			cuts = append(cuts, p.cut(&taken, max, max.rows))
		}
	}
	return cuts
}

// cut takes records until the load is full, and rows at most.
func (p *partition) cut(taken *lane, max *limits, rows int) cut {
	c := cut{part: p}
	for c.n < len(p.queue) && c.rows < rows && !taken.full(max) {
		r := p.queue[c.n]
		c.n++
		taken.count(r, 1)
		if !r.Attrs.IsControl() {
			c.rows++
		}
	}
	last := p.queue[c.n-1]
	c.end = offset{last.Offset + 1, last.LeaderEpoch}
	return c
}

// take moves what was cut from the queue into b; without b it is dropped.
func (l *lane) take(c *cut, b *pipeline.Batch) {
	p := c.part
	if b != nil {
		s := b.Begin(p.account)
		s.Position = Position{Topic: p.queue[0].Topic, Partition: p.id, Start: p.low.at, End: c.end.at, Epoch: c.end.epoch}
	}
	for _, r := range p.queue[:c.n] {
		l.count(r, -1)
		if b != nil {
			addRecord(b, p.origin, r, l.origins)
		}
	}
	clear(p.queue[:c.n])
	if p.queue = p.queue[c.n:]; len(p.queue) == 0 {
		p.queue = nil
	}
}

// originsOf says where a fetched record is from, if it is not from where it was
// fetched; false: it is left out. It may be called concurrently.
type originsOf func(fetched *pipeline.Origin, r *kgo.Record) (origin *pipeline.Origin, offset int64, ok bool)

// addRecord adds what was fetched to a batch, but for markers.
func addRecord(b *pipeline.Batch, origin *pipeline.Origin, r *kgo.Record, origins originsOf) {
	if r.Attrs.IsControl() {
		return
	}
	offset := r.Offset
	if origins != nil {
		var ok bool
		if origin, offset, ok = origins(origin, r); !ok {
			return
		}
	}
	rec := b.Add()
	// The bytes are the Kafka client's, made for one fetch and not used
	// again; the collector of garbage has them once the batch is done.
	rec.Origin, rec.Offset, rec.Raw = origin, offset, r.Value
	if rec.Raw == nil {
		rec.Raw = []byte{}
	}
}
