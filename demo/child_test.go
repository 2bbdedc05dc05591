package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test program stand in for a child: with DEMO_CHILD set it
// is one, and behaves as its first argument says.
func TestMain(m *testing.M) {
	if os.Getenv("DEMO_CHILD") != "" {
		os.Exit(beChild(os.Args[1], os.Args[2:]))
	}
	os.Exit(m.Run())
}

func beChild(as string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("I am", as)
	switch as {
	case "crasher":
		return 3
	case "stubborn":
		<-ctx.Done()
		return 5
	case "agent", "collector":
		go answer(as, args[len(args)-1])
	}
	<-ctx.Done()
	return 0
}

// answer serves the admin address that a configuration names, with the ledger
// of a process that has read ten lines.
func answer(as, config string) {
	text, err := os.ReadFile(config)
	if err != nil {
		panic(err)
	}
	addr := regexp.MustCompile(`admin: "(.*)"`).FindSubmatch(text)[1]
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if as == "collector" {
			http.Error(w, "kong/output: no backend alive", http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"pipelines":[{"name":"kong","ledger":{"read":10,"delivered":6,"filtered":1,"dropped":{"too_large":1},"pending":2},
			"accounts":[{"name":"kong/pod/proxy","labels":{"pod":"pod"},"read":10,"delivered":6,"filtered":1,"dropped":{"too_large":1},"pending":2}]}]}`)
	})
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# TYPE millrace_time_to_visible_seconds histogram\n"+
			`millrace_time_to_visible_seconds_bucket{pipeline="kong",le="1"} 90`+"\n"+
			`millrace_time_to_visible_seconds_bucket{pipeline="kong",le="2"} 100`+"\n"+
			`millrace_time_to_visible_seconds_bucket{pipeline="kong",le="+Inf"} 100`+"\n"+
			`millrace_time_to_visible_seconds_sum{pipeline="kong"} 70`+"\n"+
			`millrace_time_to_visible_seconds_count{pipeline="kong"} 100`+"\n")
	})
	panic(http.ListenAndServe(string(addr), nil))
}

// launch starts the test program as a child and waits until it has said so.
func launch(t *testing.T, as string) *child {
	t.Helper()
	t.Setenv("DEMO_CHILD", "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := startChild(as, filepath.Join(t.TempDir(), "log"), self, as)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-c.done:
		default:
			c.Stop() //nolint:errcheck // some tests want it to end badly
		}
	})
	return c
}

// until waits for a condition, for as long as the test may run.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !poll(ctx, 5*time.Millisecond, yes) {
		t.Fatal("in vain: " + what)
	}
}

// said waits until so many lives of a child have begun to speak.
func said(t *testing.T, c *child, lives int) {
	t.Helper()
	until(t, fmt.Sprint(lives, " lives of ", c.name), func() bool {
		return strings.Count(tail(c.log), "I am "+c.name) >= lives
	})
}

func TestChildIsRestarted(t *testing.T) {
	c := launch(t, "obedient")
	said(t, c, 1)
	first := c.state()
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	said(t, c, 2)
	c.Kill(t.Context())
	said(t, c, 3)
	if s := c.state(); s.Lives != 3 || s.PID == first.PID || !s.Running || s.Crashes != 0 {
		t.Errorf("%+v", s)
	}
	if err := syscall.Kill(c.state().PID, syscall.SIGKILL); err != nil { // by nobody's wish
		t.Fatal(err)
	}
	said(t, c, 4)
	if s := c.state(); s.Crashes != 1 {
		t.Errorf("%+v", s)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if s := c.state(); s.Running || s.Lives != 4 {
		t.Errorf("after the end: %+v", s)
	}
	if err := syscall.Kill(c.state().PID, 0); err == nil {
		t.Error("the process is still there")
	}
}

func TestChildThatEndsBadlyIsAnError(t *testing.T) {
	c := launch(t, "stubborn")
	said(t, c, 1)
	if err := c.Restart(t.Context()); err == nil || !strings.Contains(err.Error(), "restart stubborn: exit status 5") {
		t.Errorf("got %v", err)
	}
}

func TestChildThatCannotRunIsGivenUp(t *testing.T) {
	c := launch(t, "crasher")
	<-c.done
	err := c.err()
	if err == nil || !strings.Contains(err.Error(), "crasher ended 3 times right after its start (exit status 3)") || !strings.Contains(err.Error(), "I am crasher") {
		t.Errorf("got %v", err)
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	if _, err := startChild("agent", filepath.Join(t.TempDir(), "log"), "/no/such/program"); err == nil || !strings.Contains(err.Error(), "start agent") {
		t.Errorf("got %v", err)
	}
}
