package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// killCollectors kills members of the group until enough kills count or ctx is
// done.
func (r *run) killCollectors(ctx context.Context, rnd *rand.Rand) error {
	var m *collector
	for r.tally.Collector.Counted < r.opts.collectorKills {
		if m != nil && m.earlyRuns < 2 && rnd.IntN(5) == 0 {
			m.earlyRuns++
			most := 40 * time.Millisecond << (4 * rnd.IntN(2)) // it is ready after about 30 ms
			if pause(ctx, time.Duration(rnd.Int64N(int64(most)))) != nil {
				return nil
			}
		} else {
			m = r.members[rnd.IntN(len(r.members))]
			m.earlyRuns = 0
			if err := r.working(ctx, m); err != nil {
				return ending(ctx, err)
			}
			if pause(ctx, time.Duration(rnd.Int64N(int64(r.opts.cycle)))) != nil {
				return nil
			}
			r.moment(ctx, m, rnd.IntN(4))
		}
		if err := r.strikeMember(ctx, m, rnd); err != nil {
			return ending(ctx, err)
		}
	}
	return nil
}

// ending is nil if a killer stopped because the run is over.
func ending(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return err
}

// working waits until a member is at work, rows have become visible since it
// was last killed, and it is its turn.
func (r *run) working(ctx context.Context, m *collector) error {
	err := slowly(ctx, patience, func() (bool, error) {
		if err := m.look(); err != nil {
			return false, err
		}
		if !m.isReady() || len(m.parts) == 0 {
			return false, nil
		}
		return r.warehouse.visible(ctx) > m.atKill && !r.tableBehind(ctx) && !r.ahead(&r.tally.Collector, r.opts.collectorKills), nil
	})
	if errors.Is(err, errPatience) {
		return fmt.Errorf("wait for %s, life %d, to work: %w; %s; of %d records %d are visible", m.name, m.lives, err, m.why(), r.reader.topic.Records(), r.warehouse.visible(ctx))
	}
	return err
}

// moment waits, for a second at most, until something is on its way: by kind
// rows, a plan that the member has stored, or a load that a fault has just or a
// while ago struck. At most moments there is none of the last three.
func (r *run) moment(ctx context.Context, m *collector, kind int) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	struck := -1
	for pause(ctx, time.Millisecond) == nil {
		switch kind {
		case 0:
			if r.reader.topic.Records() > r.warehouse.visible(ctx) {
				return
			}
		case 1:
			plans, err := r.cluster.plans(ctx)
			if err != nil || slices.ContainsFunc(plans, func(p plan) bool { return m.mayOwn(&p) }) {
				return
			}
		default:
			s, err := r.warehouse.state(ctx)
			if err != nil {
				return
			}
			if struck >= 0 && s.faults() > struck {
				_ = pause(ctx, time.Duration(kind-2)*50*time.Millisecond) // less than the wait before the next try
				return
			}
			struck = s.faults()
		}
	}
}

// tableBehind says that more rows are on their way than a few seconds bring.
func (r *run) tableBehind(ctx context.Context) bool {
	return float64(r.reader.topic.Records()-r.warehouse.visible(ctx)) > enough*r.opts.rate
}

// strikeMember kills a member and starts it again, mostly at once.
func (r *run) strikeMember(ctx context.Context, m *collector, rnd *rand.Rand) error {
	if err := m.look(); err != nil {
		return err
	}
	m.isReady()
	age, killed := time.Since(m.began), time.Now()
	r.membersAway.Add(1)
	defer r.membersAway.Add(-1)
	m.kill()
	s := strike{what: m.name, count: &r.tally.Collector, words: "not visible", due: r.reader.topic.Records(), there: r.warehouse.visible(ctx)}
	windows, plans := r.memberWindows(ctx, m, killed)
	if s.there < 0 && len(plans) == 0 && !r.warehouse.away.Load() {
		windows = nil
	}
	if len(windows) == 0 {
		if windows = []string{memberIdle}; s.due > s.there {
			windows[0] = memberCollecting
		}
	}
	if len(plans) > 0 && rnd.IntN(3) == 0 && r.warehouse.forget(ctx) == nil {
		windows = append(windows, memberForgotten)
	}
	s.windows, s.sure = windows, len(plans) > 0
	s.about = fmt.Sprintf("life %d, %s old, %s", m.lives, age.Round(time.Millisecond), strings.Join(append(windows[:len(windows):len(windows)], plans...), " "))
	m.atKill = max(m.atKill, s.there)
	r.note(&s)
	if rnd.IntN(5) < 2 {
		if err := pause(ctx, time.Duration(rnd.Int64N(int64(3*time.Second)))); err != nil {
			return errors.Join(err, m.start())
		}
	}
	return m.start()
}

// killStarRocks kills the stand-in until enough kills count or ctx is done.
func (r *run) killStarRocks(ctx context.Context, rnd *rand.Rand) error {
	last := int64(0)
	for r.tally.StarRocks.Counted < r.opts.starrocksKills {
		if pause(ctx, 500*time.Millisecond+time.Duration(rnd.Int64N(int64(2*time.Second)))) != nil {
			return nil
		}
		visible := r.warehouse.visible(ctx)
		if visible <= last || r.tableBehind(ctx) || r.ahead(&r.tally.StarRocks, r.opts.starrocksKills) {
			continue
		}
		last = visible
		if rnd.IntN(3) == 0 && r.warehouse.do(ctx, "/leader") == nil {
			r.tally.Table.Leaders++ // transactions that run are forgotten
			continue
		}
		if rnd.IntN(2) == 0 {
			r.transaction(ctx)
		}
		down := 100*time.Millisecond + time.Duration(rnd.Int64N(int64(2*time.Second)))
		if err := r.strikeStarRocks(ctx, down); err != nil {
			return ending(ctx, err)
		}
	}
	return nil
}

// transaction waits, for a second at most, until one runs.
func (r *run) transaction(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		if s, err := r.warehouse.state(ctx); err != nil || s.Stats.Running > 0 || pause(ctx, time.Millisecond) != nil {
			return
		}
	}
}

// strikeStarRocks kills the stand-in and starts it again after a while.
func (r *run) strikeStarRocks(ctx context.Context, down time.Duration) error {
	s := strike{what: "starrocks", count: &r.tally.StarRocks, words: "not visible", due: r.reader.topic.Records(), there: r.warehouse.visible(ctx)}
	state, err := r.warehouse.state(ctx)
	if err != nil {
		return err
	}
	r.warehouse.kill()
	s.windows = []string{idleTable}
	if state.Stats.Running > 0 {
		s.windows = []string{loadingTable}
	}
	if r.membersAway.Load() > 0 {
		s.windows = append(s.windows, missedTable)
	}
	if r.brokersAway.Load() > 0 {
		s.windows = append(s.windows, memberBroker)
	}
	s.about = fmt.Sprintf("life %d, for %s, %d transactions, %s", r.warehouse.lives, down.Round(time.Millisecond), state.Stats.Running, strings.Join(s.windows, " "))
	s.sure = state.Stats.Running > 0
	r.note(&s)
	err = pause(ctx, down)
	// It has to run at the end, whatever happens.
	return errors.Join(err, r.warehouse.start(context.WithoutCancel(ctx)))
}
