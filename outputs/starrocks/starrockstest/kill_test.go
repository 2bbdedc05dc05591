package starrockstest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

const childVar = "STARROCKSTEST_CHILD" // set: the test binary is the program

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// child is a server in a process of its own.
type child struct {
	*exec.Cmd
	serverState
}

func startChild(t *testing.T, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0], args...)}
	c.Env, c.Stderr = append(os.Environ(), childVar+"=1"), os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the child said nothing: %v", err)
	}
	if err := json.Unmarshal(line, &c.serverState); err != nil {
		t.Fatal(err)
	}
	return c
}

// kill is kill -9.
func (c *child) kill() {
	if c.ProcessState == nil {
		_ = c.Process.Kill() // it may be dead
		_ = c.Wait()         // it was killed
	}
}

func (c *child) load(label, body string) (answer string, err error) {
	r, err := http.NewRequest("PUT", "http://"+c.Backends[0]+"/api/quickstart/kong_log_events/_stream_load", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.SetBasicAuth("root", "")
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("format", "json")
	r.Header.Set("label", label)
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

const rowsOfALoad = 7

// wave loads from several clients at once and kills the child after some
// answers; it returns the labels that were answered with Success, and all.
func (c *child) wave(t *testing.T, name string, answers int64) (good, sent []string) {
	var n atomic.Int64
	var mu sync.Mutex
	var clients sync.WaitGroup
	for k := range 4 {
		clients.Go(func() {
			for i := 0; ; i++ {
				label := fmt.Sprintf("%s-%d-%d", name, k, i)
				mu.Lock()
				sent = append(sent, label)
				mu.Unlock()
				answer, err := c.load(label, strings.Repeat(goodRow, rowsOfALoad))
				if err != nil {
					return
				}
				if !strings.Contains(answer, `"Success"`) {
					t.Errorf("%s: %s", label, answer)
				}
				mu.Lock()
				good = append(good, label)
				mu.Unlock()
				if n.Add(1) == answers {
					_ = c.Process.Kill() // kill -9 with up to four loads in flight
				}
			}
		})
	}
	clients.Wait()
	c.kill()
	return good, sent
}

// TestKilled kills a server with SIGKILL while clients load, again and again.
// What was answered is there, all of it; what was not is there whole or not at
// all, and its label says which.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	ddl := filepath.Join(dir, "table.sql")
	if err := os.WriteFile(ddl, []byte(userTable), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-dir", filepath.Join(dir, "data"), "-ddl", ddl, "-set", "compaction_versions_per_second=1000"}
	kills, good, sent := 8, map[string]bool{}, []string{}
	if testing.Short() {
		kills = 3
	}
	for life := range kills {
		c := startChild(t, args...)
		if life == 0 { // the addresses stay
			args = append(args, "-frontend", c.Frontends[0], "-backends", c.Backends[0], "-mysql", c.MySQL)
		}
		g, s := c.wave(t, fmt.Sprint("w", life), 1+rand.Int64N(40))
		for _, label := range g {
			good[label] = true
		}
		sent = append(sent, s...)
	}
	checkLabels(t, filepath.Join(dir, "data"), good, sent)
	t.Logf("%d kills, %d loads answered, %d not", kills, len(good), len(sent)-len(good))
}

func checkLabels(t *testing.T, dir string, good map[string]bool, sent []string) {
	t.Helper()
	s, err := New(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := map[string]int{}
	for row := range s.Rows("quickstart", "kong_log_events") {
		rows[row.Label]++
	}
	for _, label := range sent {
		visible, n := s.Label("quickstart", label).State == StateVisible, rows[label]
		if n != 0 && n != rowsOfALoad || visible != (n > 0) || good[label] && !visible {
			t.Errorf("%s: answered %v, visible %v, %d rows", label, good[label], visible, n)
		}
		delete(rows, label)
	}
	if len(rows) > 0 {
		t.Errorf("rows of labels that were never sent: %v", rows)
	}
}

// TestMainEndsBySignal: SIGTERM is no failure, and a wrong flag is told.
func TestMainEndsBySignal(t *testing.T) {
	c := startChild(t, "-ddl", userTable, "-user", "a:b", "-fault", "slow answer,delay=1ms")
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	for _, args := range [][]string{{"-nothing"}, {"-fault", "nothing"}, {"-ddl", "/nothing"}} {
		if code := Main(args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
