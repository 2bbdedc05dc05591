package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"millrace/chaos/generator"
)

// writer is the generator's process.
type writer struct {
	process *process
	read    chan struct{} // closed when its output has ended

	mu     sync.Mutex
	in     io.WriteCloser
	seq    int
	status generator.Status
}

// startWriter starts the generator.
func startWriter(cfg generator.Config, log string) (*writer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	arg, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	w := &writer{read: make(chan struct{})}
	out, outEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start generator: %w", err)
	}
	w.process, err = launch("generator", log, func(cmd *exec.Cmd) (err error) {
		cmd.Stdout = outEnd
		w.in, err = cmd.StdinPipe()
		return err
	}, self, generateChild, string(arg))
	outEnd.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	go func() {
		defer close(w.read)
		defer out.Close()
		w.listen(out)
	}()
	return w, nil
}

// listen keeps the last status.
func (w *writer) listen(out io.Reader) {
	d := json.NewDecoder(out)
	for {
		var s generator.Status
		if d.Decode(&s) != nil {
			return
		}
		w.mu.Lock()
		w.status = s
		w.mu.Unlock()
	}
}

// last is the last status, about 20 ms old.
func (w *writer) last() generator.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// tell sends a command and returns its number.
func (w *writer) tell(c generator.Command) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	c.Seq = w.seq
	if err := json.NewEncoder(w.in).Encode(c); err != nil {
		return 0, fmt.Errorf("tell the generator: %w", err)
	}
	return c.Seq, nil
}

// do sends a command and waits until it counts. The status is one of after
// that moment.
func (w *writer) do(ctx context.Context, c generator.Command) (s generator.Status, err error) {
	seq, err := w.tell(c)
	if err != nil {
		return s, err
	}
	err = until(ctx, 20*time.Second, func() (bool, error) {
		s = w.last()
		if !w.process.running() {
			return false, fmt.Errorf("the generator has ended (%w): %s", w.process.err, tail(w.process.log))
		}
		return s.Seq >= seq, nil
	})
	if err != nil {
		return s, fmt.Errorf("wait for the generator to %s: %w", c.Do, err)
	}
	return s, nil
}

// end has the generator close its book and waits until it has ended.
func (w *writer) end() error {
	_, err := w.tell(generator.Command{Do: generator.End})
	w.in.Close()
	if err == nil {
		<-w.process.over
		err = w.process.ended()
	}
	w.close()
	return err
}

// close ends the generator at once, if it still runs.
func (w *writer) close() {
	w.process.kill()
	<-w.read
}
