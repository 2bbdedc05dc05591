package main

import (
	"context"
	"fmt"
	"time"

	"millrace/chaos/book"
	"millrace/chaos/check"
	"millrace/chaos/generator"
	"millrace/internal/pipeline"
)

// ledgerLives is how many processes the ledger at the end is the sum of.
const ledgerLives = 2

// rest lets everything arrive that was written, and then compares the agent's
// ledger with what is written while it runs undisturbed, over processes that
// end as Kubernetes ends them.
func (r *run) rest(ctx context.Context) error {
	if _, err := r.writer.do(ctx, generator.Command{Do: generator.Churn, On: false}); err != nil {
		return err
	}
	before, _, err := r.quiet(ctx)
	if err != nil {
		return err
	}
	if r.opts.settle <= 0 {
		return nil
	}
	if err := r.agent.stop(); err != nil {
		return err
	}
	sum := &check.Ledger{Accounts: map[string]pipeline.Balance{}}
	after := before
	for range ledgerLives {
		if err := r.agent.start(); err != nil {
			return err
		}
		if _, err := r.writer.do(ctx, generator.Command{Do: generator.Write}); err != nil {
			return err
		}
		if err := r.busy(ctx, r.opts.settle); err != nil {
			return err
		}
		var l *check.Ledger
		if after, l, err = r.quiet(ctx); err != nil {
			return err
		}
		sum = sum.Plus(l)
		if err := r.agent.stop(); err != nil {
			return err
		}
	}
	if r.opts.fault == check.Miscounted {
		sum.Miscount(check.Terms[int(r.opts.random())%len(check.Terms)])
	}
	r.tally.differ(sum.Differences(r.since(before, after))...)
	r.tally.LedgerLines = after.Lines - before.Lines
	return nil
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
