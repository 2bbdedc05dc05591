package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"millrace/outputs/starrocks/starrockstest"
)

// options are the flags.
type options struct {
	check    bool
	lines    int64
	rate     float64
	kills    int
	dir      string
	page     string
	millrace string
	keep     int64
	table    string // plainTable or provenanceTable
	faults   []starrockstest.Fault
	labels   int
	outages  int
}

// errUsage means that the flags were wrong and flag has said so.
var errUsage = errors.New("wrong usage")

// parseOptions reads the command line; usage goes to out.
func parseOptions(args []string, out io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(out)
	f.BoolVar(&o.check, "check", false, "write a bounded number of lines, compare the table with them and end")
	f.Int64Var(&o.lines, "lines", 200_000, "with -check: how many lines have to arrive")
	f.Float64Var(&o.rate, "rate", 0, "lines a second of the selected containers (default 12000 with -check, else 100)")
	f.IntVar(&o.kills, "kill", 3, "with -check: how often to kill -9 agent and collector each, at moments when they hold lines")
	f.StringVar(&o.dir, "dir", "", "work folder, kept at the end and used again (default: a temporary one, removed at the end)")
	f.StringVar(&o.page, "page", "127.0.0.1:8088", "address of the page; a busy port is replaced by a free one")
	f.StringVar(&o.millrace, "millrace", "", "the millrace program to run (default: built from this module)")
	f.Int64Var(&o.keep, "keep", 500_000, "rows after which the table is emptied, since the stand-in holds them in memory")
	f.StringVar(&o.table, "table", provenanceTable, "provenance: the recommended table, whose rows tell where they came from; plain: the one of the Logging operator's users, with load.on_unknown: resend")
	f.Func("fault", `what the StarRocks stand-in does wrong, as "drop after commit,times=-1,chance=0.05"; may be given more than once`, o.addFault)
	f.IntVar(&o.labels, "label-keep", 1000, "labels that the stand-in remembers; with few of them a plain table cannot be right")
	f.IntVar(&o.outages, "outage", 0, "with -check: how often StarRocks' backend is away for two seconds")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if err := o.validate(f.NArg()); err != nil {
		fmt.Fprintln(out, "demo:", err)
		f.Usage()
		return nil, errUsage
	}
	if o.rate == 0 {
		o.rate = 100
		if o.check {
			o.rate = 12_000
		}
	}
	return o, nil
}

// validate says what is wrong with the values, or nil.
func (o *options) validate(arguments int) error {
	if arguments > 0 || o.lines < 1 || o.rate < 0 || o.kills < 0 || o.keep < 1 || o.labels < 1 || o.outages < 0 {
		return errors.New("no arguments, and no number below its least value")
	}
	if definitions[o.table] == "" {
		return fmt.Errorf("-table is %s or %s, not %q", plainTable, provenanceTable, o.table)
	}
	return nil
}

func (o *options) addFault(spec string) error {
	f, err := starrockstest.ParseFault(spec)
	o.faults = append(o.faults, f)
	return err
}

// workFolder makes the work folder; remove gives it up again, unless the user
// named it.
func (o *options) workFolder() (dir string, remove func(), err error) {
	if o.dir == "" {
		dir, err = os.MkdirTemp("", "millrace-demo-")
		if err != nil {
			return "", nil, fmt.Errorf("make work folder: %w", err)
		}
		return dir, func() { os.RemoveAll(dir) }, nil
	}
	if dir, err = filepath.Abs(o.dir); err != nil {
		return "", nil, fmt.Errorf("work folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("make work folder: %w", err)
	}
	if old, err := os.ReadDir(dir); o.check && (err != nil || len(old) > 0) {
		return "", nil, fmt.Errorf("-check needs an empty folder, or its rows cannot be told from older ones: %s is not empty", dir)
	}
	return dir, func() {}, nil
}
