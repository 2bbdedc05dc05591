package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scripts are children of every kind. They speak when they listen to signals.
var scripts = map[string]string{
	"obedient": `trap "exit 0" TERM; echo "I am obedient"; while :; do sleep 0.01; done`,
	"stubborn": `trap "exit 5" TERM; echo "I am stubborn"; while :; do sleep 0.01; done`,
	"crasher":  `echo "I am crasher"; exit 3`,
}

// launch starts a script as a child.
func launch(t *testing.T, as string) *child {
	t.Helper()
	c, err := startChild(as, filepath.Join(t.TempDir(), "log"), "/bin/sh", "-c", scripts[as])
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
