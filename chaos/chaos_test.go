package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	if child, code := runChild(os.Args[1:]); child {
		os.Exit(code)
	}
	code := m.Run()
	if p, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(p.millrace))
	}
	os.Exit(code)
}

// built builds the programs once for all tests.
var built = sync.OnceValues(func() (programs, error) {
	dir, err := os.MkdirTemp("", "millrace-chaos-")
	if err != nil {
		return programs{}, err
	}
	return programs{}.build(context.Background(), dir)
})

// chaos runs the command and returns its exit code and output.
func chaos(t *testing.T, args string) (code int, out string) {
	t.Helper()
	p, err := built()
	if err != nil {
		return 1, err.Error()
	}
	var buf bytes.Buffer
	code = command(append(strings.Fields(args), "-millrace", p.millrace, "-starrocks", p.starrocks, "-dir", filepath.Join(t.TempDir(), "run")), &buf, &buf)
	return code, buf.String()
}

// Whole runs, side by side, since they wait more than they work.
func TestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("whole runs of the program take half a minute")
	}
	var runs sync.WaitGroup
	for _, c := range []struct {
		name, args string
		code       int
		want       []string
	}{
		// The agent and the broker are killed while files rotate, containers
		// restart and pods go: no line is lost, repeated or out of order, and
		// the ledgers are right.
		{"kills", "-table=false -seed 1 -agent-kills 4 -broker-kills 1 -rate 2000 -containers 10 -cycle 700ms -settle 700ms", 0,
			[]string{" agent_kills=4/", " broker_kills=1/", " lost=0 repeated=0 reordered=0 unexpected=0 ledger=equal "}},
		// An agent that is dead for longer than files are kept counts the
		// gaps, and nothing else is lost.
		{"away for too long", "-table=false -seed 3 -away 10 -agent-kills 1 -broker-kills 0 -rotate 200ms -rate 1000 -containers 4 -settle 700ms", 0,
			[]string{" agent_kills=1/1 ", " repeated=0 reordered=0 unexpected=0 ledger=equal ", "missed: 4 gaps of 4, "}},
		// Collectors and StarRocks are killed while answers are lost and labels
		// forgotten: each line is in the table once, as it is on the topic.
		{"table", "-seed 6 -agent-kills 2 -collector-kills 4 -starrocks-kills 2 -rate 1500 -containers 8 -cycle 500ms -settle 700ms", 0,
			[]string{" collector_kills=4/", " starrocks_kills=2/", " lost=0 repeated=0 reordered=0 unexpected=0 unlike_topic=0 ledger=equal "}},
		// The harness finds what it looks for.
		{"break lost", "-table=false -seed 2 -break lost -rate 1000 -containers 4 -settle 500ms", 0, []string{" lost=1 ", "planted one lost "}},
		{"break repeated", "-table=false -seed 2 -break repeated -rate 1000 -containers 4 -settle 500ms", 0, []string{" repeated=1 ", "planted one repeated "}},
		{"break reordered", "-table=false -seed 2 -break reordered -rate 1000 -containers 4 -settle 500ms", 0, []string{" reordered=1 ", "planted one reordered "}},
		{"break miscounted", "-table=false -seed 2 -break miscounted -rate 1000 -containers 4 -settle 500ms", 0, []string{" ledger=DIFFERENT ", "planted one miscounted "}},
	} {
		runs.Go(func() {
			code, out := chaos(t, c.args)
			ok := code == c.code
			for _, want := range c.want {
				ok = ok && strings.Contains(out, want)
			}
			if !ok {
				t.Errorf("%s: exit code %d, want %d and %q\n%s", c.name, code, c.code, c.want, out)
			}
		})
	}
	runs.Wait()
}

func TestWrongUsage(t *testing.T) {
	for _, args := range []string{"-break nothing", "-break row-lost -table=false", "-rotate 1ms", "-no-such-flag", "argument"} {
		var buf bytes.Buffer
		if code := command(strings.Fields(args), &buf, &buf); code != 2 || buf.Len() == 0 {
			t.Errorf("%s: exit code %d, %q", args, code, buf.String())
		}
	}
}

// A long run may be the sum of several.
func TestSum(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for part := range uint64(3) {
		s := tally{Seed: 7, Part: part, Delivery: "exactly_once", Lines: 1000, Repeated: int64(part),
			Agent:     kills{Counted: 10, Uncounted: 1, Windows: map[string]int{"working": 10}},
			Collector: kills{Counted: 4, Windows: map[string]int{memberPlanned: 2}},
			Table:     &rows{Rows: 900, Unlike: 1, Faults: map[string]int{"cut answer": 5}}}
		if err := s.append(log); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	code := command([]string{"-sum", log}, &buf, &buf)
	for _, want := range []string{"3 parts", "agent_kills=30/33", "lines=3000", "repeated=3", "working=30", "rows=2700", "unlike_topic=3", "cut-answer=15", "collector_kills=12/12", "planned=6"} {
		if code != 0 || !strings.Contains(buf.String(), want) {
			t.Errorf("exit code %d, %s is missing: %s", code, want, buf.String())
		}
	}
}
