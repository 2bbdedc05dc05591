package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"millrace/demo/kubelet"
	"millrace/demo/traffic"
)

const (
	selected   = "kong" // the namespace that is to be shipped
	unselected = "shop"
	// timeWidth is how long all times of a workload are, in UTC; see clock.at.
	timeWidth = len("2026-11-23T06:49:20.705005075Z")
)

// source is a container whose lines are there to be shipped, or to be left
// alone.
type source struct {
	pod   kubelet.Pod
	ID    string
	log   *kubelet.Container
	lines *traffic.Kong
}

// next is the next line that fits into one piece: rsyslog does not join them.
func (s *source) next(at time.Time) kubelet.Line {
	for {
		if l := s.lines.Next(at); l.Kind != traffic.Long {
			return kubelet.Line{At: at, Stream: l.Stream, Text: l.Message}
		}
	}
}

// workload is a node's log files and what is in them.
type workload struct {
	dir     string // holds pods and containers
	sources []*source
	others  []*source // not to be shipped
	ledger  *ledger
}

func (w *workload) pods() string  { return filepath.Join(w.dir, "pods") }
func (w *workload) links() string { return filepath.Join(w.dir, "containers") }

// start makes containers with empty files. rotateAt is a size in bytes.
func (w *workload) start(selects, others int, rotateAt int64) error {
	node, err := kubelet.NewNode(kubelet.Config{LogDir: w.pods(), LinkDir: w.links(), MaxSize: rotateAt, MaxFiles: 5, Interval: time.Second})
	if err != nil {
		return err
	}
	for i := range selects + others {
		s := &source{pod: newPod(selected, i), lines: traffic.NewKong(seed, uint16(i))}
		if i >= selects {
			s.pod = newPod(unselected, i)
		}
		if s.log, err = node.Start(s.pod, container, w.ledger.base); err != nil {
			return err
		}
		s.ID = s.log.ID()
		if i < selects {
			w.sources = append(w.sources, s)
		} else {
			w.others = append(w.others, s)
		}
	}
	return nil
}

// exit closes the files.
func (w *workload) exit() (err error) {
	for _, list := range [][]*source{w.sources, w.others} {
		for _, s := range list {
			err = errors.Join(err, s.log.Exit(time.Now(), ""))
		}
	}
	return err
}

// static is a workload that was written before a shipper starts. It is made in
// a folder of its own below dir, or read again where that is complete.
func static(ctx context.Context, dir string, lines, containers int) (w *workload, err error) {
	c := clock{time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC), time.Millisecond}
	w = &workload{dir: filepath.Join(dir, fmt.Sprintf("static-%d-%d", lines, containers)), ledger: newLedger(c, lines)}
	complete := filepath.Join(w.dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		for i := range containers {
			s := &source{pod: newPod(selected, i)}
			if s.ID, err = w.id(s); err != nil {
				return nil, err
			}
			w.sources = append(w.sources, s)
		}
	} else {
		if err := os.RemoveAll(w.dir); err != nil {
			return nil, fmt.Errorf("remove an incomplete workload: %w", err)
		}
		if err := w.start(containers, 0, 1<<62); err != nil {
			return nil, err
		}
		if err := errors.Join(w.fill(ctx, lines), w.exit()); err != nil {
			return nil, err
		}
		if err := os.WriteFile(complete, nil, 0o644); err != nil {
			return nil, fmt.Errorf("finish the workload: %w", err)
		}
	}
	return w, w.read()
}

// id is a container's identifier, which is in the name of its link.
func (w *workload) id(s *source) (string, error) {
	before := filepath.Join(w.links(), s.pod.Name+"_"+s.pod.Namespace+"_"+container+"-")
	found, err := filepath.Glob(before + "*.log")
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("find a container's link: %d are %s*.log; remove %s", len(found), before, w.dir)
	}
	return found[0][len(before) : len(found[0])-len(".log")], nil
}

// fill writes the lines of a static workload.
func (w *workload) fill(ctx context.Context, lines int) error {
	const together = 200
	waiting := make([][]kubelet.Line, len(w.sources))
	for n := range lines {
		i := n % len(w.sources)
		s := w.sources[i]
		waiting[i] = append(waiting[i], s.next(w.ledger.at(n)))
		if len(waiting[i]) == together || n >= lines-len(w.sources) {
			if err := errors.Join(ctx.Err(), s.log.Write(waiting[i]...)); err != nil {
				return err
			}
			waiting[i] = waiting[i][:0]
		}
	}
	return nil
}

// read notes what is in the files of a static workload, and so has them in the
// page cache for whoever is first, too.
func (w *workload) read() error {
	done := make(chan error, len(w.sources))
	for _, s := range w.sources {
		go func() { done <- w.readFile(s) }()
	}
	var err error
	for range w.sources {
		err = errors.Join(err, <-done)
	}
	if err != nil {
		return err
	}
	if got := int(w.ledger.lines.Load()); got != len(w.ledger.sums) {
		return fmt.Errorf("read the workload: %d lines of %d are there; remove %s", got, len(w.ledger.sums), w.dir)
	}
	return nil
}

func (w *workload) readFile(s *source) error {
	f, err := os.Open(filepath.Join(w.pods(), s.pod.Dir(), container, "0.log"))
	if err != nil {
		return fmt.Errorf("read the workload: %w", err)
	}
	defer f.Close()
	for r := bufio.NewReaderSize(f, 1<<20); ; {
		line, err := r.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the workload: %w", err)
		}
		fields := bytes.SplitN(line[:len(line)-1], []byte{' '}, 4)
		if len(fields) < 4 {
			return fmt.Errorf("read the workload: %q is no line of a runtime", line)
		}
		at, err := time.Parse(time.RFC3339Nano, string(fields[0]))
		n, ok := w.ledger.number(at)
		if err != nil || !ok || n >= len(w.ledger.sums) || w.ledger.sums[n] != 0 {
			return fmt.Errorf("read the workload: unexpected line %q; remove %s", line, w.dir)
		}
		w.ledger.note(n, s.pod.Name, string(fields[1]), string(fields[3]))
	}
}
