package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"millrace/bench/process"
)

// The rows: what is measured.
const (
	rowStock      = "stock"
	rowMessage    = "message"
	rowRotation   = "rotation"
	rowSteady     = "steady"
	rowUnselected = "unselected"
)

var allRows = []string{rowStock, rowMessage, rowRotation, rowSteady, rowUnselected}

// measureRow has all variants take their turns, some times.
func (b *bench) measureRow(ctx context.Context, row string) error {
	run := b.runLive
	if row == rowStock || row == rowMessage {
		w, err := static(ctx, b.workload, b.lines, b.containers)
		if err != nil {
			return err
		}
		run = func(ctx context.Context, row string, v variant) (*result, error) { return b.runStatic(ctx, row, v, w) }
	}
	var all []*result
	for round := range b.rounds {
		for _, v := range b.variants {
			r, err := run(ctx, row, v)
			if err != nil {
				return fmt.Errorf("%v: %w", v, err)
			}
			fmt.Fprintf(os.Stderr, "%s, round %d: %v\n", row, round+1, r)
			all = append(all, r)
		}
	}
	return report(os.Stdout, row, all)
}

// runStatic measures a shipper on lines that are all there.
func (b *bench) runStatic(ctx context.Context, row string, v variant, w *workload) (r *result, err error) {
	t, err := b.try(ctx, v, row, w)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.start(); err != nil {
		return nil, err
	}
	var profiled error
	if b.profiles != "" && v.Profile != "" {
		profiled = t.keepProfile(ctx)
	}
	r, err = t.finish(ctx)
	return r, errors.Join(err, profiled)
}

// live is how lines are written while a shipper runs.
type live struct {
	selects, others int
	rate            int // lines a second, of all
	duration, warm  time.Duration
	rotateAt        int64
}

func (b *bench) live(row string) live {
	switch row {
	case rowRotation:
		return live{selects: 20, rate: 50_000, duration: 20 * time.Second, warm: 0, rotateAt: 1}
	case rowSteady:
		return live{selects: 100, rate: 10_000, duration: b.duration, warm: 10 * time.Second, rotateAt: 10 << 20}
	}
	return live{selects: 1, others: 1000, rate: 10_000, duration: b.duration, warm: 10 * time.Second, rotateAt: 10 << 20}
}

// starting is how long a shipper has before the first line.
const starting = 3 * time.Second

// runLive measures a shipper while lines are written.
func (b *bench) runLive(ctx context.Context, row string, v variant) (r *result, err error) {
	l := b.live(row)
	w, err := newLive(b.workload, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.exit(), os.RemoveAll(w.dir)) }()
	t, err := b.try(ctx, v, row, w)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.start(); err != nil {
		return nil, err
	}
	during, err := t.during(ctx, l)
	if err != nil {
		return nil, errors.Join(err, t.p.Stop())
	}
	if r, err = t.finish(ctx); err == nil {
		r.window = during
	}
	return r, err
}

// during writes the lines and says what the shipper used meanwhile. A shipper
// that is gone by then used nothing.
func (t *trial) during(ctx context.Context, l live) (during *window, err error) {
	if err := process.Pause(ctx, starting); err != nil {
		return nil, err
	}
	during = &window{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	written := make(chan error, 1)
	go func() { written <- t.w.write(ctx, l) }()
	if err = process.Pause(ctx, l.warm); err == nil {
		during.from, _ = t.p.Usage() // finish tells when it is gone
		select {
		case err = <-written:
			during.to, _ = t.p.Usage()
			return during, err
		case <-t.p.Ended():
		}
	}
	cancel()
	return during, errors.Join(err, <-written)
}
