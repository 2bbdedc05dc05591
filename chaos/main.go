// Command chaos shows that no crash, rotation or failure of brokers or of
// StarRocks loses, repeats or reorders a line on its way from a container's log
// file to Kafka and to a table.
//
// One process writes numbered lines as kubelet and the container runtime
// would; the agent and the collectors run as processes that are killed with
// kill -9 and started again, over and over, and so are brokers and the StarRocks
// stand-in, which besides loses answers and forgets labels. A reader compares
// the topic, as read_committed readers see it, with the writers' book, and at
// the end a MySQL client the table with both. A kill of the agent or a broker
// counts only if there were lines that had been written and could not be read
// yet; one of a collector or the stand-in only if records were not visible yet
// in the table, or a load was planned or running.
//
// What is compared of the ledgers: at every kill and at the end, each account
// of the running process balances; the processes that were not killed, at the
// end of a run, read, filtered and delivered exactly what was written while
// they ran, per container or partition and together; what killed processes
// claimed to have delivered is on the topic or in the table; and over the whole
// run the lines there are those written, less those that the filter drops.
//
// The windows in which a collector was killed are told by the plan that stands
// beside the group's offsets, and by what the stand-in knows of its label.
//
// With -away beyond what -files keep, lines have to be lost. The agent cannot
// know how many files came and went while it was dead, let alone what was in
// them: compared is the number of gaps, and the bytes that it does know to be
// lost have to be among those that are.
//
// Kafka is kfake, in a process of its own, unless the environment names a real
// one. With a table kfake is not killed: a real broker ends the transactions that
// were open with a marker when it comes back, and kfake without one, so that
// readers may throw away what was committed behind them.
//
//	KAFKA_CONTROL     a command that kills and starts brokers: kill N, start N
//	BOOTSTRAP_SASL    addresses with TLS, SCRAM-SHA-512 and ACLs
//	KAFKA_CA          the CA of their certificates
//	KAFKA_ADMIN_USER, KAFKA_ADMIN_PASSWORD            who creates topics and rights
//	KAFKA_AGENT_USER, KAFKA_AGENT_PASSWORD            the agent
//	KAFKA_COLLECTOR_USER, KAFKA_COLLECTOR_PASSWORD    the collectors
//
// With -break it shows that it finds what it looks for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"millrace/chaos/generator"
)

// The children, which are this program too.
const (
	generateChild = "generate"
	brokerChild   = "broker"
)

func main() {
	if child, code := runChild(os.Args[1:]); child {
		os.Exit(code)
	}
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// runChild runs the part of a child, if the arguments say so.
func runChild(args []string) (child bool, code int) {
	if len(args) != 2 || args[0] != generateChild && args[0] != brokerChild {
		return false, 0
	}
	// Ctrl-C is for the parent, which ends its children in order.
	signal.Ignore(os.Interrupt)
	var err error
	if args[0] == generateChild {
		var cfg generator.Config
		if err = json.Unmarshal([]byte(args[1]), &cfg); err == nil {
			err = generator.Run(cfg, os.Stdin, os.Stdout)
		}
	} else {
		err = serveBroker(args[1], os.Stdin)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos %s: %v\n", args[0], err)
		return true, 1
	}
	return true, 0
}

// command is main with an exit code: 0 if all is as it should be, 1 if not, 2 for
// wrong usage.
func command(args []string, out, errs io.Writer) int {
	opts, err := parseOptions(args, errs)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if opts.sum != "" {
		err = sumUp(opts.sum, out)
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
		err = runOnce(ctx, opts, out)
	}
	if err != nil {
		fmt.Fprintln(errs, "chaos:", err)
		return 1
	}
	return 0
}
