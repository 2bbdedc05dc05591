package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"millrace/bench/process"
	"millrace/demo/kubelet"
)

// segmentBytes is that of the positions topic, as the agent makes it.
const segmentBytes = 8 << 20

// settings are those with which the agent makes the positions topic, in a time
// that runs faster.
func settings(speed float64) map[string]string {
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d.Milliseconds())/speed, 'f', 0, 64) }
	return map[string]string{
		"cleanup.policy":            "compact",
		"segment.bytes":             strconv.Itoa(segmentBytes),
		"min.cleanable.dirty.ratio": "0.1",
		"max.compaction.lag.ms":     ms(time.Hour),
		"delete.retention.ms":       ms(10 * time.Minute),
	}
}

// samples is how often during the slices disk and start are looked at.
const samples = 12

func measurePositions(ctx context.Context, o *options) (err error) {
	c, err := openCluster()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	dir, err := os.MkdirTemp("", "millrace-positions-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := c.create(ctx, c.topic, 8, map[string]string{"retention.ms": "60000", "segment.bytes": "67108864"}); err != nil {
		return err
	}
	if err := c.create(ctx, c.positions, o.partitions, settings(o.speed)); err != nil {
		return err
	}
	if err := c.allow(ctx); err != nil {
		return err
	}
	n, err := newNode(c, o, dir, "worker-000")
	if err != nil {
		return err
	}
	defer n.kill()
	if err := rotate(n); err != nil {
		return err
	}
	empty, err := firstLife(ctx, o, n)
	if err != nil {
		return err
	}
	r, err := newReplay(ctx, c, o, n)
	if err != nil {
		return err
	}
	if err := r.measure(ctx); err != nil {
		return err
	}
	full, err := life(ctx, o, n)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "start of a real agent until ready: first, empty topic %.2f s, read %.2f MiB; on this topic %.2f s, read %.2f MiB (files and TLS included)\n",
		empty.took.Seconds(), mib(empty.read), full.took.Seconds(), mib(full.read))
	return n.stop()
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// rotate writes logs that have been rotated the more often, the busier their
// container is, up to the four files that kubelet keeps.
func rotate(n *node) error {
	for i, container := range n.containers {
		at := time.Now().Add(-time.Hour)
		for range min(4, 100/(i+1)) {
			if err := container.Write(kubelet.Line{At: at, Stream: "stdout", Text: text(0, at)}); err != nil {
				return err
			}
			at = at.Add(time.Minute)
			if err := container.Rotate(at); err != nil {
				return err
			}
		}
		if err := container.Write(kubelet.Line{At: at, Stream: "stdout", Text: text(0, at)}); err != nil {
			return err
		}
	}
	return nil
}

// begun is what a start took.
type begun struct {
	took time.Duration
	read int64
}

// life starts the agent and waits until it is ready.
func life(ctx context.Context, o *options, n *node) (b begun, err error) {
	at := time.Now()
	if err := n.start(o.program); err != nil {
		return b, err
	}
	if err := n.awaitReady(ctx); err != nil {
		return b, err
	}
	b.took = time.Since(at)
	b.read, err = n.bytesRead()
	return b, err
}

// firstLife has the agent write the positions of all its containers.
func firstLife(ctx context.Context, o *options, n *node) (begun, error) {
	b, err := life(ctx, o, n)
	if err != nil {
		return b, err
	}
	if err := process.Pause(ctx, 15*time.Second); err != nil { // all files are read by then
		return b, err
	}
	return b, n.stop()
}

