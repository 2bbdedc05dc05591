package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a child used is told while it runs and after its end, and is not that
// of the program which measures.
func TestChildIsMeasured(t *testing.T) {
	dir := t.TempDir()
	p, err := Start(filepath.Join(dir, "log"), nil, "sh", "-c",
		`trap 'exit 0' TERM; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; : >"$0"; while :; do sleep 0.01; done`, filepath.Join(dir, "done"))
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
			break
		}
	}
	u, err := p.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU < 10*time.Millisecond || u.RSS == 0 || u.Peak < u.RSS || u.Peak > 32<<20 {
		t.Errorf("a shell that counted to 200,000 used %v, %d bytes, at most %d", u.CPU, u.RSS, u.Peak)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if p.CPU() < u.CPU-10*time.Millisecond {
		t.Errorf("%v at its end after %v", p.CPU(), u.CPU)
	}
	if _, err := p.Usage(); err == nil {
		t.Error("a process that is gone has a usage")
	}
}

func TestBadEndQuotesTheLog(t *testing.T) {
	p, err := Start(filepath.Join(t.TempDir(), "log"), nil, "sh", "-c", "echo no such topic >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such topic") {
		t.Errorf("got %v", err)
	}
}
