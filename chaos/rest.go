package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace/chaos/book"
	"millrace/chaos/check"
	"millrace/chaos/generator"
	"millrace/internal/pipeline"
)

// ledgerLives is how many processes the ledger at the end is the sum of.
const ledgerLives = 2

// rest lets everything arrive that was written, and then compares the ledgers
// of both ends with what is written while they run undisturbed, over processes
// that end as Kubernetes ends them.
func (r *run) rest(ctx context.Context) error {
	if _, err := r.writer.do(ctx, generator.Command{Do: generator.Churn, On: false}); err != nil {
		return err
	}
	before, _, err := r.quiet(ctx)
	if err != nil {
		return err
	}
	if _, err := r.quietTable(ctx); err != nil {
		return err
	}
	if r.opts.settle <= 0 {
		return r.stopTable()
	}
	if err := errors.Join(r.agent.stop(), r.stopTable()); err != nil {
		return err
	}
	records := r.reader.topic.Counts()
	sum, rows := &check.Ledger{Accounts: map[string]pipeline.Balance{}}, &check.Ledger{Accounts: map[string]pipeline.Balance{}}
	after := before
	for range ledgerLives {
		var l *check.Ledger
		var all []*check.Ledger
		if after, l, all, err = r.undisturbed(ctx); err != nil {
			return err
		}
		sum = sum.Plus(l)
		for _, l := range all {
			rows = rows.Plus(l)
		}
	}
	switch terms := check.Terms; r.opts.fault {
	case check.Miscounted:
		sum.Miscount(terms[int(r.opts.random())%len(terms)])
	case check.RowMiscounted:
		rows.Miscount(terms[int(r.opts.random())%len(terms)])
	}
	r.tally.Differences.differ(sum.Differences(r.since(before, after))...)
	r.tally.LedgerLines = after.Lines - before.Lines
	if r.opts.table {
		r.tally.Table.Differences.differ(rows.Differences(r.recordsSince(records))...)
	}
	return nil
}

// undisturbed has both ends live once, and returns what was written and their
// ledgers.
func (r *run) undisturbed(ctx context.Context) (s generator.Status, l *check.Ledger, rows []*check.Ledger, err error) {
	if err := errors.Join(r.agent.start(), r.startMembers(ctx)); err != nil {
		return s, nil, nil, err
	}
	if _, err := r.writer.do(ctx, generator.Command{Do: generator.Write}); err != nil {
		return s, nil, nil, err
	}
	if err := r.busy(ctx, r.opts.settle); err != nil {
		return s, nil, nil, err
	}
	if s, l, err = r.quiet(ctx); err != nil {
		return s, nil, nil, err
	}
	if rows, err = r.quietTable(ctx); err != nil {
		return s, nil, nil, err
	}
	return s, l, rows, errors.Join(r.agent.stop(), r.stopTable())
}

// busy lets lines be written for a while, telling the generator what arrives.
func (r *run) busy(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := r.tellSeen(); err != nil {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// standstill is how long nothing may arrive, from an agent that is ready and
// has nothing pending, for the rest to count as lost. An agent looks at quiet
// files once a second.
const standstill = 5 * time.Second

// quiet stops the writing and waits until all that was written has arrived, or
// nothing comes any more. It returns what was written, and the ledger of the
// agent, which is at rest.
func (r *run) quiet(ctx context.Context) (s generator.Status, l *check.Ledger, err error) {
	if s, err = r.writer.do(ctx, generator.Command{Do: generator.Pause}); err != nil {
		return s, nil, err
	}
	arrived, since := int64(-1), time.Now()
	err = until(ctx, patience, func() (bool, error) {
		if err := r.agent.died(); err != nil {
			return false, err
		}
		if n := r.reader.checker.Arrived(); n != arrived {
			arrived, since = n, time.Now()
		}
		if arrived+r.lost < s.Due && time.Since(since) < standstill {
			return false, nil
		}
		if l, err = r.agent.ledger(); err != nil || l.Total.Pending > 0 || !r.agent.isReady() {
			return false, nil
		}
		return r.agent.scrape() == nil, nil
	})
	if err != nil {
		return s, nil, fmt.Errorf("wait for %d lines, of which %d arrived: %w; the agent says %s", s.Due, arrived, err, r.agent.why())
	}
	r.lost = s.Due - arrived
	// A repeated line may be on its way behind the last.
	return s, l, r.readAll(ctx, patience)
}

// since is what was written between two statuses, by the agent's name for a
// container.
func (r *run) since(before, after generator.Status) map[string]check.Count {
	written := map[string]check.Count{}
	for id, to := range after.Counts {
		from := before.Counts[id]
		_, container := generator.PodOf(id)
		name := fmt.Sprintf("%s/%s/%s", generator.Namespace, after.Pods[id], container)
		w := written[name]
		w.Lines += to.Sum() - from.Sum()
		w.Filtered += book.Dropped(r.opts.random(), id, from, to).Sum()
		written[name] = w
	}
	return written
}
