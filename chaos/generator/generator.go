// Package generator writes numbered lines into container log files as kubelet
// and the container runtime would: many containers, rotation, compression,
// deletion of what is too old, restarts, pods that come and go, long lines in
// pieces. It keeps a book of what it wrote.
//
// It runs as a process of its own, driven by commands on its standard input,
// so that it writes on whatever happens to the others. All of it happens on
// one goroutine; one more reads commands.
package generator

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"millrace/chaos/book"
	"millrace/chaos/line"
	"millrace/demo/kubelet"
)

// Config says how much is written and how files come and go. Every field has
// to be set.
type Config struct {
	Seed uint64 `json:"seed"`
	// LogDir is the pod log directory. Book is the file of the book.
	LogDir string `json:"log_dir"`
	Book   string `json:"book"`
	// Containers run at a time, and write Rate lines a second together, some
	// of them much more than others.
	Containers int     `json:"containers"`
	Rate       float64 `json:"rate"`
	// Rotate is the longest time between two rotations of a container. Where
	// it is less than a second, the times in the names of rotated files run
	// ahead of the clock: kubelet names by the second.
	Rotate time.Duration `json:"rotate"`
	// Files are kept of each run of a container, the current one included.
	Files int `json:"files"`
	// Trust has files deleted that whoever follows them has not delivered yet:
	// it has to hold them. Files of pods and of former runs are deleted when
	// the newest of them is held, which shows by its second hard link; those
	// that were rotated away in any case, unless it is away. Without Trust
	// files stay until their lines were seen.
	Trust bool `json:"trust"`
	// Straddle has lines begin in one file and end in the next.
	Straddle bool `json:"straddle"`
	// Churn has containers restart and pods go.
	Churn bool `json:"churn"`
}

// Namespace is that of all pods.
const Namespace = "chaos"

// tick is how often lines are written.
const tick = 20 * time.Millisecond

// generator is the state of a run.
type generator struct {
	cfg  Config
	r    *rand.Rand
	node *kubelet.Node
	book *book.Writer

	slots   []*pod // what runs now
	next    int    // number of the next pod
	at      time.Time
	paused  bool
	away    bool
	limit   int
	seen    map[int]book.Counts // lines delivered, without a gap from the first
	current *container          // whose files are being rotated or buried

	status Status
}

// pod is a pod in its slot: the successor of one that went has its name and
// another UID, as with a StatefulSet.
type pod struct {
	kubelet.Pod
	containers []*container
	ending     time.Time // when it will end
	over       bool      // its containers have exited
}

// podContainers is the number of containers of the pods in a slot.
func podContainers(slot int) int { return 1 + slot%2 }

func newGenerator(cfg Config) (*generator, error) {
	g := &generator{cfg: cfg, r: rand.New(rand.NewPCG(cfg.Seed, 1)), seen: map[int]book.Counts{}, at: time.Now()}
	var err error
	g.node, err = kubelet.NewNode(kubelet.Config{
		LogDir: cfg.LogDir, MaxFiles: cfg.Files, Deleted: g.deleted,
		MaxSize: 1 << 40, Interval: 1000 * time.Hour, // rotations are ours
	})
	if err != nil {
		return nil, err
	}
	if g.book, err = book.Create(cfg.Book); err != nil {
		return nil, err
	}
	for n := 0; n < cfg.Containers; {
		slot := len(g.slots)
		p, err := g.start(slot)
		if err != nil {
			return nil, err
		}
		g.slots = append(g.slots, p)
		n += len(p.containers)
	}
	return g, nil
}

// UID is the UID of a pod by its number, from which all numbers of its
// containers follow.
func UID(seed uint64, pod int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", pod, seed&0xffffffffffff)
}

// PodOf is the number of a container's pod, and the container's name.
func PodOf(container int) (pod int, name string) {
	return container / 2, fmt.Sprintf("c%d", container%2)
}

