package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"millrace/demo/kubelet"
)

// pace is how often a writer looks what is due.
const pace = 10 * time.Millisecond

// newLive makes a workload whose lines come later, in a folder of its own below
// dir.
func newLive(dir string, l live) (w *workload, err error) {
	w = &workload{}
	if w.dir, err = os.MkdirTemp(dir, "live-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	lines := l.rate * int((l.warm+l.duration)/time.Second)
	w.ledger = newLedger(clock{time.Now().Truncate(time.Second), time.Second / time.Duration(l.rate)}, lines)
	return w, w.start(l.selects, l.others, l.rotateAt)
}

// write writes lines at the rate: line by line, to one container after another,
// as they come from a node's programs. It ends with the last, or with ctx,
// without an error.
func (w *workload) write(ctx context.Context, l live) (err error) {
	w.ledger.base = time.Now().Truncate(time.Second).Add(time.Second)
	all := append(w.sources[:len(w.sources):len(w.sources)], w.others...)
	writers := 20
	for len(all)%writers != 0 { // a container is written by one of them
		writers--
	}
	done := make(chan error, writers)
	for first := range writers {
		go func() { done <- w.writeSome(ctx, all, first, writers) }()
	}
	for range writers {
		err = errors.Join(err, <-done)
	}
	return err
}

// writeSome is one writer: of each step lines it writes one.
func (w *workload) writeSome(ctx context.Context, all []*source, first, step int) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for n := first; n < len(w.ledger.sums); {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			for ; n < len(w.ledger.sums); n += step {
				at := w.ledger.at(n)
				if at.After(now) {
					break
				}
				s := all[n%len(all)]
				line := s.next(at)
				if n%len(all) < len(w.sources) {
					w.ledger.note(n, s.pod.Name, line.Stream, line.Text)
				}
				if err := s.log.Write(kubelet.Line{At: at, Stream: line.Stream, Text: line.Text}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
