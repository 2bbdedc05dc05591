package pipeline

import (
	"errors"
	"fmt"
	"sync"
)

// Group is the pipelines of one process: they run beside each other, and none
// of them ends another. The zero value is ready. Go is called before Wait;
// Status at any time, from any goroutine.
type Group struct {
	running sync.WaitGroup

	mu      sync.Mutex
	ledgers []*Ledger
	failed  []error
}

// Go runs a pipeline, whose accounts are in the ledger, in a goroutine of its
// own, which Wait waits for.
func (g *Group) Go(ledger *Ledger, run func() error) {
	g.mu.Lock()
	g.ledgers = append(g.ledgers, ledger)
	g.mu.Unlock()
	g.running.Go(func() {
		if err := run(); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.failed = append(g.failed, fmt.Errorf("pipeline %s: %w", ledger.Pipeline, err))
		}
	})
}

// Wait returns when all pipelines have ended, with what they failed of.
func (g *Group) Wait() error {
	g.running.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.failed...)
}

// Status is the pipelines' books for /status: a slice of Status.
func (g *Group) Status() any {
	g.mu.Lock()
	defer g.mu.Unlock()
	statuses := make([]Status, len(g.ledgers))
	for i, l := range g.ledgers {
		statuses[i] = l.Status()
	}
	return statuses
}
