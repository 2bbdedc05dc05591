package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/agent/kube"
	"millrace/agent/tail"
	"millrace/filters"
	"millrace/internal/config"
	"millrace/internal/ops"
	"millrace/internal/pipeline"
	"millrace/outputs/kafka"
	"millrace/outputs/stdout"
)

const (
	// minBatches lets one batch be read while others are on their way.
	minBatches = 4
	// growWait is by how much longer than not reading waits for a batch to come
	// back before it takes more memory: longer than a burst takes, and than a
	// commit, in which none comes back. A flood has all there is within
	// seconds.
	growWait = 250 * time.Millisecond
	// baseMemory is what the process needs beside the lines in flight: the
	// runtime, client-go, the Kafka client's connections and compressors.
	baseMemory = 14 << 20
	// gcPercent is half of Go's default: most memory is used again and again
	// without the collector, so that collecting more often costs next to
	// nothing, and what is not collected yet is not much more than what is
	// used.
	gcPercent = 50
)

// Run runs the agent until ctx is done and everything it began has ended. It
// fails at once only for what a restart cannot mend either; a pipeline that
// cannot work says so by its conditions in p.Health and leaves the others
// alone.
func Run(ctx context.Context, c *Config, p *ops.Process) error {
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return fmt.Errorf("make data_dir: %w", err)
	}
	lock, err := lockDataDir(ctx, c.DataDir, p.Health)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	tellHolding(p.Logger, c.Kubernetes.LogDir, c.DataDir)
	limitMemory(c.MemoryLimit)
	unclaimed, err := c.claimDirs()
	if err != nil {
		return err
	}
	watcher, err := kube.New(kube.Options{Config: c.Kubernetes, DataDir: c.DataDir, Logger: p.Logger,
		Report: func(err error) { p.Health.Set("kubernetes", err) }})
	if err != nil {
		return err
	}
	a := &assembly{config: c, process: p, watcher: watcher}
	for i := range c.Pipelines {
		err := unclaimed[i]
		if err == nil {
			err = a.start(ctx, &c.Pipelines[i])
		}
		if err != nil {
			// Restarting would only hide the sentence that says what to do.
			p.Health.Set(c.Pipelines[i].Name+"/source", err)
		}
	}
	p.Admin.Status("pipelines", a.group.Status)
	p.Started()
	err = watcher.Run(ctx)
	return errors.Join(err, a.group.Wait())
}

// limitMemory makes the garbage collector work harder rather than let the
// process grow, unless the operator has set GOMEMLIMIT.
func limitMemory(inFlight config.Size) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(int64(inFlight) + baseMemory)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// assembly is what the pipelines of one process share while they are made.
type assembly struct {
	config  *Config
	process *ops.Process
	watcher *kube.Watcher
	group   pipeline.Group
}

// start makes one pipeline and runs it until ctx is done.
func (a *assembly) start(ctx context.Context, c *PipelineConfig) error {
	log := a.process.Logger.With("pipeline", c.Name)
	ledger := pipeline.NewLedger(c.Name, tail.LabelNames...)
	batches := int(a.config.MemoryLimit) / len(a.config.Pipelines) / tail.BatchMemory
	registry := prometheus.WrapRegistererWith(prometheus.Labels{"pipeline": c.Name}, a.process.Registry)
	source, err := tail.New(tail.Options{
		Config:     c.Source.Containers.Tail,
		LogDir:     a.config.Kubernetes.LogDir,
		DataDir:    filepath.Join(a.config.DataDir, c.Name),
		Pool:       pipeline.NewPool(batches, 2*tail.BatchMemory).GrowSlowly(growWait),
		Ledger:     ledger,
		Logger:     log,
		Registerer: registry,

		Transactional: c.Output.Kafka != nil && c.Output.Kafka.Delivery == kafka.ExactlyOnce,
	})
	if err != nil {
		return err
	}
	selector, err := c.Source.Containers.Selection.Selector()
	if err != nil {
		return err
	}
	output, err := a.output(c, source, log)
	if err != nil {
		return err
	}
	a.watcher.Subscribe(selector, follow(source))
	a.watcher.Held(source.Held)
	a.process.Registry.MustRegister(ledger)
	line := pipeline.Pipeline{Source: source, Filters: filters.New(c.Filters, registry), Output: output, Drain: a.config.Drain}
	a.group.Go(ledger, func() error { return line.Run(ctx) })
	return nil
}

// output makes the output that the configuration names.
func (a *assembly) output(c *PipelineConfig, source *tail.Source, log *slog.Logger) (pipeline.Output, error) {
	condition := c.Name + "/output"
	a.process.Health.Expect(condition)
	report := func(err error) { a.process.Health.Set(condition, err) }
	switch {
	case c.Output.Kafka != nil:
		options := kafka.Options{Config: *c.Output.Kafka, Pipeline: c.Name, Logger: log,
			Registerer: a.process.Registry, Report: report}
		if err := a.transactional(&options, source); err != nil {
			return nil, err
		}
		return kafka.New(options)
	case c.Output.Stdout != nil:
		return stdout.New(os.Stdout, report), nil
	default:
		panic("BUG: output of no known kind")
	}
}

// follow tells the source which containers are selected.
func follow(source *tail.Source) func(*kube.Container, kube.Change) {
	return func(c *kube.Container, what kube.Change) {
		switch what {
		case kube.Selected:
			source.Follow(tail.Target{Key: c.Key(), PodUID: c.UID, Namespace: c.Namespace, Pod: c.Pod, Name: c.Name,
				Metadata: func(restart int) (*tail.Metadata, bool) {
					m, complete := c.Metadata(restart)
					return (*tail.Metadata)(m), complete
				}})
		case kube.Deselected:
			source.Unfollow(c.Key())
		case kube.Gone:
			source.Gone(c.Key())
		case kube.Updated:
			// The source asks for the metadata whenever it reads.
		}
	}
}
