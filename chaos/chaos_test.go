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
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// program builds millrace once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "millrace-chaos-")
	if err != nil {
		return "", err
	}
	return build(context.Background(), dir)
})

// chaos runs the command and returns its exit code and output.
func chaos(t *testing.T, args string) (code int, out string) {
	t.Helper()
	path, err := program()
	if err != nil {
		return 1, err.Error()
	}
	var buf bytes.Buffer
	code = command(append(strings.Fields(args), "-millrace", path, "-dir", filepath.Join(t.TempDir(), "run")), &buf, &buf)
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
		{"kills", "-seed 1 -agent-kills 4 -broker-kills 1 -rate 2000 -containers 10 -cycle 700ms -settle 700ms", 0,
			[]string{" agent_kills=4/", " broker_kills=1/", " lost=0 repeated=0 reordered=0 unexpected=0 ledger=equal "}},
		// An agent that is dead for longer than files are kept counts the
		// gaps, and nothing else is lost.
		{"away for too long", "-seed 3 -away 10 -agent-kills 1 -broker-kills 0 -rotate 200ms -rate 1000 -containers 4 -settle 700ms", 0,
			[]string{" agent_kills=1/1 ", " repeated=0 reordered=0 unexpected=0 ledger=equal ", "missed: 4 gaps of 4, "}},
		// The harness finds what it looks for.
		{"break lost", "-seed 2 -break lost -rate 1000 -containers 4 -settle 500ms", 0, []string{" lost=1 ", "planted one lost "}},
		{"break repeated", "-seed 2 -break repeated -rate 1000 -containers 4 -settle 500ms", 0, []string{" repeated=1 ", "planted one repeated "}},
		{"break reordered", "-seed 2 -break reordered -rate 1000 -containers 4 -settle 500ms", 0, []string{" reordered=1 ", "planted one reordered "}},
		{"break miscounted", "-seed 2 -break miscounted -rate 1000 -containers 4 -settle 500ms", 0, []string{" ledger=DIFFERENT ", "planted one miscounted "}},
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
	for _, args := range []string{"-break nothing", "-rotate 1ms", "-no-such-flag", "argument"} {
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
			Agent: kills{Counted: 10, Uncounted: 1, Windows: map[string]int{"working": 10}}}
		if err := s.append(log); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	code := command([]string{"-sum", log}, &buf, &buf)
	for _, want := range []string{"3 parts", "agent_kills=30/33", "lines=3000", "repeated=3", "working=30"} {
		if code != 0 || !strings.Contains(buf.String(), want) {
			t.Errorf("exit code %d, %s is missing: %s", code, want, buf.String())
		}
	}
}
