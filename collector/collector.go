// Package collector is the cluster end of Millrace: it reads topics as a
// member of consumer groups and brings their records into StarRocks tables.
//
// An offset is committed only when StarRocks has said that everything before
// it is in the table, so a crash repeats what was on its way and loses
// nothing. Run waits for every goroutine the package starts.
package collector

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/filters"
	"millrace/internal/config"
	"millrace/internal/ops"
	"millrace/internal/pipeline"
	"millrace/outputs/starrocks"
)

// Run runs the collector until ctx is done and everything it began has ended.
// It fails at once only for what a restart cannot mend either; a pipeline that
// cannot work says so by its conditions in p.Health, NAME/source and
// NAME/output, and leaves the others alone.
func Run(ctx context.Context, c *Config, p *ops.Process) error {
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return fmt.Errorf("make data_dir: %w", err)
	}
	limitMemory(c.MemoryLimit)
	a := &assembly{config: c, process: p}
	for i := range c.Pipelines {
		if err := a.start(ctx, &c.Pipelines[i]); err != nil {
			// Restarting would only hide the sentence that says what to do.
			p.Health.Set(c.Pipelines[i].Name+"/source", err)
		}
	}
	p.Admin.Status("pipelines", a.group.Status)
	p.Started()
	<-ctx.Done()
	return a.group.Wait()
}

// limitMemory makes the garbage collector work harder rather than let the
// process grow, unless the operator has set GOMEMLIMIT. A tenth is for what
// Go does not count: its own code, stacks of the kernel, pages not yet
// returned.
func limitMemory(all config.Size) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(int64(all) / 10 * 9)
	}
}

// assembly is what the pipelines of one process share.
type assembly struct {
	config  *Config
	process *ops.Process
	group   pipeline.Group
	// origins and wrap change what pipelines are made of, for replay; nil:
	// they are as configured.
	origins originsOf
	wrap    func(*starrocks.Output) pipeline.Output
	until   map[int32]int64 // where the topic ends for us; nil: nowhere
	topic   string          // that dead letters name; empty: the source's
	stored  func([]starrocks.DeadLetter)
}

// start makes one pipeline and runs it until ctx is done.
func (a *assembly) start(ctx context.Context, c *PipelineConfig) error {
	log := a.process.Logger.With("pipeline", c.Name)
	load := &c.Output.StarRocks.Load
	m := shareMemory(int(a.config.MemoryLimit), len(a.config.Pipelines), load.Concurrency)
	if size := int64(m.batch); size < int64(load.MaxBytes) {
		log.Info("memory_limit makes loads smaller than load.max_bytes", "bytes", size, "max_bytes", int64(load.MaxBytes))
	}
	ledger := pipeline.NewLedger(c.Name, labelNames...)
	registry := prometheus.WrapRegistererWith(prometheus.Labels{"pipeline": c.Name}, a.process.Registry)
	a.process.Health.Expect(c.Name + "/source")
	output, letters, err := a.output(c, log)
	if err != nil {
		return err
	}
	s, err := newSource(sourceOptions{
		config:   *c.Source.Kafka,
		pipeline: c.Name,
		loads:    output,
		limits:   limits{bytes: int(load.MaxBytes), rows: load.MaxRows, weight: m.batch, age: load.MaxAge},
		memory:   m,
		lanes:    load.Concurrency,
		extra:    c.Filters.Weight(),
		origins:  a.origins,
		until:    a.until,
		pool:     pipeline.NewPool(load.Concurrency, 2*m.batch),
		ledger:   ledger,
		log:      log,
		registry: registry,
		report:   func(err error) { a.process.Health.Set(c.Name+"/source", err) },
	})
	if err != nil {
		closed, cancel := context.WithCancel(ctx)
		cancel()
		_ = output.Close(closed) // it has nothing to send
		if letters != nil {
			letters.close()
		}
		return err
	}
	a.process.Registry.MustRegister(ledger)
	line := pipeline.Pipeline{Source: s, Filters: filters.New(c.Filters, registry), Output: output, Drain: a.config.Drain}
	if a.wrap != nil {
		line.Output = a.wrap(output)
	}
	a.group.Go(ledger, func() error {
		err := line.Run(ctx)
		if letters != nil {
			letters.close()
		}
		if err != nil {
			a.process.Health.Set(c.Name+"/source", err)
		}
		return err
	})
	return nil
}

// output makes the output, and the place for its dead letters if there is one.
func (a *assembly) output(c *PipelineConfig, log *slog.Logger) (*starrocks.Output, *deadLetters, error) {
	condition := c.Name + "/output"
	a.process.Health.Expect(condition)
	opts := starrocks.Options{
		Config: *c.Output.StarRocks, Pipeline: c.Name, Logger: log, Registry: a.process.Registry,
		Report:  func(err error) { a.process.Health.Set(condition, err) },
		Visible: a.topic != "", // a replay asks what the table has
	}
	var letters *deadLetters
	if d := c.Output.StarRocks.DeadLetter; d != nil {
		var err error
		if letters, err = newDeadLetters(c.Source.Kafka, d.Topic, log); err != nil {
			return nil, nil, err
		}
		if a.topic != "" {
			letters.source = a.topic
		}
		opts.DeadLetters = letters.store
		if a.stored != nil {
			opts.DeadLetters = func(ctx context.Context, list []starrocks.DeadLetter) error {
				err := letters.store(ctx, list)
				if err == nil {
					a.stored(list)
				}
				return err
			}
		}
	}
	output, err := starrocks.New(opts)
	if err != nil && letters != nil {
		letters.close()
	}
	return output, letters, err
}
