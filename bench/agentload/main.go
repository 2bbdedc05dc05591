// Agentload measures what an agent costs on a node: memory and CPU of
// `millrace agent` as its own process, while pods write logs at a given rate.
//
//	go run ./bench/agentload -millrace bin/millrace
//
// Kafka is in this process (kfake, with TLS and SCRAM-SHA-512), and so are the
// API server and the writers: none of them is in what is measured. With
// KAFKA_CONTROL, BOOTSTRAP_SASL and KAFKA_CA in the environment it is a real
// Kafka, as for the tests of package e2e. The agent is scraped as Prometheus
// would do it.
//
// Memory is that of /proc/PID/status, in MiB: at the beginning and at the end
// of the measured time, and the peak (VmHWM). anon is heap, stacks and the
// runtime's own; file is pages of the program's file that were touched, which
// the kernel can take back. CPU is user and system time of /proc/PID/stat in
// percent of a core. Linux only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// scenario is one row of the table.
type scenario struct {
	name     string
	metadata string // of section kubernetes
	delivery string
	selected int // containers that a pipeline selects
	others   int // containers that none selects
	busy     int // of the selected ones
	// rate is the lines a second of all that write: those that are busy, and
	// the others.
	rate int
	// elsewhere are pods like the selected ones on other nodes.
	elsewhere int
	rotateAt  int64
}

// scenarios are what users have, by the figures that DESIGN.md promises.
func scenarios(delivery string) []scenario {
	return []scenario{
		{"load", "path", delivery, 100, 0, 100, 10_000, 0, rotateAt},
		{"load", "api", delivery, 100, 0, 100, 10_000, 0, rotateAt},
		{"quiet", "path", delivery, 300, 0, 0, 0, 0, rotateAt},
		{"quiet", "api", delivery, 300, 0, 0, 0, 0, rotateAt},
		{"large-node", "api", delivery, 2000, 0, 50, 1000, 0, rotateAt},
		{"large-cluster", "api", delivery, 250, 0, 50, 1000, 1750, rotateAt},
		// Ten selected containers, without others and with a thousand, each of
		// which is rotated two or three times a minute.
		{"alone", "api", delivery, 10, 0, 0, 0, 0, rotateAt},
		{"unselected", "api", delivery, 10, 1000, 0, 10_000, 0, 64 << 10},
		{"unselected", "path", delivery, 10, 1000, 0, 10_000, 0, 64 << 10},
	}
}

// options are the command line.
type options struct {
	program  string
	duration time.Duration
	warm     time.Duration
	scrape   time.Duration
	only     *regexp.Regexp
	delivery string
	profiles string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse()
	if err == nil {
		err = measureAll(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "agentload:", err)
		os.Exit(1)
	}
}

func parse() (o *options, err error) {
	o = &options{}
	only := flag.String("only", "", "measure the scenarios whose NAME-METADATA matches this `regexp`")
	flag.StringVar(&o.program, "millrace", "bin/millrace", "the program `file`")
	flag.DurationVar(&o.duration, "for", time.Minute, "how long each scenario is measured")
	flag.DurationVar(&o.warm, "warm", 20*time.Second, "how long it runs before that")
	flag.DurationVar(&o.scrape, "scrape", 15*time.Second, "how often /metrics is read; 0 for never")
	flag.StringVar(&o.delivery, "delivery", "exactly_once", "delivery of the output")
	flag.StringVar(&o.profiles, "profiles", "", "`folder` for profiles of heap and CPU, taken at the end")
	flag.Parse()
	if o.only, err = regexp.Compile(*only); err != nil {
		return nil, fmt.Errorf("read -only: %w", err)
	}
	return o, nil
}

func measureAll(ctx context.Context, o *options) error {
	fmt.Fprintf(os.Stdout, "%-17s %6s %6s  %6s %6s %6s %6s %6s  %6s %6s  %6s %5s %6s %9s\n", "", "lines/s", "behind",
		"MiB", "end", "peak", "anon", "file", "user%", "sys%", "heap", "GC/s", "files", "threads")
	for _, s := range scenarios(o.delivery) {
		if !o.only.MatchString(s.name + "-" + s.metadata) {
			continue
		}
		r, err := measure(ctx, o, &s)
		if err != nil {
			return fmt.Errorf("%s-%s: %w", s.name, s.metadata, err)
		}
		fmt.Fprintln(os.Stdout, r)
	}
	return nil
}

// result is what one scenario measured.
type result struct {
	scenario  *scenario
	from, to  sample
	delivered float64 // lines a second
	behind    int64   // lines written and not delivered at the end
}

// String is the result as a row of the table.
func (r *result) String() string {
	seconds := r.to.at.Sub(r.from.at).Seconds()
	percent := func(ticks int64) float64 { return 100 * float64(ticks) / ticksPerSecond / seconds }
	return fmt.Sprintf("%-17s %7.0f %6d  %6.1f %6.1f %6.1f %6.1f %6.1f  %6.2f %6.2f  %6.1f %5.2f %6d %9d",
		r.scenario.name+"-"+r.scenario.metadata, r.delivered, r.behind, mib(r.from.rss), mib(r.to.rss), mib(r.to.peak),
		mib(r.to.anon), mib(r.to.file), percent(r.to.user-r.from.user), percent(r.to.system-r.from.system),
		r.to.gauges["go_memstats_heap_inuse_bytes"]/(1<<20),
		(r.to.gauges["go_gc_duration_seconds_count"]-r.from.gauges["go_gc_duration_seconds_count"])/seconds, r.to.files, r.to.threads)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// measure runs an agent in a world of its own.
func measure(ctx context.Context, o *options, s *scenario) (r *result, err error) {
	w, err := newWorld(s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	agent, err := startAgent(o.program, w)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, agent.Stop()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	writing := make(chan error, 1)
	go func() { writing <- w.write(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-writing)
	}()
	r = &result{scenario: s}
	if err = agent.wait(ctx, o.warm, o.scrape); err != nil {
		return nil, err
	}
	if r.from, err = agent.sample(ctx); err != nil {
		return nil, err
	}
	if err = agent.wait(ctx, o.duration, o.scrape); err != nil {
		return nil, err
	}
	written := w.written.Load() // before the sample: what comes meanwhile is not behind
	if r.to, err = agent.sample(ctx); err != nil {
		return nil, err
	}
	r.delivered = float64(r.to.delivered-r.from.delivered) / r.to.at.Sub(r.from.at).Seconds()
	r.behind = max(0, written-r.to.delivered)
	if o.profiles != "" {
		err = agent.profile(ctx, o.profiles, s.name+"-"+s.metadata)
	}
	return r, err
}
