package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"millrace/bench/process"
	"millrace/demo/kubelet"
)

// neighbours are agents that write to one topic.
type neighbours struct {
	*options
	*cluster
	nodes  []*node
	reader *reader
	hit    map[int]window // when something happened to nodes, and until when
}

// The nodes to which something happens.
const (
	hungNode = iota
	deadNode
	restartedNode
)

func measureNeighbours(ctx context.Context, o *options) (err error) {
	if o.nodes <= restartedNode {
		return fmt.Errorf("-nodes has to be more than %d", restartedNode)
	}
	c, err := openCluster()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	dir, err := os.MkdirTemp("", "millrace-neighbours-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	n := &neighbours{options: o, cluster: c, hit: map[int]window{}}
	defer func() {
		for _, one := range n.nodes {
			one.kill()
		}
	}()
	if err := n.begin(ctx, dir); err != nil {
		return err
	}
	defer n.reader.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	writing := make(chan error, 1)
	go func() { writing <- n.write(ctx) }()
	err = n.watch(ctx)
	cancel()
	return errors.Join(err, <-writing, n.reader.err)
}

// begin makes topic, nodes and reader, and returns when all agents deliver.
func (n *neighbours) begin(ctx context.Context, dir string) (err error) {
	if err := n.create(ctx, n.topic, n.partitions, nil); err != nil {
		return err
	}
	if err := n.allow(ctx); err != nil {
		return err
	}
	for i := range n.options.nodes {
		one, err := newNode(n.cluster, n.options, dir, fmt.Sprintf("worker-%02d", i))
		if err != nil {
			return err
		}
		n.nodes = append(n.nodes, one)
		if err := one.start(n.program); err != nil {
			return err
		}
	}
	for _, one := range n.nodes {
		if err := one.awaitReady(ctx); err != nil {
			return err
		}
	}
	n.reader, err = startReader(n.cluster, n.partitions)
	return err
}

// write writes to one container after another, evenly, until ctx is done.
func (n *neighbours) write(ctx context.Context) error {
	all := len(n.nodes) * len(n.nodes[0].containers)
	ticker := time.NewTicker(max(time.Millisecond, time.Duration(float64(time.Second)/n.rate/float64(all))))
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		who, at := i%len(n.nodes), time.Now()
		container := n.nodes[who].containers[i/len(n.nodes)%len(n.nodes[who].containers)]
		if err := container.Write(kubelet.Line{At: at, Stream: "stdout", Text: text(who, at)}); err != nil {
			return err
		}
	}
}

// watch lets happen what happens, and reports it.
func (n *neighbours) watch(ctx context.Context) error {
	fmt.Fprintf(os.Stdout, "%d agents of %d containers, %g lines/s each, %d partitions, key %s, transaction.interval %s, transaction.timeout %s\n",
		n.options.nodes, n.containers, n.rate, n.partitions, n.key, n.interval, n.timeout)
	fmt.Fprintf(os.Stdout, "  %-34s %6s %7s %7s %7s\n", "delay in seconds", "lines", "p50", "p99", "max")
	if err := process.Pause(ctx, 10*time.Second); err != nil {
		return err
	}
	from := time.Now()
	if err := process.Pause(ctx, n.healthy); err != nil {
		return err
	}
	to := time.Now()
	if err := process.Pause(ctx, 3*time.Second); err != nil {
		return err
	}
	report(os.Stdout, "all are well", n.reader.delays(window{from, to, func(*seen) bool { return true }}))
	err := n.happen(ctx, "hung (SIGSTOP)", hungNode, func(*node) error { return nil })
	if err == nil {
		err = n.nodes[hungNode].signal(syscall.SIGCONT)
	}
	n.end(hungNode)
	if err == nil {
		err = process.Pause(ctx, 10*time.Second)
	}
	if err == nil {
		err = n.happen(ctx, "killed for good", deadNode, func(dead *node) error { dead.kill(); return nil })
	}
	if err == nil {
		err = n.happen(ctx, "killed, started again at once", restartedNode, func(dead *node) error {
			dead.kill()
			return dead.start(n.program)
		})
	}
	if err != nil {
		return err
	}
	n.end(restartedNode)
	report(os.Stdout, "own lines of the hung one", n.reader.delays(n.hit[hungNode]))
	report(os.Stdout, "own lines of the restarted one", n.reader.delays(n.hit[restartedNode]))
	fmt.Fprintf(os.Stdout, "  lines read twice: %d\n\n", n.reader.repeated)
	return n.keepSeconds(from)
}

