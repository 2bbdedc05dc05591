package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of /proc/PID/stat, USER_HZ: 100 on all of
// Linux's architectures that Go supports.
const ticksPerSecond = 100

// Usage is what a process has used until a moment.
type Usage struct {
	At   time.Time
	CPU  time.Duration // user and system, in steps of 10 ms
	RSS  int64         // bytes of memory at that moment
	Peak int64         // the most it was: VmHWM; ru_maxrss is not used, which a child inherits from its parent
}

// UsageOf asks /proc about a process, which need not be our child. A process
// that is gone has an error.
func UsageOf(pid int) (u Usage, err error) {
	u.At = time.Now()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("look at the process: %w", err)
	}
	// The name, which may hold spaces, is in parentheses; utime is field 14.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("look at the process: /proc/%d/stat is %q", pid, stat)
	}
	u.CPU = time.Duration(number(fields[11])+number(fields[12])) * time.Second / ticksPerSecond
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("look at the process: %w", err)
	}
	u.RSS, u.Peak = kilobytes(string(status), "VmRSS:"), kilobytes(string(status), "VmHWM:")
	return u, nil
}

// kilobytes is a size of /proc/PID/status, in bytes; a zombie has none.
func kilobytes(status, key string) int64 {
	_, rest, _ := strings.Cut(status, key)
	line, _, _ := strings.Cut(rest, "\n")
	return number(strings.TrimSuffix(strings.TrimSpace(line), " kB")) << 10
}

// number is 0 for what is none.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// LoadAverage is that of the machine over the last minute: it tells whether
// somebody else used the cores. It is 0 where it is not known.
func LoadAverage() float64 {
	text, _ := os.ReadFile("/proc/loadavg") // 0, then
	first, _, _ := strings.Cut(string(text), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}
