package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/chaos/book"
	"millrace/chaos/check"
	"millrace/chaos/generator"
)

// run is one run: everything that takes part in it.
type run struct {
	opts  *options
	out   io.Writer
	dir   string
	began time.Time

	cluster   *cluster
	writer    *writer
	reader    *reader
	agent     *agent
	warehouse *warehouse   // nil: no table
	members   []*collector // of the group
	guest     *collector   // the further one, if there is one

	arrived     int64 // lines that could be read when the agent was last killed
	away        bool  // the agent was killed and has not taken up its work again
	lost        int64 // lines that are not waited for any more
	brokersAway atomic.Int32
	membersAway atomic.Int32
	mu          sync.Mutex // of tally's kills, and of printing
	tally       tally
}

// runOnce does one run, from an empty folder to the verdict.
func runOnce(ctx context.Context, o *options, out io.Writer) (err error) {
	dir, remove, err := workFolder(o.dir)
	if err != nil {
		return err
	}
	r := &run{opts: o, out: out, dir: dir, began: time.Now()}
	r.tally.Seed, r.tally.Part, r.tally.Delivery, r.tally.Compression, r.tally.Key = o.seed, o.part, o.delivery, o.compression, o.key
	if o.table {
		r.tally.Table = &rows{}
	}
	fmt.Fprintf(out, "seed=%d part=%d dir=%s\n", o.seed, o.part, dir)
	defer func() {
		if err == nil {
			err = r.cluster.forget()
		}
		r.close()
		if err == nil {
			remove()
		} else if o.dir == "" {
			fmt.Fprintln(out, "kept:", dir)
		}
	}()
	if err := r.start(ctx); err != nil {
		return err
	}
	if err := r.disturb(ctx); err != nil {
		return errors.Join(err, r.judge())
	}
	if err := r.rest(ctx); err != nil {
		return errors.Join(err, r.judge())
	}
	return r.judge()
}

// workFolder makes the work folder; remove gives it up, unless the user named
// it.
func workFolder(named string) (dir string, remove func(), err error) {
	if named == "" {
		if dir, err = os.MkdirTemp("", "millrace-chaos-"); err != nil {
			return "", nil, fmt.Errorf("make work folder: %w", err)
		}
		return dir, func() { os.RemoveAll(dir) }, nil
	}
	if dir, err = filepath.Abs(named); err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", nil, fmt.Errorf("make work folder: %w", err)
	}
	if old, err := os.ReadDir(dir); err != nil || len(old) > 0 {
		return "", nil, fmt.Errorf("the work folder %s has to be empty", dir)
	}
	return dir, func() {}, nil
}

// start starts everything: broker, reader, table, generator, agent.
func (r *run) start(ctx context.Context) error {
	var err error
	if r.opts.programs, err = r.opts.programs.build(ctx, r.dir); err != nil {
		return err
	}
	if r.cluster, err = openCluster(ctx, r.opts, r.dir); err != nil {
		return err
	}
	// One that is killed with a transaction open writes no marker for its end
	// when it comes back: readers then throw away what was committed behind it,
	// if one fetch holds both.
	if r.opts.table && r.cluster.fake && r.opts.brokerKills > 0 {
		fmt.Fprintln(r.out, "with a table no broker is killed: that needs a real Kafka (KAFKA_CONTROL), or -table=false")
		r.opts.brokerKills = 0
	}
	if r.reader, err = startReader(r.cluster, r.opts); err != nil {
		return err
	}
	if r.agent, err = newAgent(r.cluster, r.opts, r.dir); err != nil {
		return err
	}
	if r.opts.table {
		if err := r.startTable(ctx); err != nil {
			return err
		}
	}
	o := r.opts
	r.writer, err = startWriter(generator.Config{
		Seed: o.random(), LogDir: filepath.Join(r.dir, "node", "pods"), Book: r.bookFile(),
		Containers: o.containers, Rate: o.rate, Rotate: o.rotate, Files: o.files,
		Trust: o.trust, Straddle: !o.missing(), Churn: o.churn && !o.missing(),
	}, filepath.Join(r.dir, "generator.log"))
	if err != nil {
		return err
	}
	// Until the agent has seen the files it is away.
	if _, err := r.leave(ctx); err != nil {
		return err
	}
	return r.agent.start()
}

