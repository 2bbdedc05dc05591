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

	// acks orders the spans that are on their way. It begins at the offset of
	// the first record that is polled.
	acks  pipeline.Acks[offset]
	begun bool
	// queue holds what was polled and is in no batch yet.
	queue []*kgo.Record
	// next is the offset after the last record that was polled.
	next int64

	flights    int  // spans emitted whose outcome is not committed yet
	committing int  // commits on their way that name it
	lost       bool // assigned to somebody else: nothing of it is committed any more
	// rewind says that a span of it was given back: what is polled is thrown
	// away until the client was set back to the lowest open offset.
	rewind bool

	lag *lag
}

// lag is what the metric of a partition is computed from.
type lag struct {
	end      atomic.Int64 // the log's end, -1: not known yet
	position atomic.Int64 // up to where records are in the table, -1: not known yet
}

// records is the number of records between our position and the log's end.
func (l *lag) records() int64 {
	end, position := l.end.Load(), l.position.Load()
	if end < 0 || position < 0 {
		return 0
	}
	return max(0, end-position)
}

// weight is what a record counts against the size of batches and loads.
func weight(r *kgo.Record) int { return len(r.Value) + recordWeight }

// low is the offset before which everything is in the table.
func (p *partition) low() offset { return p.acks.Low() }

// moved updates the position that the lag is measured from: with nothing on
// its way it is after everything polled, transaction markers included, so that
// the lag of an idle partition is 0.
func (p *partition) moved() {
	switch {
	case !p.begun:
	case p.flights == 0 && len(p.queue) == 0 && !p.rewind:
		p.lag.position.Store(p.next)
	default:
		p.lag.position.Store(p.low().at)
	}
}
