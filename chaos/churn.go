package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// churn starts and stops a further member of the group until ctx is done. Each
// time partitions move.
func (r *run) churn(ctx context.Context, rnd *rand.Rand) error {
	m, err := newCollector(r, "collector-guest", false)
	if err != nil {
		return err
	}
	r.guest = m
	for ctx.Err() == nil {
		if err := m.start(); err != nil {
			return err
		}
		err := slowly(ctx, patience, func() (bool, error) { return len(m.parts) > 0, m.look() })
		if err == nil {
			r.tally.Rebalances++
			err = pause(ctx, time.Duration(rnd.Int64N(int64(2*time.Second))))
		}
		if errors.Is(err, errPatience) {
			return fmt.Errorf("wait for %s, life %d, to get partitions: %w; %s", m.name, m.lives, err, m.why())
		}
		if failed := m.leave(); failed != nil {
			return errors.Join(ending(ctx, err), failed)
		}
		m.parts = nil
		if err != nil {
			return ending(ctx, err)
		}
		r.tally.Rebalances++
	}
	return nil
}
