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
	"syscall"
	"time"
)

// process is a child of this program.
type process struct {
	name, log string
	cmd       *exec.Cmd
	began     time.Time
	over      chan struct{} // closed when it has been waited for
	err       error         // of Wait, or errEnded; set before over is closed
}

// launch starts a process whose output is appended to a log file, but for what
// change takes from it. Whoever starts one kills or stops it.
func launch(name, log string, change func(*exec.Cmd) error, argv ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	p := &process{name: name, log: log, cmd: exec.Command(argv[0], argv[1:]...), over: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	bind(p.cmd)
	if change != nil {
		if err := change(p.cmd); err != nil {
			out.Close()
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
	}
	begun := make(chan error, 1)
	go func() {
		// The death signal is bound to the thread that starts the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.over)
		defer out.Close()
		err := p.cmd.Start()
		p.began = time.Now()
		begun <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		if p.err == nil {
			p.err = errEnded
		}
	}()
	if err := <-begun; err != nil {
		<-p.over
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// running says whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.over:
		return false
	default:
		return true
	}
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-p.over
}

// graceTime is how long a process may take to end after SIGTERM.
const graceTime = 40 * time.Second

// stop ends the process as Kubernetes does. An error means that it did not end
// well, or not in time.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	grace := time.NewTimer(graceTime)
	defer grace.Stop()
	select {
	case <-p.over:
		return p.ended()
	case <-grace.C:
		p.kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed", p.name, graceTime)
	}
}

// errEnded is how a process ends that has nothing more to do.
var errEnded = errors.New("exit code 0")

// ended is nil if the process ended with exit code 0. It has to be over.
func (p *process) ended() error {
	if p.err == errEnded {
		return nil
	}
	return fmt.Errorf("%s ended (%w); its log ends with:\n%s", p.name, p.err, tail(p.log))
}

// tail is the end of a log file, for people.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 3000
	if info, err := f.Stat(); err == nil && info.Size() > most {
		f.Seek(-most, io.SeekEnd) //nolint:errcheck // then it reads from the start
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b))
}

// pause lets time pass. Its error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errPatience is why until gave up.
var errPatience = errors.New("out of patience")

// until asks every few milliseconds until the answer is yes, at most for so
// long. A question's error ends it.
func until(ctx context.Context, most time.Duration, done func() (bool, error)) error {
	return askEvery(ctx, 10*time.Millisecond, most, done)
}

// slowly is until for questions that cost something.
func slowly(ctx context.Context, most time.Duration, done func() (bool, error)) error {
	return askEvery(ctx, 100*time.Millisecond, most, done)
}

func askEvery(ctx context.Context, every, most time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, errPatience)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
}
