// Transactions measures what delivery exactly_once costs a Kafka and its
// readers. It needs a real one, as the tests of package chaos do:
//
//	BOOTSTRAP_SASL    addresses with TLS, SCRAM-SHA-512 and ACLs
//	KAFKA_CA          the CA of their certificates
//	KAFKA_ADMIN_USER, KAFKA_ADMIN_PASSWORD    who creates topics and rights
//	KAFKA_AGENT_USER, KAFKA_AGENT_PASSWORD    the agents
//	KAFKA_PIDS        the brokers' processes, where their CPU is to be measured
//
// Linux only. Its two measurements are
//
//	go run ./bench/transactions -millrace bin/millrace neighbours
//	go run ./bench/transactions -millrace bin/millrace positions
//
// Neighbours: agents as processes, each the only one of its node, write to one
// topic; a read_committed reader notes for each line how long after it was
// written it could be read. Then one agent is stopped (SIGSTOP) with a
// transaction open and goes on later, a second is killed for good, a third is
// killed and started again at once. While the transaction is open, the lines of
// the other agents are told apart by whether it holds their partition.
//
// Positions: what the positions topic takes on disk and what one start reads
// of it. A real agent with rotated and other logs writes the positions of its
// containers; clients of the same settings then write as many nodes'
// transactions, one a slice, made of those records with their own names and
// offsets, and one record of data. Which containers move in a slice is drawn by
// Zipf's law. With -speed, time runs faster: slices come sooner, and the
// topic's delete.retention.ms and max.compaction.lag.ms are as much shorter;
// the brokers' log.cleaner.backoff.ms, 15 s by default, should be too. Nodes
// share a partition with a few others only, and partitions do not influence
// each other: a part of them with their nodes shows what all take. At the end
// the real agent is started again, on the full topic.
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
)

// options are the command line.
type options struct {
	program    string
	nodes      int
	containers int // of a node
	partitions int // of the topic of lines, or of that of positions
	key        string
	interval   time.Duration
	timeout    time.Duration
	rate       float64 // lines a second and container
	healthy    time.Duration
	seconds    string

	moving int // containers in a slice
	slices int
	speed  float64
}

// defaults differ between the measurements.
type defaults struct{ nodes, containers, partitions int }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "transactions:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := &options{}
	flag.StringVar(&o.program, "millrace", "bin/millrace", "the program `file`")
	flag.IntVar(&o.nodes, "nodes", 0, "nodes (default 20)")
	flag.IntVar(&o.containers, "containers", 0, "containers of a node (default 6, positions: 250)")
	flag.IntVar(&o.partitions, "partitions", 0, "partitions of the topic of lines (default 8), positions: of the positions topic (default 5)")
	flag.StringVar(&o.key, "key", "none", "of the agents, for neighbours")
	flag.DurationVar(&o.interval, "interval", time.Second, "of the agents' transactions, for neighbours")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Second, "of the transactions")
	flag.Float64Var(&o.rate, "rate", 1, "lines a second and container, for neighbours")
	flag.DurationVar(&o.healthy, "healthy", 20*time.Second, "how long all agents are well, for neighbours")
	flag.StringVar(&o.seconds, "seconds", "", "`file` for a table by second, for neighbours")
	flag.IntVar(&o.moving, "moving", 20, "containers that a slice moves, for positions")
	flag.IntVar(&o.slices, "slices", 3600, "slices of each node, one a second, for positions")
	flag.Float64Var(&o.speed, "speed", 10, "how much faster than real time runs, for positions")
	flag.Parse()
	switch what := flag.Arg(0); {
	case flag.NArg() != 1:
		return errors.New("say what to measure: neighbours or positions")
	case what == "neighbours":
		o.complete(defaults{20, 6, 8})
		return measureNeighbours(ctx, o)
	case what == "positions":
		o.complete(defaults{20, 250, 5})
		return measurePositions(ctx, o)
	default:
		return fmt.Errorf("there is no measurement %q: neighbours or positions", what)
	}
}

// complete sets what the command line did not.
func (o *options) complete(d defaults) {
	if o.nodes == 0 {
		o.nodes = d.nodes
	}
	if o.containers == 0 {
		o.containers = d.containers
	}
	if o.partitions == 0 {
		o.partitions = d.partitions
	}
}
