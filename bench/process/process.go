// Package process runs programs as children that are measured: what they used
// of CPU and memory is theirs alone, whatever the program that measures does
// meanwhile. Linux only.
//
// Every child has one goroutine, which waits for its end; Stop ends it. The
// methods may be called concurrently, but for Stop, which is called once.
package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Process is a child that was started.
type Process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // of its end; read it after ended
}

// Start runs a program with a file for its output; out, if not nil, is its
// standard output, and the caller's.
func Start(log string, out io.Writer, name string, args ...string) (*Process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("create a log: %w", err)
	}
	defer f.Close()
	p := &Process{cmd: exec.Command(name, args...), log: log, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if out != nil {
		p.cmd.Stdout = out
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID is the child's process identifier.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the child is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Stop ends the child as Kubernetes does, with SIGTERM, and waits for it. One
// that ended badly, or is not gone after a minute and was killed, has an error
// that quotes the end of its log.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	select {
	case <-p.ended:
	case <-patience.C:
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w; its log ends with:\n%s", filepath.Base(p.cmd.Path), p.err, p.LogEnd())
	}
	return nil
}

// LogEnd is the end of what the child has written, at most 2,000 bytes.
func (p *Process) LogEnd() string {
	log, _ := os.ReadFile(p.log) // without it the error must do
	return string(log[max(0, len(log)-2000):])
}

// Usage is what the child, which still runs, has used until now.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.PID()) }

// CPU is the user and system time of the child's whole life, with that of its
// own children it waited for. It is known when the child is gone.
func (p *Process) CPU() time.Duration {
	<-p.ended
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// FreeAddr is an address of the loopback interface on which nobody listens
// now.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Pause lets time pass. Its error is that of ctx, which may end it.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
