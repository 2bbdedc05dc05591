// Command demo runs the whole of Millrace on one machine with nothing to
// install but Go: a Kubernetes node with gateways that write log files, a
// Kafka broker, a stand-in for StarRocks, and the agent and the collector as
// processes between them, with a page that shows how the lines flow.
//
// With -check it writes a bounded number of lines, restarts both ends in the
// middle, compares the table with what was written and ends: with exit code 0
// only if no line is lost and none is repeated. -fault, -label-keep and -outage
// make StarRocks misbehave meanwhile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"millrace/demo/audit"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run is main with an exit code: 0, 1 for what went wrong or was lost, 2 for
// wrong usage.
func run(args []string) int {
	opts, err := parseOptions(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	dir, remove, err := opts.workFolder()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	defer remove()
	if err := serve(ctx, opts, dir); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

// serve runs one demo from start to end.
func serve(ctx context.Context, opts *options, dir string) error {
	program := opts.millrace
	if program == "" {
		fmt.Println("building millrace ...")
		var err error
		if program, err = build(ctx, dir); err != nil {
			return err
		}
	}
	d := &demo{opts: opts, dir: dir, program: program}
	if opts.check {
		return serveCheck(ctx, d)
	}
	if err := d.start(ctx, nil); err != nil {
		return err
	}
	return errors.Join(d.show(ctx), d.close())
}

func serveCheck(ctx context.Context, d *demo) error {
	book := audit.NewBook()
	if err := d.start(ctx, book); err != nil {
		return err
	}
	c := &check{demo: d, out: os.Stdout, book: book}
	r, err := c.run(ctx)
	if err = errors.Join(err, d.close()); r == nil {
		return err
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	fmt.Println(r)
	if !r.ok() {
		return errors.New("not every line arrived exactly once")
	}
	return err
}
