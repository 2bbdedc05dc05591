package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"millrace/chaos/check"
)

// options are the flags.
type options struct {
	seed  uint64
	part  uint64
	dir   string
	log   string
	sum   string
	quiet bool

	agentKills, brokerKills        int
	collectorKills, starrocksKills int
	cycle                          time.Duration
	away                           int
	trust                          bool

	rate       float64
	containers int
	rotate     time.Duration
	files      int
	churn      bool
	lines      int64
	duration   time.Duration
	settle     time.Duration

	brokers     int
	partitions  int
	delivery    string
	compression string
	key         string
	interval    time.Duration

	table      bool
	collectors int
	static     bool
	rebalance  bool
	maxAge     time.Duration
	perSecond  float64
	faults     bool
	labels     int

	programs
	fault check.Fault
}

// errUsage means that the flags were wrong and flag has said so.
var errUsage = errors.New("wrong usage")

// parseOptions reads the command line; usage goes to errs.
func parseOptions(args []string, errs io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(errs)
	f.Uint64Var(&o.seed, "seed", 0, "of lines, rotations, restarts and kills (default: drawn, and printed)")
	f.Uint64Var(&o.part, "part", 0, "number of the run, when a long run is the sum of several with one seed")
	f.StringVar(&o.dir, "dir", "", "work folder, empty or new, kept at the end (default: a temporary one, kept only if something is wrong)")
	f.StringVar(&o.log, "log", "", "file to which the run's summary is appended")
	f.StringVar(&o.sum, "sum", "", "run nothing: add up the summaries in this file")
	f.BoolVar(&o.quiet, "quiet", false, "print no line for each kill")

	f.IntVar(&o.agentKills, "agent-kills", 5, "how often the agent is killed while there are lines that cannot be read yet")
	f.IntVar(&o.brokerKills, "broker-kills", 1, "how often a broker is killed while there are lines that cannot be read yet")
	f.IntVar(&o.collectorKills, "collector-kills", 5, "how often a collector is killed while there are rows that are not visible yet")
	f.IntVar(&o.starrocksKills, "starrocks-kills", 1, "how often the StarRocks stand-in is killed while there are rows that are not visible yet")
	f.DurationVar(&o.cycle, "cycle", time.Second, "longest time from the agent's or a collector's having taken up its work to the next kill")
	f.IntVar(&o.away, "away", 3, "rotations of a container while the agent is dead: at most so many up to -files less 2; beyond, the agent stays dead for exactly so many, and there must be as many gaps in what arrived as it counts")
	f.BoolVar(&o.trust, "trust", true, "delete rotated files that are not delivered, if the agent is not dead: it has to hold them")

	f.Float64Var(&o.rate, "rate", 4000, "lines a second")
	f.IntVar(&o.containers, "containers", 20, "containers at a time")
	f.DurationVar(&o.rotate, "rotate", time.Second, "longest time between two rotations of a container")
	f.IntVar(&o.files, "files", 5, "files kept of each container, the current one included")
	f.BoolVar(&o.churn, "churn", true, "restart containers and delete pods")
	f.Int64Var(&o.lines, "lines", 0, "write at least so many lines")
	f.DurationVar(&o.duration, "duration", 0, "write for at least so long")
	f.DurationVar(&o.settle, "settle", 2*time.Second, "how long each of the two processes runs whose ledgers are compared at the end; 0: none")

	f.IntVar(&o.brokers, "brokers", 0, "brokers that there have to be (default: those of the environment's Kafka; kfake is one)")
	f.IntVar(&o.partitions, "partitions", 4, "partitions of the topic")
	f.StringVar(&o.delivery, "delivery", "exactly_once", "of the agent: exactly_once or at_least_once, with which repeated and reordered lines are no fault")
	f.StringVar(&o.compression, "compression", "zstd", "of the agent: zstd, lz4, snappy, gzip or none")
	f.StringVar(&o.key, "key", "none", "of the agent: none, pod or container")
	f.DurationVar(&o.interval, "interval", 300*time.Millisecond, "of the agent's transactions")
	f.BoolVar(&o.table, "table", true, "bring the lines into a table, too, and compare that with the book and the topic")
	f.IntVar(&o.collectors, "collectors", 2, "members of the collector's group")
	f.BoolVar(&o.static, "static", true, "members have an instance_id, as in the manifests; without it the group misses a killed one only after its session timeout of 45 s")
	f.BoolVar(&o.rebalance, "rebalance", false, "constantly start and stop a further member of the group, which has no instance_id")
	f.DurationVar(&o.maxAge, "max-age", 300*time.Millisecond, "load.max_age of the collectors")
	f.Float64Var(&o.perSecond, "max-per-second", 8, "load.max_per_second of each collector")
	f.BoolVar(&o.faults, "faults", true, "have StarRocks and the network before it lose answers, refuse, hang and so on")
	f.IntVar(&o.labels, "labels", 30, "labels that StarRocks remembers (label_keep_max_num; its default is 1000)")

	f.StringVar(&o.starrocks, "starrocks", "", "the StarRocks stand-in to run (default: built from this module's demo/starrocks)")
	f.StringVar(&o.millrace, "millrace", "", "the millrace program to run (default: built from this module)")
	f.StringVar((*string)(&o.fault), "break", "", fmt.Sprintf("plant a fault, kill nothing, and see that it is found: one of %q", check.Faults))
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if err := o.complete(); err != nil || f.NArg() > 0 {
		fmt.Fprintln(errs, "chaos: no arguments;", err)
		f.Usage()
		return nil, errUsage
	}
	return o, nil
}

// complete sets what follows from other flags.
func (o *options) complete() error {
	if o.containers < 1 || o.rate <= 0 || o.rotate < 100*time.Millisecond || o.files < 2 || o.brokers < 0 || o.partitions < 1 || o.agentKills < 0 || o.brokerKills < 0 ||
		o.collectorKills < 0 || o.starrocksKills < 0 || o.collectors < 1 || o.labels < 1 {
		return errors.New("a number is below its least value: -rotate 100ms, -files 2, others 0 or 1")
	}
	if o.fault != check.NoFault {
		if !slices.Contains(check.Faults, o.fault) {
			return fmt.Errorf("-break is one of %q", check.Faults)
		}
		if o.fault.OfTable() && !o.table {
			return fmt.Errorf("-break %s needs -table", o.fault)
		}
		o.agentKills, o.brokerKills, o.collectorKills, o.starrocksKills = 0, 0, 0, 0
	}
	if !o.table {
		o.collectorKills, o.starrocksKills, o.rebalance = 0, 0, false
	}
	if o.seed == 0 {
		o.seed = 1 + rand.Uint64N(1_000_000)
	}
	return nil
}

// random is the number of which everything in this part is drawn.
func (o *options) random() uint64 { return o.seed + o.part<<32 }

// missing says that more files are deleted unread than the agent can know of.
func (o *options) missing() bool { return o.away > o.files-2 }

// exact says that no line may arrive twice.
func (o *options) exact() bool { return o.delivery == "exactly_once" }
