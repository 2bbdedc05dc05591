package collector

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/pipeline"
)

// Position is the Position of a Span: the range of offsets of one partition
// that the span's records are from.
type Position struct {
	Topic     string
	Partition int32
	// Start is the offset of the first record, End the one after the last;
	// between them there may be holes (transaction markers, compaction).
	Start, End int64
	// Epoch is the leader epoch of the last record, -1 if not known.
	Epoch int32
}

// offset is up to where a partition is done.
type offset struct {
	at    int64
	epoch int32
}

// partition is one partition for as long as it is assigned to us; what is
// known of it ends with the assignment. The loop of the source owns it.
type partition struct {
	id      int32
	account *pipeline.Account
	origin  *pipeline.Origin
	lane    *lane
	member  string // our id in the group when it was assigned to us

	// low is the offset before which everything is in the table: the group's,
	// or without one that of the first record that is polled.
	low   offset
	begun bool
	// queue holds what was polled and is in no batch yet.
	queue []*kgo.Record
	// next is the offset after the last record that was polled.
	next int64

	load       *load // the plan that stands beside its offset, as far as we know
	flights    int   // 1 from the plan's commit until its end is committed
	committing int   // commits on their way that name it
	lost       bool  // assigned to somebody else: nothing of it is committed any more
	// held says that nothing new is read: a plan has to be resolved first, or
	// somebody has to decide.
	held bool
	// stands says that it is held until we are started again.
	stands bool
	// renewing says that it is not known yet where it is read from; thrown is
	// where the first record was that came meanwhile, nil if none did.
	renewing bool
	thrown   *offset
	paused   bool // at the client
	// rewind says that what is polled is thrown away until the client was set
	// back to the low offset.
	rewind bool
	bad    badRun
	// suspect says that a fetch failed since records came last: if the next
	// ones do not begin at next, they are read again from the low offset.
	suspect    bool
	explaining bool // explainRange was called

	lag *lag
}

// badRun is where a record hides that StarRocks refuses: among the next count
// ones. Loads take next of them, and nothing else, until it is found.
type badRun struct{ count, next int }

// refused narrows the search after a load of n records was refused, alone or
// together with other partitions.
func (b *badRun) refused(n int, alone bool) {
	*b = badRun{n, n}
	if alone {
		b.next = max(1, n/2)
	}
}

// passed narrows it after a load of n records was taken: the record is among
// the others.
func (b *badRun) passed(n int) {
	if b.count -= n; b.count <= 0 {
		*b = badRun{}
		return
	}
	b.next = max(1, b.count/2)
}

// lag is what the metric of a partition is computed from.
type lag struct {
	end      atomic.Int64 // the log's end, -1: not known yet
	position atomic.Int64 // up to where records are in the table, -1: not known yet
	failed   atomic.Int64 // when the last fetch error was, in Unix nanoseconds; 0: none since the last record
}

// records is the number of records between our position and the log's end;
// false: not known yet.
func (l *lag) records() (n int64, known bool) {
	end, position := l.end.Load(), l.position.Load()
	return max(0, end-position), end >= 0 && position >= 0
}

// begin says where the partition is read from.
func (p *partition) begin(at offset) {
	p.begun, p.next, p.low = true, at.at, at
	p.moved()
}

// setBack asks for a rewind to the low offset.
func (p *partition) setBack() {
	p.lane.drop(p)
	p.rewind = p.begun
}

// moved updates the position that the lag is measured from: with nothing on
// its way it is after everything polled, transaction markers included, so that
// the lag of an idle partition is 0.
func (p *partition) moved() {
	switch {
	case !p.begun:
	case p.flights == 0 && len(p.queue) == 0 && !p.rewind && !p.held:
		p.lag.position.Store(p.next)
	default:
		p.lag.position.Store(p.low.at)
	}
}
