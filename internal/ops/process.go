package ops

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Process is what an end of Millrace is given to be operated by.
type Process struct {
	Logger   *slog.Logger
	Registry *prometheus.Registry
	Health   *Health
	Admin    *Admin
}

// NewProcess makes the parts, with the log going to w.
func NewProcess(c LogConfig, w io.Writer) *Process {
	log := NewLogger(c, w)
	registry := NewRegistry()
	health := NewHealth(log)
	return &Process{Logger: log, Registry: registry, Health: health, Admin: NewAdmin(registry, health, log)}
}

// Run serves p.Admin on addr for as long as run takes, and returns what run
// returns. The address is taken before run is called. It fails when the
// address cannot be had; a server that breaks later ends run. The process is
// not ready before run has called Started.
func (p *Process) Run(ctx context.Context, addr string, run func(context.Context, *Process) error) error {
	server, err := Listen(addr, p.Admin, p.Logger)
	if err != nil {
		return err
	}
	p.Health.Expect(started)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	var broken error
	wg.Go(func() {
		if broken = server.Serve(serving); broken != nil {
			cancel()
		}
	})
	err = run(ctx, p)
	stop()
	wg.Wait()
	return errors.Join(err, broken)
}

// started is the condition that everything has a condition of its own.
const started = "start"

// Started says that all conditions are known to p.Health, though they need not
// be met.
func (p *Process) Started() { p.Health.Set(started, nil) }
