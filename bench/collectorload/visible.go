package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/bench/process"
)

const (
	// settling is how long lines flow before those that count: the collector
	// joins its group and gets its partitions.
	settling = 10 * time.Second
	// patience is how long nothing may arrive.
	patience = time.Minute
	// keptLabels is label_keep_max_num, StarRocks' default.
	keptLabels = 1000
)

// visible measures how old lines are when their rows become visible.
func (b *bench) visible(ctx context.Context) error {
	const heading = "%-16s %10s %7s %7s %7s %8s %9s %7s %9s %7s %6s\n"
	fmt.Fprintf(os.Stdout, "%d lines/s from their time until the load's answer, which comes %v to %v after its last byte\n", b.rate, minPublish, maxPublish)
	fmt.Fprintf(os.Stdout, heading, "", "", "p50", "p99", "max", "loads", "rows", "labels", "CPU", "peak", "load")
	fmt.Fprintf(os.Stdout, heading, "", "partitions", "s", "s", "s", "per s", "per load", "kept s", "% of core", "RSS MiB", "avg")
	for _, v := range []struct{ name, load string }{{"defaults", ""}, {"tuned", b.tuned}} {
		for _, partitions := range []int{4, 48} {
			row, err := b.delay(ctx, partitions, v.load)
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stdout, "%-16s %10d %s %6.2f\n", v.name, partitions, row, process.LoadAverage())
		}
	}
	return nil
}

// delay measures one setting; row is what is to be said of it.
func (b *bench) delay(ctx context.Context, partitions int, load string) (row string, err error) {
	if b.topic, err = newTopic(partitions); err != nil {
		return "", err
	}
	g := newGauge()
	defer g.Close()
	c, err := b.startCollector(setting{load: load, url: g.URL})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	written, flowing, stop := atomic.Int64{}, make(chan error, 1), make(chan struct{})
	go func() { flowing <- b.flow(ctx, stop, &written) }()
	r := &result{}
	err = process.Pause(ctx, settling)
	if err == nil {
		r.from, err = process.UsageOf(c.PID())
	}
	if err == nil {
		err = process.Pause(ctx, b.duration)
	}
	if err == nil {
		r.to, err = process.UsageOf(c.PID())
	}
	close(stop)
	if err = errors.Join(err, <-flowing); err != nil {
		return "", err
	}
	for end := time.Now().Add(patience); int64(g.arrived()) < written.Load(); {
		if time.Now().After(end) {
			return "", fmt.Errorf("%d lines of %d are visible after %v", g.arrived(), written.Load(), patience)
		}
		if err := process.Pause(ctx, 100*time.Millisecond); err != nil {
			return "", err
		}
	}
	ages, loads := g.between(r.from.At, r.to.At)
	seconds := r.to.At.Sub(r.from.At).Seconds()
	percentile := func(part float64) float64 { return ages[int(part*float64(len(ages)-1))].Seconds() }
	return fmt.Sprintf("%7.2f %7.2f %7.2f %8.2f %9.0f %7.0f %9.1f %7.1f", percentile(0.5), percentile(0.99), percentile(1), float64(loads)/seconds,
		float64(len(ages))/float64(loads), keptLabels*seconds/float64(loads), 100*(r.to.CPU-r.from.CPU).Seconds()/seconds, mib(r.to.Peak)), nil
}

// flow writes lines at the rate until stop; each has the time at which it is
// handed to the client.
func (b *bench) flow(ctx context.Context, stop <-chan struct{}, written *atomic.Int64) error {
	client, err := b.topic.producer()
	if err != nil {
		return err
	}
	defer client.Close()
	m, began, n := newMaker(2), time.Now(), 0
	var failed atomic.Pointer[error]
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			if err := client.Flush(ctx); err != nil {
				return fmt.Errorf("write to Kafka: %w", err)
			}
			if err := failed.Load(); err != nil {
				return fmt.Errorf("write to Kafka: %w", *err)
			}
			return nil
		case now := <-tick.C:
			for due := int(now.Sub(began).Seconds() * float64(b.rate)); n < due; n++ {
				written.Add(1)
				client.Produce(ctx, &kgo.Record{Value: m.next(time.Now().UTC())}, func(_ *kgo.Record, err error) {
					if err != nil {
						failed.Store(&err)
					}
				})
			}
		}
	}
}
