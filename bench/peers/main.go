// Peers measures what it costs a node to bring container logs to Kafka:
// Millrace beside other shippers, on the same files, to the same broker, one
// after another.
//
//	go run ./bench/peers -millrace bin/millrace
//
// It needs a real Kafka, named by the environment as for the tests of package
// e2e: KAFKA_CONTROL is a command that makes users and rights, KTB_DIR its
// folder, BOOTSTRAP_PLAIN (an administrator's), BOOTSTRAP_SASL and KAFKA_CA the
// brokers. Shippers reach it with TLS, SCRAM-SHA-512 and acks=all.
//
// A shipper is one small file, as those in the folder shippers; -shipper adds
// one of your own, and -program NAME=FILE says where a program is. Fluent Bit
// is measured when that names it.
//
// The rows (-rows):
//
//	stock       Kong's lines in 20 containers, written before; records with the pod's metadata
//	message     the same lines, records with what the log file's path says
//	rotation    20 containers at 50,000 lines/s, all rotated by kubelet each second
//	steady      100 containers at 10,000 lines/s
//	unselected  one container that is shipped, 1,000 that are not, at 10,000 lines/s
//
// CPU is user and system time of the shipper's whole life, from its start to
// its end, as the kernel tells its parent; in steady and unselected that of
// the measured minute. Memory is VmHWM. A run ends when as many records are on
// the topic as there are lines and no more come; then the topic is read, and
// each record is compared with its line: what was lost, repeated or changed
// stands below the table. Rounds alternate between the shippers, and medians are
// compared. CPU time grows when others use the cores, so the machine should be
// quiet: the load average is printed. Linux only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"millrace/bench/process"
)

const seed = 1

// options are the command line.
type options struct {
	programs       map[string]string
	files          []string
	rows           []string
	compressions   []string
	only           *regexp.Regexp
	lines          int
	containers     int
	partitions     int
	rounds         int
	duration       time.Duration
	timeout        time.Duration
	patience       time.Duration
	workload       string
	keep           bool
	profiles       string
	profileSeconds int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse()
	if err == nil {
		err = measure(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func parse() (o *options, err error) {
	o = &options{programs: map[string]string{}}
	flag.Func("program", "`NAME=FILE`: the program of a shipper", func(text string) error {
		name, file, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want NAME=FILE")
		}
		o.programs[name] = file
		return nil
	})
	flag.Func("millrace", "the program `file` of Millrace", func(text string) error { o.programs["millrace"] = text; return nil })
	flag.Func("shipper", "`file` of one more shipper", func(text string) error { o.files = append(o.files, text); return nil })
	rows := flag.String("rows", rowStock, "what is measured: `words` of stock, message, rotation, steady, unselected, with commas")
	compressions := flag.String("compressions", "zstd,lz4", "`words` of zstd, lz4, snappy, gzip, none, with commas")
	only := flag.String("only", "", "measure what matches this `regexp`, such as 'millrace exactly_once lz4'")
	flag.IntVar(&o.lines, "lines", 2_000_000, "of stock and message")
	flag.IntVar(&o.containers, "containers", 20, "of stock and message")
	flag.IntVar(&o.partitions, "partitions", 4, "of each topic")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each shipper is measured")
	flag.DurationVar(&o.duration, "for", time.Minute, "how long steady and unselected are measured")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Minute, "for one run")
	flag.DurationVar(&o.patience, "patience", 30*time.Second, "how long nothing may arrive")
	flag.StringVar(&o.workload, "workload", "", "`folder` for the log files, which are used again; it needs space for each line twice")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder of the last run of each workload, with the shipper's files and log")
	flag.StringVar(&o.profiles, "profile", "", "`folder` for CPU profiles of the shippers that offer them; taking them costs CPU")
	flag.IntVar(&o.profileSeconds, "profile-seconds", 2, "how long a profile takes")
	flag.Parse()
	o.rows, o.compressions = strings.Split(*rows, ","), strings.Split(*compressions, ",")
	for _, row := range o.rows {
		if !slices.Contains(allRows, row) {
			return nil, fmt.Errorf("-rows: %q is none of %s", row, strings.Join(allRows, ", "))
		}
	}
	if o.keep && o.workload == "" {
		return nil, errors.New("-keep: say where, by -workload")
	}
	if o.rounds < 1 || o.containers < 1 || o.lines < o.containers {
		return nil, errors.New("at least one round, one container and one line in each are needed")
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		return nil, fmt.Errorf("read -only: %w", err)
	}
	return o, nil
}

// bench is what all runs share.
type bench struct {
	*options
	kafka    *cluster
	variants []variant
}

func measure(ctx context.Context, o *options) (err error) {
	b := &bench{options: o}
	if o.workload == "" {
		if o.workload, err = os.MkdirTemp("", "millrace-peers-"); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		defer os.RemoveAll(o.workload)
	}
	machine()
	if err := b.choose(); err != nil {
		return err
	}
	if load := process.LoadAverage(); load > 1 {
		fmt.Fprintf(os.Stdout, "The load average is %.2f: somebody else uses this machine, and CPU times are too high.\n", load)
	}
	if b.kafka, err = openCluster(ctx); err != nil {
		return err
	}
	defer b.kafka.close()
	for _, row := range o.rows {
		if err := b.measureRow(ctx, row); err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
	}
	return nil
}

// choose says which shippers there are and which are left out.
func (b *bench) choose() error {
	all, err := shippers(b.files)
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := s.find(b.programs); err != nil {
			fmt.Fprintln(os.Stdout, err)
			continue
		}
		version, err := s.version()
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "%s: %s\n", s.Name, version)
		for _, c := range b.compressions {
			for _, m := range s.Modes {
				if v := (variant{s, m, c}); b.only.MatchString(v.String()) {
					b.variants = append(b.variants, v)
				}
			}
		}
	}
	if len(b.variants) == 0 {
		return errors.New("there is nothing to measure")
	}
	return nil
}