// start starts the next pod in a slot.
func (g *generator) start(slot int) (*pod, error) {
	n := g.next
	g.next++
	p := &pod{Pod: kubelet.Pod{Namespace: Namespace, Name: fmt.Sprintf("web-%d", slot), UID: UID(g.cfg.Seed, n)}}
	p.ending = g.at.Add(time.Duration(20+g.r.IntN(60)) * time.Second)
	for i := range podContainers(slot) {
		c := &container{id: 2*n + i, weight: 1 / float64(int(1)<<g.r.IntN(6)), stamp: g.at}
		_, name := PodOf(c.id)
		var err error
		if c.log, err = g.node.Start(p.Pod, name, g.at); err != nil {
			return nil, err
		}
		c.schedule(g)
		c.begun = g.at
		p.containers = append(p.containers, c)
		g.enter(&book.Entry{Kind: book.Started, Container: c.id, Namespace: p.Namespace, Pod: p.Name, UID: p.UID, Name: name})
	}
	return p, nil
}

// enter adds to the book; its errors come with the next Flush.
func (g *generator) enter(e *book.Entry) { _ = g.book.Enter(e) }

// advance writes what is due by now.
func (g *generator) advance(now time.Time) error {
	// A ticker's times are those of its plan and now and then of a moment after.
	spell := max(0, now.Sub(g.at))
	g.at = g.at.Add(spell)
	if g.paused {
		spell = 0
	}
	weights, over := 0.0, 0
	for _, p := range g.slots {
		if p.over {
			over++
		}
		for _, c := range p.containers {
			if !p.over {
				weights += c.weight
			}
		}
	}
	for slot, p := range g.slots {
		if p.over {
			if err := g.remove(slot, p); err != nil {
				return err
			}
			continue
		}
		for _, c := range p.containers {
			c.owed += g.cfg.Rate * spell.Seconds() * c.weight / weights
			if err := g.step(c); err != nil {
				return fmt.Errorf("container %d: %w", c.id, err)
			}
		}
		// Somebody has to write on, however long files have to be waited for.
		if g.cfg.Churn && !g.paused && !g.away && now.After(p.ending) && over < len(g.slots)/2 {
			over++
			if err := g.end(p); err != nil {
				return err
			}
		}
	}
	return g.book.Flush()
}

// end ends a pod's containers; its files stay for a while.
func (g *generator) end(p *pod) error {
	p.over = true
	for _, c := range p.containers {
		if err := c.log.Exit(g.at, ""); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the files of a pod that has ended, once all its lines were
// seen or are held, and starts its successor.
func (g *generator) remove(slot int, p *pod) error {
	unseen := false
	for _, c := range p.containers {
		seen := g.wereSeen(c, c.lines)
		if !seen && !g.isHeld(c.path()) {
			return nil
		}
		unseen = unseen || !seen
	}
	if unseen {
		g.status.GoneUnseen++
	}
	if err := g.node.Delete(p.Pod); err != nil {
		return err
	}
	for _, c := range p.containers {
		g.enter(&book.Entry{Kind: book.Gone, Container: c.id})
		delete(g.seen, c.id)
	}
	g.status.Gone++
	next, err := g.start(slot)
	if err == nil {
		g.slots[slot] = next
	}
	return err
}

// wereSeen tells whether the lines of a container up to those counts were
// delivered.
func (g *generator) wereSeen(c *container, upTo book.Counts) bool {
	seen := g.seen[c.id]
	return seen[0] >= upTo[0] && seen[1] >= upTo[1]
}

// isHeld tells whether whoever follows a file has linked it. It takes files in
// from the oldest on, so it has then seen all that are older.
func (g *generator) isHeld(path string) bool {
	var st unix.Stat_t
	return g.cfg.Trust && unix.Stat(path, &st) == nil && st.Nlink > 1
}

// allHeld tells whether the newest files of all containers are held.
func (g *generator) allHeld() bool {
	for _, p := range g.slots {
		for _, c := range p.containers {
			if !g.isHeld(c.path()) && !g.wereSeen(c, c.lines) {
				return false
			}
		}
	}
	return true
}

// deleted enters a file of the current container that kubelet deletes.
func (g *generator) deleted(path string) {
	f, ok := g.current.files[path]
	if !ok {
		return
	}
	delete(g.current.files, path)
	g.enter(&book.Entry{Kind: book.Deleted, Container: g.current.id, File: filepath.Base(path), Lines: f.from, To: f.to, Bytes: f.bytes})
}

// source is one of the streams of a container.
func source(container, stream int) line.Source {
	return line.Source{Container: container, Stderr: stream == 1}
}
