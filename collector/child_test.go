package collector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/config"
	"millrace/internal/ops"
	"millrace/outputs/starrocks/starrockstest"
)

// childConfig names the configuration of a collector that this test binary is
// to be, instead of running tests.
const childConfig = "MILLRACE_TEST_COLLECTOR"

func TestMain(m *testing.M) {
	path := os.Getenv(childConfig)
	if path == "" {
		os.Exit(m.Run())
	}
	trust = 2 * time.Second
	var c Config
	if err := config.Load(path, &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := ops.NewProcess(ops.LogConfig{Level: "debug"}, os.Stderr).Run(ctx, c.Admin, func(ctx context.Context, p *ops.Process) error {
		return Run(ctx, &c, p)
	})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// long leaves out what takes long, with go test -short.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}

// child is a collector in a process of its own, which can die.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  string
	gone chan struct{}
}

// spawn starts a collector; oldnew changes its configuration.
func spawn(t *testing.T, b *broker, srv *starrockstest.Server, oldnew ...string) *child {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(testYAML, dir, strings.Join(b.addrs, ","), strings.Join(srv.FrontendURLs(), ","), srv.MySQLAddr())
	// A static member is back at once after its death.
	text = "admin: \"\"\n" + strings.Replace(text, "group: millrace-kong", "group: millrace-kong, instance_id: kong-0", 1)
	text = strings.NewReplacer(oldnew...).Replace(text)
	path := filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0]), log: filepath.Join(dir, "log"), gone: make(chan struct{})}
	out, err := os.Create(c.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c.cmd.Env = append(os.Environ(), childConfig+"="+path)
	c.cmd.Stdout, c.cmd.Stderr = out, out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process, which Cleanup waits for
		_ = c.cmd.Wait() // it is killed on purpose
		close(c.gone)
	}()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			text, err := os.ReadFile(c.log)
			t.Logf("the log of a collector (%v):\n%s", err, text)
		}
	})
	return c
}

// signal sends a signal; the process may be gone.
func (c *child) signal(sig os.Signal) {
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Error(err)
	}
}

// kill is kill -9.
func (c *child) kill() {
	c.signal(syscall.SIGKILL)
	<-c.gone
}

// shutDown is SIGTERM.
func (c *child) shutDown() {
	c.t.Helper()
	c.signal(syscall.SIGTERM)
	select {
	case <-c.gone:
	case <-time.After(patience):
		c.t.Error("the collector does not end")
		c.signal(syscall.SIGQUIT) // its goroutines go to the log
		<-c.gone
	}
}

// says waits until the log holds all the fragments.
func (c *child) says(fragments ...string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("the log says %q", fragments), func() bool {
		text, err := os.ReadFile(c.log)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, f := range fragments {
			if !strings.Contains(string(text), f) {
				return false
			}
		}
		return true
	})
}