// end notes that what happened to a node is over.
func (n *neighbours) end(who int) {
	w := n.hit[who]
	w.to = time.Now()
	n.hit[who] = w
}

// happen stops a node's agent in the middle of a transaction, does to it what
// it is given, and reports what the lines of others met until Kafka had ended
// the transaction.
func (n *neighbours) happen(ctx context.Context, what string, who int, do func(*node) error) error {
	victim := n.nodes[who]
	open, err := n.stopInside(ctx, victim)
	if err != nil {
		return err
	}
	from := time.Now()
	n.hit[who] = window{from: from, keep: func(s *seen) bool { return s.node == who }}
	if err := do(victim); err != nil {
		return err
	}
	err = until(ctx, n.timeout+time.Minute, func() (bool, error) {
		now, err := n.transaction(ctx, victim)
		return err == nil && (now.State != "Ongoing" || now.StartTimestamp != open.StartTimestamp), err
	})
	if err != nil {
		return fmt.Errorf("wait for the end of a transaction: %w", err)
	}
	to := time.Now()
	if err := process.Pause(ctx, 3*n.interval+2*time.Second); err != nil {
		return err
	}
	held := open.Topics[n.topic]
	fmt.Fprintf(os.Stdout, "%s: its transaction was open for %.1f s and held partitions %v of %d\n", what,
		to.Sub(time.UnixMilli(open.StartTimestamp)).Seconds(), slices.Sorted(maps.Keys(held)), n.partitions)
	for _, touched := range []bool{true, false} {
		name := "others' lines, other partitions"
		if touched {
			name = "others' lines, these partitions"
		}
		report(os.Stdout, name, n.reader.delays(window{from, to, func(s *seen) bool {
			_, ok := held[s.partition]
			return ok == touched && s.node != who && s.node != hungNode && s.node != deadNode
		}}))
	}
	return nil
}

// stopInside stops an agent (SIGSTOP) at a moment when it has a transaction
// open that holds lines, and stays open.
func (n *neighbours) stopInside(ctx context.Context, victim *node) (open kadm.DescribedTransaction, err error) {
	err = until(ctx, time.Minute, func() (bool, error) {
		open, err = n.transaction(ctx, victim)
		age := time.Since(time.UnixMilli(open.StartTimestamp))
		if err != nil || open.State != "Ongoing" || len(open.Topics[n.topic]) == 0 || age > n.interval/2 || age < n.interval/4 {
			return false, err
		}
		if err := victim.signal(syscall.SIGSTOP); err != nil {
			return false, err
		}
		// A commit that was under way has arrived by then.
		if err := process.Pause(ctx, max(n.interval/2, 500*time.Millisecond)); err != nil {
			return false, err
		}
		still, err := n.transaction(ctx, victim)
		if err == nil && still.State == "Ongoing" && still.StartTimestamp == open.StartTimestamp {
			open = still
			return true, nil
		}
		return false, errors.Join(err, victim.signal(syscall.SIGCONT))
	})
	if err != nil {
		err = fmt.Errorf("stop the agent of %s inside a transaction: %w", victim.name, err)
	}
	return open, err
}

// transaction is what Kafka says of an agent's transaction.
func (n *neighbours) transaction(ctx context.Context, one *node) (kadm.DescribedTransaction, error) {
	id := one.transactionalID()
	described, err := n.control.DescribeTransactions(ctx, id)
	if err == nil {
		err = described[id].Err
	}
	if err != nil {
		return kadm.DescribedTransaction{}, fmt.Errorf("look at transaction %s: %w", id, err)
	}
	return described[id], nil
}

// keepSeconds writes the table by second, if it is wanted.
func (n *neighbours) keepSeconds(from time.Time) error {
	if n.seconds == "" {
		return nil
	}
	f, err := os.Create(n.seconds)
	if err != nil {
		return fmt.Errorf("write the table by second: %w", err)
	}
	n.reader.table(f, from, time.Now())
	return f.Close()
}
