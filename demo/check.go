package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"millrace/demo/audit"
	"millrace/outputs/starrocks/starrockstest"
)

// patience is how long a check waits without any progress before it gives up:
// longer than load.max_backoff and than a collector leaves a load alone that
// somebody else began, which under faults may come one after another.
func (c *check) patience() time.Duration {
	if len(c.opts.faults)+c.opts.outages > 0 {
		return time.Minute
	}
	return 20 * time.Second
}

// check is one run with a bounded number of lines and both ends restarted in
// the middle.
type check struct {
	*demo
	out   io.Writer
	book  *audit.Book
	began time.Time
	// due bounds the lines that are written: each end is struck while lines
	// flow, however long it takes until the one before is ready again.
	due atomic.Int64
}

// run writes all lines while it disturbs both ends, waits for the rows and
// compares. An error means that there is no result.
func (c *check) run(ctx context.Context) (*result, error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	c.began = time.Now()
	c.node.limit = c.opts.lines
	all.Go(func() { c.flow.run(ctx) })
	disturbed := make(chan error, 2)
	all.Go(func() { disturbed <- c.disturb(ctx) })
	all.Go(func() { disturbed <- c.outages(ctx) })
	if err := c.write(ctx, c.rate, c.between()); err != nil {
		return nil, fmt.Errorf("write lines: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("write lines: %w", err)
	}
	c.say("all lines are written: %s of which %d in pieces of 16 KiB, %d health checks that are to be dropped; %d lines of other containers, %d rotations, %d container restarts",
		group3(c.node.counts.due()), c.node.counts.long.Load(), c.node.counts.health.Load(),
		c.node.counts.other.Load(), c.node.rotations(), c.node.counts.restarts.Load())
	if err := errors.Join(<-disturbed, <-disturbed); err != nil {
		return nil, err
	}
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	return c.verdict(ctx)
}

func (c *check) rate(time.Time) float64 {
	if c.node.counts.due() >= c.due.Load() {
		return 0
	}
	return c.opts.rate
}

// between has one container restart when four tenths of the lines are written.
func (c *check) between() func() error {
	var crashed, back bool
	var at int64
	return func() error {
		due := c.node.counts.due()
		switch {
		case !crashed && due >= c.opts.lines*4/10:
			crashed, at = true, due
			return c.node.crash("")
		case crashed && !back && due > at:
			back = true
			return c.node.recover()
		}
		return nil
	}
}

// disturb restarts and kills both ends while lines flow, in turn, at evenly
// spread moments.
func (c *check) disturb(ctx context.Context) error {
	rounds := 1 + c.opts.kills
	defer c.due.Store(c.opts.lines)
	for i := range 2 * rounds {
		c.due.Store(c.opts.lines * int64(i+2) / int64(2*rounds+1))
		if !c.waitLines(ctx, c.opts.lines*int64(i+1)/int64(2*rounds+1)) {
			return nil
		}
		e := c.agent
		if i%2 == 1 {
			e = c.collector
		}
		if err := c.strike(ctx, e, i/2 > 0); err != nil {
			return err
		}
		if err := c.waitReady(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// outages stops StarRocks' backend at evenly spread moments.
func (c *check) outages(ctx context.Context) error {
	for i := range c.opts.outages {
		if !c.waitLines(ctx, c.opts.lines*int64(2*i+1)/int64(2*c.opts.outages)) {
			return nil
		}
		c.warehouse.breakDown()
		c.say("StarRocks' backend is away for two seconds, after %s lines", group3(c.node.counts.due()))
		away := time.Now()
		poll(ctx, 100*time.Millisecond, func() bool { return time.Since(away) > 2*time.Second })
		if err := c.warehouse.mend(); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) waitLines(ctx context.Context, n int64) bool {
	return poll(ctx, 10*time.Millisecond, func() bool { return c.node.counts.due() >= n })
}

// strike restarts an end, or kills it while it holds lines.
func (c *check) strike(ctx context.Context, e *end, kill bool) error {
	if !kill {
		began := time.Now()
		err := e.child.Restart(ctx)
		c.say("restarted the %s (SIGTERM, %s until it had ended) after %s lines", e.child.name,
			time.Since(began).Round(time.Millisecond), group3(c.node.counts.due()))
		return err
	}
	limited, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	var pending int64
	if !poll(limited, 5*time.Millisecond, func() bool {
		st, err := e.probe.status(limited)
		if err == nil {
			pending = st.ledger().Pending
		}
		return err == nil && pending > 0
	}) {
		return fmt.Errorf("kill the %s: it held no lines for %s", e.child.name, c.patience())
	}
	e.child.Kill(ctx)
	c.say("killed the %s (SIGKILL) with %d lines under way, after %s lines", e.child.name, pending, group3(c.node.counts.due()))
	return nil
}

// waitReady waits until a restarted end says that it is ready.
func (c *check) waitReady(ctx context.Context, e *end) error {
	limited, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	reason := "it does not answer"
	if poll(limited, 50*time.Millisecond, func() bool {
		r, err := e.probe.ready(limited)
		if err == nil {
			reason = r
		}
		return c.broken() != nil || err == nil && r == ""
	}) {
		return c.broken()
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the %s is not ready after %s: %s", e.child.name, c.patience(), reason)
}

// poll asks until the answer is yes, or the context ends.
func poll(ctx context.Context, every time.Duration, ask func() bool) bool {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !ask() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// settle waits until every row is there and nothing is under way any more, or
// nothing moves for too long: then the comparison tells what is missing.
func (c *check) settle(ctx context.Context) error {
	var last [4]int64
	moved, said := time.Now(), time.Now()
	poll(ctx, 200*time.Millisecond, func() bool {
		s, ok := c.flow.latest()
		if !ok || s.Kafka == nil || s.Committed == nil || s.Read == nil {
			s.Kafka, s.Committed, s.Read = new(int64(-1)), new(int64(-1)), new(int64(-1))
		}
		now := [4]int64{s.Rows, *s.Kafka, *s.Committed, *s.Read}
		if now != last {
			last, moved = now, time.Now()
		}
		if time.Since(said) > 2*time.Second {
			said = time.Now()
			c.say("waiting: %s of %s rows", group3(s.Rows), group3(c.node.counts.due()))
		}
		quiet := time.Since(moved)
		done := s.Rows >= c.node.counts.due() && *s.Kafka == *s.Committed && *s.Kafka >= 0
		return c.broken() != nil || done && quiet > 1500*time.Millisecond || quiet > c.patience()
	})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for the rows: %w", err)
	}
	return c.broken()
}

// verdict compares, and says what is wrong.
func (c *check) verdict(ctx context.Context) (*result, error) {
	r, err := c.warehouse.compare(ctx, c.book)
	if err != nil {
		return nil, err
	}
	r.p99 = c.flow.p99()
	r.faults = append(r.faults, c.ledgers(ctx)...)
	c.strikes()
	for _, s := range append(r.Samples, r.faults...) {
		c.say("FAULT %s", s)
	}
	return r, nil
}

// ledgers holds both ends to their own accounts, at rest.
func (c *check) ledgers(ctx context.Context) (faults []string) {
	for _, e := range []*end{c.agent, c.collector} {
		st, err := e.probe.status(ctx)
		if err != nil {
			faults = append(faults, fmt.Sprintf("ledger of the %s: %v", e.child.name, err))
			continue
		}
		b := st.ledger()
		c.say("ledger of the %s since its last start: read=%d delivered=%d filtered=%d dropped=%v pending=%d reread=%d",
			e.child.name, b.Read, b.Delivered, b.Filtered, b.Dropped, b.Pending, b.Reread)
		if b.Missing() != 0 || b.Pending != 0 {
			faults = append(faults, fmt.Sprintf("ledger of the %s: %d unaccounted for, %d pending at rest", e.child.name, b.Missing(), b.Pending))
		}
	}
	return faults
}

// strikes says what befell loads and labels.
func (c *check) strikes() {
	said := map[starrockstest.FaultKind]bool{}
	for _, f := range c.opts.faults {
		if !said[f.Kind] {
			said[f.Kind] = true
			c.say("fault %q struck %d times", f.Kind, c.warehouse.Struck(f.Kind))
		}
	}
	s := c.warehouse.Stats()
	c.say("StarRocks took %d loads, forgot %d labels and was asked for a forgotten one %d times", s.Loads, s.Evicted, s.Forgotten)
}

// say reports a moment of the check.
func (c *check) say(format string, args ...any) {
	fmt.Fprintf(c.out, "%6.1fs  %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// group3 writes a number with a space between thousands.
func group3(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
