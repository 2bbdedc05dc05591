package starrockstest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Events of the event log that are no faults.
const (
	eventEvicted   FaultKind = "label evicted"
	eventForgotten FaultKind = "evicted label asked for"
	eventReused    FaultKind = "evicted label loaded again"
)

// eventLog keeps what struck, one line each, so that a run over many restarts
// can be counted. A line is written before its fault has any effect; it
// outlives a kill of the process, not of the machine.
type eventLog struct{ file *os.File }

// openEvents counts the events of earlier lives and opens the log for the
// next ones.
func (s *Server) openEvents() error {
	if s.cfg.Dir == "" {
		return nil
	}
	file, err := os.OpenFile(filepath.Join(s.cfg.Dir, "events.log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open event log: %w", err)
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.events = &eventLog{file}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		kind, label, whole := strings.Cut(lines.Text(), "\t")
		if whole {
			s.faults.struck[FaultKind(kind)]++
		}
		if FaultKind(kind) == eventEvicted {
			s.faults.evicted[label] = true
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read event log: %w", err)
	}
	return nil
}

func (l *eventLog) add(kind, label string) {
	if l != nil {
		_, _ = l.file.WriteString(kind + "\t" + label + "\n") // a count that is missing shows in the sum
	}
}

func (l *eventLog) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// note counts an event that is no fault. A label that an earlier life evicted
// and the edit log brought back is not counted again.
func (f *faults) note(event FaultKind, label string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if event == eventEvicted {
		if f.evicted[label] {
			return
		}
		f.evicted[label] = true
	}
	f.struck[event]++
	f.events.add(string(event), label)
}