// measure writes the slices and looks at what comes of them.
func (r *replay) measure(ctx context.Context) error {
	fmt.Fprintf(os.Stdout, "%d nodes, %d containers each, %d of them in a slice, %d slices, %d partitions, %g times as fast\n",
		r.nodes, r.containers, r.moving, r.slices, r.partitions, r.speed)
	cpu, err := brokerCPU()
	if err != nil {
		return err
	}
	states, err := r.sizes(ctx, "__transaction_state")
	if err != nil {
		return err
	}
	begin := time.Now()
	written := make(chan error, 1)
	writing, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { written <- r.write(writing) }()
	err = r.sample(ctx)
	if err != nil {
		cancel()
	}
	if err = errors.Join(err, <-written); err != nil {
		return err
	}
	took := time.Since(begin)
	used, err := brokerCPU()
	if err != nil {
		return err
	}
	now, err := r.sizes(ctx, "__transaction_state")
	if err != nil {
		return err
	}
	count := float64(r.transactions.Load())
	fmt.Fprintf(os.Stdout, "%.0f transactions in %.0f s (%.0f/s); brokers' CPU %.2f ms each; commit p50 %.1f ms, p99 %.1f ms\n", count, took.Seconds(),
		count/took.Seconds(), (used-cpu).Seconds()*1000/count, r.commit(0.5), r.commit(0.99))
	fmt.Fprintf(os.Stdout, "a transaction's positions: %.1f records, %.0f bytes, compressed %.0f; transaction state: %.0f bytes\n",
		float64(r.records.Load())/count, float64(r.plain.Load())/count, float64(r.wire.Load())/count, float64(sum(now)-sum(states))/count)
	fmt.Fprintf(os.Stdout, "on disk a transaction took %.0f bytes of the positions topic before anything was cleaned: %.1f MiB for all\n",
		r.appended, mib(int64(r.appended*count)))
	// What is dirty is cleaned within a few of the cleaner's rounds.
	if err := process.Pause(ctx, 15*time.Second); err != nil {
		return err
	}
	return r.look(ctx, "15 s later")
}

// sample looks at disk and start, again and again.
func (r *replay) sample(ctx context.Context) error {
	fmt.Fprintf(os.Stdout, "%-12s %10s %10s | %s\n", "slice", "disk MiB", "partition", "one start: MiB read, records, markers, seconds")
	whole := time.Duration(float64(r.slices) / r.speed * float64(time.Second))
	if err := r.weigh(ctx); err != nil {
		return err
	}
	for i := range samples {
		due := time.Until(r.begun.Add(whole * time.Duration(i+1) / samples))
		if due < 0 {
			continue
		}
		if err := process.Pause(ctx, due); err != nil {
			return err
		}
		if err := r.look(ctx, fmt.Sprint(r.transactions.Load()/int64(r.nodes))); err != nil {
			return err
		}
	}
	return nil
}

// weigh notes what a transaction takes on disk, before the first segment is
// full and anything could be cleaned.
func (r *replay) weigh(ctx context.Context) error {
	return until(ctx, time.Hour, func() (bool, error) {
		if err := process.Pause(ctx, 500*time.Millisecond); err != nil {
			return false, err
		}
		sizes, err := r.sizes(ctx, r.positions)
		if err != nil {
			return false, err
		}
		count := r.transactions.Load()
		largest := int64(0)
		for _, size := range sizes {
			largest = max(largest, size)
		}
		if largest > segmentBytes*3/4 || count >= int64(r.nodes*r.slices/2) {
			return true, nil
		}
		if count > 0 {
			r.appended = float64(sum(sizes)-r.before) / float64(count)
		}
		return false, nil
	})
}

// look writes a row.
func (r *replay) look(ctx context.Context, name string) error {
	sizes, err := r.sizes(ctx, r.positions)
	if err != nil {
		return err
	}
	got, err := r.read(ctx, 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%-12s %10.1f %10.2f | %8.2f %9d %9d %6.2f\n", name, mib(sum(sizes)), mib(sizes[0]),
		mib(got.bytes), len(got.records), got.markers, got.took.Seconds())
	return nil
}

// commit is a percentile of how long commits took, in milliseconds.
func (r *replay) commit(part float64) float64 {
	slices.Sort(r.commits)
	return r.commits[int(part*float64(len(r.commits)-1))].Seconds() * 1000
}
