package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// child is one process of the product under supervision: it is started again
// whenever it ends, until Stop. The supervising goroutine is its own thread,
// on which the kernel's death signal depends.
type child struct {
	name string
	argv []string
	log  string // file that takes both streams, of all lives

	quit chan struct{} // closed by Stop
	done chan struct{} // closed when the last life is over

	mu     sync.Mutex // held while a process is started
	final  bool       // no further life
	life   *life
	lives  int
	crash  int // ends that nobody asked for
	failed error
}

// life is one run of a child.
type life struct {
	number  int
	process *os.Process
	started time.Time
	over    chan struct{} // closed when it has been waited for
	asked   bool          // somebody wanted it to end
	err     error         // of Wait; set before over is closed
}

// graceTime is how long a child may take to end after SIGTERM.
const graceTime = 25 * time.Second

// startChild starts and supervises a process. It returns when the first life
// has begun, or cannot.
func startChild(name, log string, argv ...string) (*child, error) {
	c := &child{name: name, argv: argv, log: log, quit: make(chan struct{}), done: make(chan struct{})}
	begun := make(chan error, 1)
	go c.supervise(begun)
	if err := <-begun; err != nil {
		return nil, err
	}
	return c, nil
}

// supervise holds its thread, see bind.
func (c *child) supervise(begun chan<- error) {
	runtime.LockOSThread()
	defer close(c.done)
	short := 0
	for n := 1; ; n++ {
		l, wait, err := c.begin(n)
		if n == 1 {
			begun <- err
		}
		if n == 1 && err != nil || errors.Is(err, errFinal) {
			return
		}
		if err == nil {
			err = wait()
		}
		short++
		if l != nil && (c.wanted(l) || time.Since(l.started) > 10*time.Second) {
			short = 0
		}
		if short >= 3 {
			c.fail(fmt.Errorf("%s ended %d times right after its start (%w); its log ends with:\n%s", c.name, short, err, tail(c.log)))
			return
		}
		select {
		case <-c.quit:
			return
		case <-time.After(time.Duration(short) * 500 * time.Millisecond):
		}
	}
}

// wanted says that a life ended because it was asked to.
func (c *child) wanted(l *life) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return l.asked
}

var errFinal = errors.New("stopped for good")

// begin starts a life and returns what waits for its end.
func (c *child) begin(n int) (*life, func() error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final {
		return nil, nil, errFinal
	}
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("open log of %s: %w", c.name, err)
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	bind(cmd)
	if err := cmd.Start(); err != nil {
		out.Close()
		return nil, nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	l := &life{number: n, process: cmd.Process, started: time.Now(), over: make(chan struct{})}
	c.life, c.lives = l, n
	return l, func() error {
		err := cmd.Wait()
		out.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		l.err = err
		if !l.asked {
			c.crash++
		}
		close(l.over)
		return orElse(err, errors.New("exit code 0"))
	}, nil
}

// orElse is err, or the other where there is none.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func (c *child) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
}

// end asks the present life to end and waits until it has. It returns the
// life's error: nil for exit code 0.
func (c *child) end(ctx context.Context, sig syscall.Signal) error {
	c.mu.Lock()
	l := c.life
	l.asked = true
	c.mu.Unlock()
	if err := l.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", c.name, err)
	}
	grace := time.NewTimer(graceTime)
	defer grace.Stop()
	select {
	case <-l.over:
		if time.Since(l.started) < time.Second && terminated(l.err) {
			return nil // it did not listen for signals yet
		}
		return l.err
	case <-ctx.Done():
	case <-grace.C:
	}
	l.process.Kill() //nolint:errcheck // it may have ended by now
	<-l.over
	return fmt.Errorf("%s did not end within %s of %s and was killed", c.name, graceTime, sig)
}

// terminated says that a process ended by SIGTERM itself and not by its own
// handling of it.
func terminated(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	ws, ok := exit.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGTERM
}

// Restart ends the process with SIGTERM; a new one follows at once. An error
// means that the old one did not end as it should: exit code 0, in time.
func (c *child) Restart(ctx context.Context) error {
	if err := c.end(ctx, syscall.SIGTERM); err != nil {
		return fmt.Errorf("restart %s: %w", c.name, err)
	}
	return nil
}

// Kill ends the process with SIGKILL; a new one follows at once.
func (c *child) Kill(ctx context.Context) {
	c.end(ctx, syscall.SIGKILL) //nolint:errcheck // its error is "signal: killed", which was wanted
}

// Stop ends the process with SIGTERM, for good.
func (c *child) Stop() error {
	c.mu.Lock()
	c.final = true
	c.mu.Unlock()
	close(c.quit)
	err := c.end(context.Background(), syscall.SIGTERM)
	<-c.done
	if err != nil {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	return nil
}

// childState is what the page shows of a child.
type childState struct {
	Running bool      `json:"running"`
	PID     int       `json:"pid"`
	Lives   int       `json:"lives"`
	Crashes int       `json:"crashes"`
	Since   time.Time `json:"since"`
	Failed  string    `json:"failed,omitempty"`
}

func (c *child) state() childState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := childState{PID: c.life.process.Pid, Lives: c.lives, Crashes: c.crash, Since: c.life.started, Running: true}
	select {
	case <-c.life.over:
		s.Running = false
	default:
	}
	if c.failed != nil {
		s.Failed = c.failed.Error()
	}
	return s
}

// err is why the child is not started again, or nil.
func (c *child) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// tail is the end of a log file, for people.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 2000
	if info, err := f.Stat(); err == nil && info.Size() > most {
		f.Seek(-most, io.SeekEnd) //nolint:errcheck // then it reads from the start
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b))
}
