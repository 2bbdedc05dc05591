package starrocks

import (
	"context"
	"slices"

	"millrace/internal/pipeline"
)

// refusal is StarRocks' last word about a load as it is: nothing of it is in,
// and the same again would be refused again.
type refusal struct {
	from   *destination
	err    error  // the sentence
	reason string // without any of the rows
	rows   bool   // rows are refused, not the load's size
}

func (r *refusal) Error() string { return r.err.Error() }

// onRefusal decides what becomes of a batch that was refused. Whether the table
// or a row is at fault, the table's description tells: where it has changed, the
// rows are made anew for it; where it does not fit what records hold, everything
// waits for whoever altered it; else it is a row. A batch of several is given
// back to be split until the row is alone and goes to the dead letters.
func (o *Output) onRefusal(ctx context.Context, b *pipeline.Batch, s *slot, r *refusal) (again bool, err error) {
	d := r.from
	if r.rows && d.cfg.QueryAddr != "" {
		changed, err := o.altered(ctx, d)
		if changed || err != nil {
			return changed, err
		}
	}
	o.log.Info("StarRocks refuses a load", "label", b.ID, "rows", len(s.written), "error", r.err)
	if len(s.written) > 1 {
		o.metrics.split.Inc()
		return false, pipeline.ErrRefused
	}
	return false, o.buryRow(ctx, b, s, r)
}

// altered compares the table with what the refused rows were made for. It waits,
// and says why, while the table does not fit the records.
func (o *Output) altered(ctx context.Context, d *destination) (changed bool, err error) {
	wait := minBackoff
	was := d.shape.Load().table
	for {
		t, err := describe(ctx, d.cfg)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if err == nil {
			if column := d.shape.Load().layout.lacks(t); column != "" {
				err = d.remote.fault(d.cfg.QueryAddr, "the table does not fit the records: its column "+column+" is NOT NULL and no record had a value for it yet",
					"alter the table, or fill the column by the key columns or a filter; nothing is skipped")
			}
		}
		if err == nil {
			o.faults.set(d.part(), nil)
			if slices.Equal(t.columns, was.columns) {
				return false, nil
			}
			return true, d.use(t)
		}
		o.faults.set(d.part(), err)
		if err := sleep(ctx, wait); err != nil {
			return false, err
		}
		wait = min(wait*2, d.cfg.Load.MaxBackoff)
	}
}

// lacks is a column that takes no NULL and that nothing ever gave a value:
// neither the rows at hand nor any before them in this process. Empty if there is none.
func (l *layout) lacks(t *table) string {
	for _, c := range t.columns {
		if !c.required {
			continue
		}
		i := slices.IndexFunc(l.targets, func(known target) bool { return known.name == c.name })
		known := i >= 0 && (l.targets[i].filled.Load() || c.name == topicColumn || c.name == partitionColumn || c.name == offsetColumn)
		if !known {
			return c.name
		}
	}
	return ""
}

// buryRow stores the only row of a batch, which StarRocks refuses, as a dead
// letter.
func (o *Output) buryRow(ctx context.Context, b *pipeline.Batch, s *slot, r *refusal) error {
	i := s.only
	record := &b.Records[i]
	s.bad = append(s.bad[:0], s.letter(record, r.reason))
	s.badSpan = append(s.badSpan[:0], b.SpanOf(i))
	if err := o.bury(ctx, b, s); err != nil {
		return err
	}
	span := &s.spans[b.SpanOf(i)]
	span.rows, span.cut, span.bad = span.rows-1, 0, span.bad+1
	return nil
}