func (r *run) bookFile() string { return filepath.Join(r.dir, "book") }

// disturb writes lines and kills, as often and as long as the options say.
func (r *run) disturb(ctx context.Context) error {
	if _, err := r.resume(ctx, patience); err != nil {
		return err
	}
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var others, killers sync.WaitGroup
	others.Go(func() { r.feed(ctx, cancel) })
	run := func(of *sync.WaitGroup, seed uint64, f func(context.Context, *rand.Rand) error) {
		of.Go(func() {
			if err := f(ctx, rand.New(rand.NewPCG(r.opts.random(), seed))); err != nil {
				cancel(err)
			}
		})
	}
	run(&killers, 2, r.killBrokers)
	if r.opts.table {
		run(&killers, 4, r.killCollectors)
		run(&killers, 5, r.killStarRocks)
	}
	if r.opts.rebalance {
		run(&others, 6, r.churn)
	}
	k := &killer{run: r, r: rand.New(rand.NewPCG(r.opts.random(), 3))}
	err := k.spree(ctx)
	if err != nil {
		cancel(err)
	}
	killers.Wait()
	if err == nil {
		err = until(ctx, r.opts.duration+time.Duration(float64(r.opts.lines)/r.opts.rate*2)*time.Second+patience, func() (bool, error) {
			return time.Since(began) >= r.opts.duration && r.writer.last().Lines >= r.opts.lines, r.agent.died()
		})
	}
	cancel(err)
	others.Wait()
	return err
}

// feed tells the generator again and again what was delivered.
func (r *run) feed(ctx context.Context, fail context.CancelCauseFunc) {
	for {
		if err := r.tellSeen(); err != nil {
			fail(err)
			return
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			return
		}
	}
}

func (r *run) tellSeen() error {
	_, err := r.writer.tell(generator.Command{Do: generator.Seen, Seen: r.reader.checker.Seen(r.writer.last().Counts)})
	return err
}

// judge ends the writing, compares topic and table with the book and reports.
func (r *run) judge() error {
	if err := r.writer.end(); err != nil {
		return err
	}
	status := r.writer.last()
	b, err := book.Read(r.bookFile())
	if err != nil {
		return err
	}
	found := &check.Findings{Topic: r.reader.checker.Verdict(b)}
	t := &r.tally
	t.take(found.Topic, &status)
	t.Missed = r.agent.former.plus(r.agent.scraped)
	if claimed, there := t.Missed.Delivered, r.reader.topic.Records(); claimed > there {
		t.Differences.differ(fmt.Sprintf("the agent's lives claim %d delivered records, the topic has %d", claimed, there))
	}
	t.Differences.differ(r.agent.unbalanced...)
	fmt.Fprint(r.out, found.Topic.Report(8))
	if r.opts.table {
		if found.Table, err = r.readTable(b); err != nil {
			return err
		}
		fmt.Fprint(r.out, found.Table.Report(8))
	}
	found.Differences = t.Differences
	if t.Table != nil {
		found.RowDifferences = t.Table.Differences
	}
	for _, d := range append(slices.Clone(found.Differences), found.RowDifferences...) {
		fmt.Fprintln(r.out, "  ledger:", d)
	}
	t.Seconds = time.Since(r.began).Seconds()
	fmt.Fprintln(r.out, t)
	if r.opts.log != "" {
		if err := t.append(r.opts.log); err != nil {
			return err
		}
	}
	if r.opts.fault != check.NoFault {
		if err := r.opts.fault.Found(found); err != nil {
			return err
		}
		fmt.Fprintf(r.out, "planted one %s line, row or term: found\n", r.opts.fault)
		return nil
	}
	return t.wrong(r.opts)
}

// close ends what still runs.
func (r *run) close() {
	if r.agent != nil && r.agent.process != nil {
		r.agent.kill()
	}
	if r.writer != nil {
		r.writer.close()
	}
	r.closeTable()
	if r.reader != nil {
		r.reader.close()
	}
	if r.cluster != nil {
		r.cluster.close()
	}
}
