package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"millrace/bench/process"
)

// result is what a loader used for the records after the warm ones.
type result struct {
	name        string
	rows, loads int64
	bytes       int64 // of the loads' bodies
	from, to    process.Usage
	load        float64 // average of the machine
}

func (r *result) perRow() float64 { return float64(r.to.CPU-r.from.CPU) / float64(r.rows) }

func (r *result) String() string {
	return fmt.Sprintf("%-22s %9.0f %8.0f %9d %7d %7.0f %8.1f %7.1f %6.2f", r.name, 1e9/r.perRow(), r.perRow(), r.rows, r.loads,
		float64(r.bytes)/float64(r.rows), mib(r.to.Peak), r.to.At.Sub(r.from.At).Seconds(), r.load)
}

const heading = "%-22s %9s %8s %9s %7s %7s %8s %7s %6s\n"

func printHeading() {
	fmt.Fprintf(os.Stdout, heading, "", "rows/s", "CPU ns", "", "", "bytes", "peak", "", "load")
	fmt.Fprintf(os.Stdout, heading, "", "per core", "per row", "rows", "loads", "per row", "RSS MiB", "seconds", "avg")
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// bench is what all measurements share.
type bench struct {
	*options
	dir   string
	topic *topic
	end   *standin
}

// watch waits until a process has brought all records to the stand-in and says
// what those after the warm ones took. begun is what the stand-in had before.
func (b *bench) watch(ctx context.Context, pid int, begun counted, name string) (r *result, err error) {
	r = &result{name: name}
	var first, last counted
	moved := time.Now()
	for ctx.Err() == nil {
		now, err := b.end.counted()
		if err != nil {
			return nil, err
		}
		if now != last {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > patience {
			return nil, fmt.Errorf("%s: no load for %v, %d rows are there", name, patience, now.Rows-begun.Rows)
		}
		if first.Rows == 0 && now.Rows-begun.Rows >= int64(b.warm) {
			first = now
			if r.from, err = process.UsageOf(pid); err != nil {
				return nil, err
			}
		}
		if now.Rows-begun.Rows >= int64(b.warm+b.records) {
			r.to, err = process.UsageOf(pid)
			r.rows, r.loads, r.bytes = now.Rows-first.Rows, now.Loads-first.Loads, now.Bytes-first.Bytes
			r.load = process.LoadAverage()
			return r, err
		}
		if err := process.Pause(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return nil, context.Cause(ctx)
}

// official measures one of StarRocks' own clients.
func (b *bench) official(ctx context.Context, folder, name string) (r *result, err error) {
	begun, err := b.end.counted()
	if err != nil {
		return nil, err
	}
	o, err := startOfficial(b.topic, b.end, folder, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.stop()) }()
	return b.watch(ctx, o.pid, begun, name)
}

// millrace measures a collector.
func (b *bench) millrace(ctx context.Context, name string, set setting) (r *result, err error) {
	begun, err := b.end.counted()
	if err != nil {
		return nil, err
	}
	c, err := b.startCollector(set)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	if b.profiles != "" {
		done := make(chan error, 1)
		go func() { done <- b.profile(ctx, c, name) }()
		defer func() { err = errors.Join(err, <-done) }()
	}
	return b.watch(ctx, c.PID(), begun, name)
}

// profile keeps a profile of what is measured, nearly.
func (b *bench) profile(ctx context.Context, c *collector, name string) error {
	if err := process.Pause(ctx, time.Second); err != nil {
		return err
	}
	return c.profile(filepath.Join(b.profiles, name+".cpu"), 3)
}

// full is a load section that does not wait.
const full = "max_per_second: 1000"

// compare measures collectors and StarRocks' own clients, one after another.
func (b *bench) compare(ctx context.Context) error {
	printHeading()
	var ours []*result
	for _, memory := range []string{"512MiB", "256MiB"} {
		r, err := b.median(ctx, "millrace-"+memory, setting{memory: memory, load: full})
		if err != nil {
			return err
		}
		ours = append(ours, r)
	}
	if !b.peers {
		return nil
	}
	for _, o := range []struct{ name, folder string }{{"sdk", ""}, {"connector", os.Getenv("KTB_CONNECTOR")}} {
		if o.name == "connector" && o.folder == "" {
			fmt.Fprintln(os.Stdout, "connector: left out, KTB_CONNECTOR names no folder with its jar")
			continue
		}
		r, err := b.official(ctx, o.folder, o.name)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, r)
		for _, our := range ours {
			fmt.Fprintf(os.Stdout, "%s takes %.1f times the CPU of %s for a row, and %.1f times its memory\n", r.name, r.perRow()/our.perRow(), our.name,
				float64(r.to.Peak)/float64(our.to.Peak))
		}
	}
	return nil
}

// median measures a collector some times and returns the median by CPU.
func (b *bench) median(ctx context.Context, name string, set setting) (*result, error) {
	var all []*result
	for range b.rounds {
		r, err := b.millrace(ctx, name, set)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(os.Stdout, r)
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y *result) int { return cmp.Compare(x.perRow(), y.perRow()) })
	return all[len(all)/2], nil
}

// shapes measures a collector with each compression.
func (b *bench) shapes(ctx context.Context) error {
	printHeading()
	for _, codec := range []string{"none", "lz4", "zstd", "gzip"} {
		if _, err := b.median(ctx, codec, setting{load: full, compression: codec}); err != nil {
			return err
		}
	}
	return nil
}
