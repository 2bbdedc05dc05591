package starrocks

import (
	"context"
	"fmt"
	"slices"

	"millrace/internal/pipeline"
)

// slot is what a running load needs beside its batch. Its memory is used again
// and again.
type slot struct {
	rows     *encoder // nil before the first use
	compress *compressor
	frame    []byte
	written  []instant // per row, when its line was written
	spans    []outcome // per span of the batch
	bad      []DeadLetter
	badSpan  []int
	table    string // of the dead letters, database.table
	only     int    // the record of the last row
}

// outcome counts what becomes of a span's records.
type outcome struct{ rows, cut, bad int }

// rowGrowth is by how much a row is usually longer than its record: the time's
// other form, the separator and where it came from.
const rowGrowth = 80

// encode makes the body, a JSON array with one row a line as StarRocks' own
// Stream Load SDK sends it, in the batch's Out. An array that is cut short is
// an error to StarRocks, while it drops the last of separate objects silently.
func (s *slot) encode(b *pipeline.Batch, l *layout) {
	if s.rows == nil || s.rows.layout != l {
		s.rows = newEncoder(l)
	}
	s.written, s.bad, s.badSpan = s.written[:0], s.bad[:0], s.badSpan[:0]
	clear(s.rows.unreadable)
	s.spans = s.spans[:0]
	for range b.Spans {
		s.spans = append(s.spans, outcome{})
	}
	size := 2
	for i := range b.Records {
		size += len(b.Records[i].Raw) + rowGrowth
	}
	out := append(slices.Grow(b.Out[:0], size), '[')
	for i := range b.Records {
		r, span := &b.Records[i], b.SpanOf(i)
		if len(out) > 1 {
			out = append(out, ',', '\n')
		}
		before := len(out)
		row, at, cut, err := s.rows.append(out, r)
		out = row
		if err != nil {
			if before > 1 {
				out = out[:before-2]
			}
			s.bad = append(s.bad, s.letter(r, err.Error()))
			s.badSpan = append(s.badSpan, span)
			s.spans[span].bad++
			continue
		}
		s.written, s.only = append(s.written, at), i
		s.spans[span].rows++
		if cut {
			s.spans[span].cut++
		}
	}
	b.Out = append(out, ']')
}

// letter is the dead letter of a record.
func (s *slot) letter(r *pipeline.Record, why string) DeadLetter {
	return DeadLetter{TopicID: r.Origin.TopicID, Partition: r.Origin.Partition, Offset: r.Offset, Value: r.Raw, Reason: why, Table: s.table}
}

// bury puts records that can be no row where they are safe. Without such a
// place it waits, because nothing is skipped silently.
func (o *Output) bury(ctx context.Context, b *pipeline.Batch, s *slot) error {
	if len(s.bad) == 0 {
		return nil
	}
	defer clear(s.bad)
	part := "record " + b.Spans[s.badSpan[0]].Account.Name
	defer o.faults.set(part, nil)
	if o.dead == nil {
		o.faults.set(part, fmt.Errorf("the record at offset %d of %s can be no row (%s): set dead_letter.topic to have such records stored there, or move the group's offset past it",
			s.bad[0].Offset, b.Spans[s.badSpan[0]].Account.Name, s.bad[0].Reason))
		return o.halt(ctx)
	}
	wait := minBackoff
	for {
		err := o.dead(ctx, s.bad)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		o.faults.set(part, fmt.Errorf("store dead letters of %s: %w", b.Spans[s.badSpan[0]].Account.Name, err))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(wait*2, o.cfg.Load.MaxBackoff)
	}
}

// settle tells the batch what became of its records.
func (s *slot) settle(b *pipeline.Batch) {
	for i, n := range s.spans {
		b.Delivered(i, n.rows)
		b.Dropped(i, n.bad, pipeline.Refused)
		b.Spans[i].Account.Cut.Add(int64(n.cut))
	}
}
