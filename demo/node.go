package main

import (
	"fmt"
	"math"
	"path/filepath"
	"sync/atomic"
	"time"

	"millrace/agent/kube/kubetest"
	"millrace/demo/audit"
	"millrace/demo/kubelet"
	"millrace/demo/traffic"
)

// program is one container of the node and what it writes.
type program struct {
	name, image string
	share       float64 // of the node's selected lines a second
	next        func(time.Time) traffic.Line
	log         *kubelet.Container
	owed        float64
	down        time.Time // when it exited; zero: it runs
}

// pod is a pod of the node. A selected one has one program, the first, whose
// lines are shipped.
type pod struct {
	kubelet.Pod
	selected bool
	programs []*program
}

// node is the Kubernetes node of the demo: pods that write log files in
// kubelet's layout, known to the API server. One goroutine drives it.
type node struct {
	logs *kubelet.Node
	api  *kubetest.Server
	pods []*pod
	book *audit.Book // of the lines that have to arrive; nil: nobody keeps one

	at      time.Time // lines before this moment are written
	limit   int64     // of lines that have to arrive; 0: none
	restart int       // pods restarted so far
	counts  counts
}

// counts are the node's own figures. Each may be read at any time.
type counts struct {
	selected atomic.Int64 // lines of the selected containers
	health   atomic.Int64 // of these, health checks, which the agent drops
	long     atomic.Int64 // of these, lines in pieces
	other    atomic.Int64 // lines of containers that are not selected
	restarts atomic.Int64 // of containers
}

// due is the number of lines written that have to arrive.
func (c *counts) due() int64 { return c.selected.Load() - c.health.Load() }

// nodeSize is how kubelet rotates.
type nodeSize struct {
	maxSize  int64
	maxFiles int
}

// newNode starts the containers and tells the API server of their pods. The
// folder takes the node's /var/log.
func newNode(dir string, size nodeSize, api *kubetest.Server, book *audit.Book) (*node, error) {
	logs, err := kubelet.NewNode(kubelet.Config{
		LogDir: filepath.Join(dir, "pods"), LinkDir: filepath.Join(dir, "containers"),
		MaxSize: size.maxSize, MaxFiles: size.maxFiles, Interval: 2 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	n := &node{logs: logs, api: api, pods: population(seed), book: book, at: time.Now()}
	for _, p := range n.pods {
		for _, c := range p.programs {
			if c.log, err = logs.Start(p.Pod, c.name, n.at); err != nil {
				return nil, err
			}
		}
		api.SetPod(apiPod(p.Pod, p.programs))
	}
	return n, nil
}

// advance writes what the containers have written from the last call until
// now, at so many lines a second of the selected ones together. It says
// whether the limit is reached.
func (n *node) advance(now time.Time, rate float64) (full bool, err error) {
	if !now.After(n.at) {
		return false, nil
	}
	spell := now.Sub(n.at)
	for _, p := range n.pods {
		for _, c := range p.programs {
			c.owed += rate * c.share * spell.Seconds()
			whole := math.Floor(c.owed)
			c.owed -= whole
			if err := n.write(p, c, int(whole), spell); err != nil {
				return false, fmt.Errorf("container %s of pod %s: %w", c.name, p.Name, err)
			}
		}
	}
	n.at = now
	return n.limit > 0 && n.counts.due() >= n.limit, nil
}

// write has a program write so many lines, evenly over the time that passed.
func (n *node) write(p *pod, c *program, count int, spell time.Duration) error {
	if count == 0 || !c.down.IsZero() {
		return nil
	}
	selected := p.selected && c == p.programs[0]
	lines := make([]kubelet.Line, 0, count)
	for i := range count {
		if selected && n.limit > 0 && n.counts.due() >= n.limit {
			break
		}
		at := n.at.Add(spell * time.Duration(i) / time.Duration(count))
		l := c.next(at)
		lines = append(lines, kubelet.Line{At: at, Stream: l.Stream, Text: l.Message})
		if selected {
			n.enter(at, l)
		} else {
			n.counts.other.Add(1)
		}
	}
	return c.log.Write(lines...)
}

// enter counts a line of a selected container before it is written.
func (n *node) enter(at time.Time, l traffic.Line) {
	n.counts.selected.Add(1)
	switch l.Kind {
	case traffic.Health:
		n.counts.health.Add(1)
		return
	case traffic.Long:
		n.counts.long.Add(1)
	}
	if n.book != nil {
		n.book.Enter(at, l.Stream, l.Message)
	}
}

// crash ends one of the selected containers, another one each time. What it
// wrote last has no newline, if tail is not empty.
func (n *node) crash(tail string) error {
	c := n.victim().programs[0]
	if !c.down.IsZero() {
		return nil
	}
	c.down = n.at
	return c.log.Exit(n.at, tail)
}

// recover starts the container again that crash ended.
func (n *node) recover() error {
	p := n.victim()
	c := p.programs[0]
	if c.down.IsZero() {
		return nil
	}
	if err := c.log.Restart(n.at); err != nil {
		return err
	}
	c.down = time.Time{}
	n.restart++
	n.counts.restarts.Add(1)
	n.api.SetPod(apiPod(p.Pod, p.programs))
	return nil
}

func (n *node) victim() *pod {
	var selected []*pod
	for _, p := range n.pods {
		if p.selected {
			selected = append(selected, p)
		}
	}
	return selected[n.restart%len(selected)]
}

// rotations is the number of files rotated so far.
func (n *node) rotations() (sum int64) {
	for _, p := range n.pods {
		for _, c := range p.programs {
			sum += c.log.Rotations()
		}
	}
	return sum
}

// close closes the files; the containers exit as in a shutdown of the node.
func (n *node) close() {
	for _, p := range n.pods {
		for _, c := range p.programs {
			if c.log != nil && c.down.IsZero() {
				c.log.Exit(n.at, "") //nolint:errcheck // the files are not read any more
			}
		}
	}
}
