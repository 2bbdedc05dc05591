package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace/chaos/book"
	"millrace/chaos/check"
)

// startTable starts the stand-in StarRocks and the group of collectors.
func (r *run) startTable(ctx context.Context) error {
	var err error
	if r.warehouse, err = newWarehouse(r.opts, r.dir); err != nil {
		return err
	}
	if err := r.warehouse.start(ctx); err != nil {
		return err
	}
	for i := range r.opts.collectors {
		m, err := newCollector(r, fmt.Sprintf("collector-%d", i), r.opts.static)
		if err != nil {
			return err
		}
		r.members = append(r.members, m)
	}
	return r.startMembers(ctx)
}

// startMembers starts the members of the group, and waits until each has
// partitions to read. Of an empty topic they do not say which they have.
func (r *run) startMembers(ctx context.Context) error {
	for _, m := range r.members {
		if err := m.start(); err != nil {
			return err
		}
		m.parts = nil
	}
	for _, m := range r.members {
		err := slowly(ctx, patience, func() (bool, error) {
			return m.isReady() && (len(m.parts) > 0 || r.reader.topic.Records() == 0), m.look()
		})
		if err != nil {
			return fmt.Errorf("wait for %s to get partitions: %w; %s", m.name, err, m.why())
		}
	}
	return nil
}

// stopTable ends the members of the group as Kubernetes does.
func (r *run) stopTable() error {
	var errs []error
	for _, m := range r.members {
		errs = append(errs, m.leave())
	}
	return errors.Join(errs...)
}

// tableStandstill is how long no row may become visible, with collectors that
// have nothing on their way, for the rest to count as lost. It is longer than
// any fault that is switched on takes.
const tableStandstill = 20 * time.Second

// quietTable waits until everything that is on the topic is in the table, or
// nothing comes any more, and returns the ledgers of the collectors, which are
// at rest.
func (r *run) quietTable(ctx context.Context) (ledgers []*check.Ledger, err error) {
	if !r.opts.table {
		return nil, nil
	}
	rows, since := int64(-1), time.Now()
	err = slowly(ctx, patience, func() (bool, error) {
		if n := r.warehouse.visible(ctx); n != rows {
			rows, since = n, time.Now()
		}
		if rows < r.reader.topic.Records() && time.Since(since) < tableStandstill {
			return false, nil
		}
		state, err := r.warehouse.state(ctx)
		if err != nil || state.Stats.Running > 0 {
			return false, nil
		}
		ledgers = ledgers[:0]
		for _, m := range r.members {
			if err := m.look(); err != nil {
				return false, err
			}
			l, err := m.ledger()
			if err != nil || l.Total.Pending > 0 || !m.isReady() {
				return false, nil
			}
			ledgers = append(ledgers, l)
		}
		return true, nil
	})
	if err != nil {
		why := ""
		for _, m := range r.members {
			why += "; " + m.name + " says " + m.why()
		}
		return nil, fmt.Errorf("wait for %d rows, of which %d are visible: %w%s", r.reader.topic.Records(), rows, err, why)
	}
	return ledgers, nil
}

// recordsSince is what came to the topic since it had so many records, by the
// collector's name for a partition.
func (r *run) recordsSince(before map[int32]int64) map[string]check.Count {
	counts := map[string]check.Count{}
	for id, n := range r.reader.topic.Counts() {
		counts[fmt.Sprintf("%s[%d]", r.cluster.topic, id)] = check.Count{Lines: n - before[id]}
	}
	return counts
}

// readTable compares the table with the topic and the book, and takes what the
// collectors and the stand-in say about themselves.
func (r *run) readTable(b *book.Book) (*check.TableVerdict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t := check.NewTable(r.reader.topic, r.cluster.topicID, check.New(r.opts.random(), r.opts.key == "container"))
	planter := check.RowPlanter{Table: t, Fault: r.opts.fault}
	if err := r.warehouse.each(ctx, planter.Read); err != nil {
		return nil, err
	}
	v := t.Verdict(b)
	state, err := r.warehouse.state(ctx)
	if err != nil {
		return nil, err
	}
	r.tally.Table.take(v, state)
	r.tally.Table.Slowest = r.warehouse.slowest.Seconds()
	all := r.members
	if r.guest != nil {
		all = append(all[:len(all):len(all)], r.guest)
	}
	for _, m := range all {
		r.tally.Table.Loads = r.tally.Table.Loads.plus(m.former).plus(m.scraped)
		r.tally.Table.Lives += m.lives
		r.tally.Table.Unclear += m.unclear
		r.tally.Table.Differences.differ(m.unbalanced...)
	}
	// What one process brought and another then found is claimed twice, and
	// taken over once.
	if l := r.tally.Table.Loads; l.Delivered-l.TakenOver > v.Rows {
		r.tally.Table.Differences.differ(fmt.Sprintf("the collectors' lives claim %d delivered records of which they took over %d, the table has %d rows", l.Delivered, l.TakenOver, v.Rows))
	}
	return v, nil
}

// closeTable ends what still runs of it.
func (r *run) closeTable() {
	for _, m := range append(r.members, r.guest) {
		if m != nil && m.process != nil {
			m.kill()
		}
	}
	if r.warehouse != nil {
		r.warehouse.close()
	}
}
