// Collectorload measures what a row costs on its way from Kafka to a load
// request: `millrace collector` as its own process, beside StarRocks' own Kafka
// connector and its Stream Load SDK, from the same topic to the same endpoint.
//
//	go run ./bench/collectorload -millrace bin/millrace -standin bin/starrocks compare
//
// It needs a real Kafka, named by the environment as for the tests of package
// e2e: KAFKA_CONTROL is a command that creates topics and rights and runs Kafka
// Connect (connect-up, connect-down), KTB_DIR its folder, BOOTSTRAP_PLAIN,
// BOOTSTRAP_SASL and KAFKA_CA the brokers. KTB_CONNECTOR is the folder of the
// connector's jar; without it only the SDK is compared. The endpoint is the
// stand-in (demo/starrocks) as a process of its own that counts rows and drops
// them, with the recommended table.
//
//	compare   rows/s per core and memory of collector, connector and SDK
//	shapes    the collector with each compression of its loads
//	visible   time until a line is visible at a steady rate
//
// CPU is user and system time of /proc/PID/stat of that process alone, for the
// records after the first -warm ones: start-up and warming up of a virtual
// machine are not counted. Memory is VmHWM, the peak. The load average of the
// last minute stands beside them: CPU time, too, grows when others use the
// cores' caches. Linux only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	tables "millrace/manifests/starrocks"
)

// options are the command line.
type options struct {
	program, standin string
	records, warm    int
	rounds           int
	peers            bool
	profiles         string
	rate             int
	tuned            string
	duration         time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := measure(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "collectorload:", err)
		os.Exit(1)
	}
}

func parse() (o *options, what string, err error) {
	o = &options{}
	flag.StringVar(&o.program, "millrace", "bin/millrace", "the program `file`")
	flag.StringVar(&o.standin, "standin", "bin/starrocks", "the stand-in's program `file`")
	flag.IntVar(&o.records, "records", 1_000_000, "how many records are measured")
	flag.IntVar(&o.warm, "warm", 1_000_000, "how many come before them")
	flag.IntVar(&o.rounds, "rounds", 3, "how often the collector is measured; its median is what counts")
	flag.BoolVar(&o.peers, "peers", true, "measure the official clients, too")
	flag.StringVar(&o.profiles, "profiles", "", "`folder` for CPU profiles of the collector; taking them costs CPU")
	flag.IntVar(&o.rate, "rate", 10_000, "visible: lines a second")
	flag.StringVar(&o.tuned, "tuned", "max_age: 500ms, max_per_second: 8", "visible: `settings` of section load, beside the defaults")
	flag.DurationVar(&o.duration, "for", time.Minute, "visible: how long each setting is measured")
	flag.Parse()
	if flag.NArg() != 1 {
		return nil, "", errors.New("say what to measure: compare, shapes or visible")
	}
	return o, flag.Arg(0), nil
}

func measure(ctx context.Context) (err error) {
	o, what, err := parse()
	if err != nil {
		return err
	}
	b := &bench{options: o}
	if b.dir, err = os.MkdirTemp("", "millrace-collectorload-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(b.dir)
	if b.end, err = startStandin(o.standin, b.dir, tables.Recommended); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.end.Stop()) }()
	if what == "visible" {
		return b.visible(ctx)
	}
	if b.topic, err = newTopic(4); err != nil {
		return err
	}
	bytes, err := b.topic.fill(ctx, o.warm+o.records)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%d records of %d bytes on %s\n", o.warm+o.records, bytes/int64(o.warm+o.records), b.topic.name)
	switch what {
	case "compare":
		return b.compare(ctx)
	case "shapes":
		return b.shapes(ctx)
	}
	return fmt.Errorf("measure %q: there is compare, shapes and visible", what)
}
