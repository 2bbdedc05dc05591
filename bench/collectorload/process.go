package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is the unit of /proc/PID/stat, USER_HZ: 100 on all of
// Linux's architectures that Go supports.
const ticksPerSecond = 100

// usage is what a process has used until a moment.
type usage struct {
	at   time.Time
	cpu  time.Duration // user and system
	peak int64         // bytes of memory, at most until then
}

func usageOf(pid int) (u usage, err error) {
	u.at = time.Now()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("look at the process: %w", err)
	}
	// The name, which may hold spaces, is in parentheses; utime is field 14.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	u.cpu = time.Duration(number(fields[11])+number(fields[12])) * time.Second / ticksPerSecond
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("look at the process: %w", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	u.peak = number(strings.TrimSuffix(strings.TrimSpace(line), " kB")) << 10
	return u, nil
}

// number is 0 for what is none.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// loadAverage is of the last minute: whether somebody else used the cores.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg") // Linux only, as all of this
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// program is a process that we started.
type program struct {
	cmd   *exec.Cmd
	log   string
	ended chan error
}

// start runs a program whose output goes to a file; out, if not nil, is its
// standard output.
func start(log string, out io.Writer, name string, args ...string) (*program, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("create a log: %w", err)
	}
	defer f.Close()
	p := &program{cmd: exec.Command(name, args...), log: log, ended: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if out != nil {
		p.cmd.Stdout = out
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p, nil
}

// stop ends the process as Kubernetes does. One that ended by itself has an
// error, which quotes its log.
func (p *program) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	if err := <-p.ended; err != nil {
		log, _ := os.ReadFile(p.log) // without it the error must do
		return fmt.Errorf("%s: %w; its log ends with:\n%s", filepath.Base(p.cmd.Path), err, log[max(0, len(log)-2000):])
	}
	return nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// standin is StarRocks' stand-in as a process of its own, which counts rows
// and drops them.
type standin struct {
	*program
	Leader, MySQL, Control string
}

func startStandin(file, dir string, tables string) (s *standin, err error) {
	ddl := filepath.Join(dir, "tables.sql")
	if err := os.WriteFile(ddl, []byte(tables), 0o600); err != nil {
		return nil, fmt.Errorf("write the table's definition: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the stand-in: %w", err)
	}
	defer r.Close()
	s = &standin{}
	s.program, err = start(filepath.Join(dir, "standin.log"), w, file, "-discard",
		"-user", "root:", "-user", user+":"+password, "-backends", "127.0.0.1:0,127.0.0.1:0,127.0.0.1:0", "-ddl", "CREATE DATABASE "+database, "-ddl", ddl)
	w.Close()
	if err != nil {
		return nil, err
	}
	if err := json.NewDecoder(r).Decode(s); err != nil {
		return nil, errors.Join(fmt.Errorf("read the stand-in's addresses: %w", err), s.stop())
	}
	return s, nil
}

// counted is what the stand-in has been sent.
type counted struct{ Loads, Rows, Bytes int64 }

func (s *standin) counted() (counted, error) {
	var state struct{ Stats counted }
	err := get("http://"+s.Control+"/", func(body io.Reader) error { return json.NewDecoder(body).Decode(&state) })
	return state.Stats, err
}
