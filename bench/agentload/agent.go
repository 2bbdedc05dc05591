package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"millrace/bench/process"
)

// ticksPerSecond is the unit of /proc/PID/stat, USER_HZ: 100 on all of
// Linux's architectures that Go supports.
const ticksPerSecond = 100

// agent is the process that is measured.
type agent struct {
	*process.Process
	admin string
}

// startAgent starts an agent that reads the world's logs.
func startAgent(program string, w *world) (*agent, error) {
	admin, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(w.dir, "agent.yaml")
	if err := os.WriteFile(config, []byte(w.config(admin)), 0o600); err != nil {
		return nil, fmt.Errorf("write the agent's configuration: %w", err)
	}
	p, err := process.Start(filepath.Join(w.dir, "agent.log"), nil, program, "agent", "-config", config)
	if err != nil {
		return nil, err
	}
	return &agent{Process: p, admin: "http://" + admin}, nil
}

// wait lets time pass and scrapes meanwhile.
func (a *agent) wait(ctx context.Context, d, scrape time.Duration) error {
	end := time.NewTimer(d)
	defer end.Stop()
	var due <-chan time.Time
	if scrape > 0 {
		ticker := time.NewTicker(scrape)
		defer ticker.Stop()
		due = ticker.C
	}
	for {
		select {
		case <-due:
			if err := a.get(ctx, "/metrics", io.Discard); err != nil {
				return err
			}
		case <-end.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// get asks the admin address.
func (a *agent) get(ctx context.Context, path string, to io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.admin+path, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", path, err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the agent: %s answers %s", path, answer.Status)
	}
	if _, err := io.Copy(to, answer.Body); err != nil {
		return fmt.Errorf("ask the agent: read %s: %w", path, err)
	}
	return nil
}

// profile keeps the profiles of the agent.
func (a *agent) profile(ctx context.Context, dir, name string) error {
	for kind, path := range map[string]string{"heap": "/debug/pprof/heap", "cpu": "/debug/pprof/profile?seconds=10", "goroutine": "/debug/pprof/goroutine?debug=1"} {
		f, err := os.Create(filepath.Join(dir, name+"."+kind))
		if err != nil {
			return fmt.Errorf("keep a profile: %w", err)
		}
		if err := errors.Join(a.get(ctx, path, f), f.Close()); err != nil {
			return err
		}
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", a.PID()))
	if err != nil {
		return fmt.Errorf("read the agent's mappings: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, name+".smaps"), maps, 0o644)
}

// sample is what is known of the agent at one moment.
type sample struct {
	at                    time.Time
	rss, peak, anon, file int64 // bytes
	user, system          int64 // ticks
	threads, files        int64
	delivered             int64
	gauges                map[string]float64 // metrics without labels
}

// sample looks at the agent. The numbers of /proc come first: asking for the
// metrics costs what is measured.
func (a *agent) sample(ctx context.Context) (s sample, err error) {
	s.at = time.Now()
	proc := fmt.Sprintf("/proc/%d", a.PID())
	if err := s.readStatus(filepath.Join(proc, "status")); err != nil {
		return s, err
	}
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return s, fmt.Errorf("look at the agent: %w", err)
	}
	// The name, which may hold spaces, is in parentheses; utime is field 14.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	s.user, s.system = number(fields[11]), number(fields[12])
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return s, fmt.Errorf("look at the agent: %w", err)
	}
	s.files = int64(len(files))
	var metrics strings.Builder
	if err := a.get(ctx, "/metrics", &metrics); err != nil {
		return s, err
	}
	s.readMetrics(metrics.String())
	return s, nil
}

// readStatus takes over /proc/PID/status.
func (s *sample) readStatus(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("look at the agent: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		n := number(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch key {
		case "VmRSS":
			s.rss = n << 10
		case "VmHWM":
			s.peak = n << 10
		case "RssAnon":
			s.anon = n << 10
		case "RssFile":
			s.file = n << 10
		case "Threads":
			s.threads = n
		}
	}
	return nil
}

// readMetrics takes over what /metrics says, in Prometheus' text format.
func (s *sample) readMetrics(text string) {
	s.gauges = map[string]float64{}
	for line := range strings.Lines(text) {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil {
			continue
		}
		if strings.HasPrefix(line, "millrace_records_delivered_total{") {
			s.delivered += int64(value)
		}
		s.gauges[line[:at]] = value
	}
}

// number is 0 for what is none.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
