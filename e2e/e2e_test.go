// Package e2e runs the real program, agent and collector as two processes,
// against a Kafka and a stand-in StarRocks, and compares the table with what
// was written, line by line.
//
// Kafka is in this process (kfake), unless the environment names a real one:
//
//	KAFKA_CONTROL     a command that controls it: topic NAME PARTITIONS,
//	                  user NAME PASSWORD, allow producer USER TOPIC,
//	                  allow consumer USER TOPIC GROUP, kill, start,
//	                  consume TOPIC ARGS (the console consumer)
//	BOOTSTRAP_SASL    its address with TLS, SCRAM-SHA-512 and ACLs
//	KAFKA_CA          the CA of its certificate
//
// Tests that need the real one are skipped by name without it.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program builds millrace once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "millrace-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "millrace")
	if out, err := exec.Command("go", "build", "-o", path, "millrace").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build millrace: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is one end, running as its own process.
type process struct {
	*testing.T
	name, admin string
	argv        []string
	log         *os.File
	cmd         *exec.Cmd
}

// newProcess writes the configuration, whose ADMIN is replaced by a free
// address, and starts the end.
func newProcess(t *testing.T, name, config string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &process{T: t, name: name, admin: freeAddr(t)}
	file := filepath.Join(dir, name+".yaml")
	writeFile(t, file, strings.ReplaceAll(config, "ADMIN", p.admin))
	p.argv = []string{path, name, "-config", file}
	if p.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.cleanUp)
	p.start()
	return p
}

func (p *process) start() {
	p.Helper()
	p.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.Fatal(err)
	}
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	p.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.Fatal(err)
	}
	p.cmd.Wait() //nolint:errcheck // it was killed
}

// stop ends the process as Kubernetes does, and expects it to end well.
func (p *process) stop() {
	p.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.Errorf("%s ended with %v", p.name, err)
	}
}

func (p *process) cleanUp() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	p.cmd.Wait()         //nolint:errcheck // likewise
	if p.Failed() {
		if log, err := os.ReadFile(p.log.Name()); err == nil {
			p.Logf("log of the %s, the end:\n%s", p.name, log[max(0, len(log)-8000):])
		}
	}
	p.log.Close()
}

// get asks the admin address.
func (p *process) get(path string) (code int, body string) {
	answer, err := http.Get("http://" + p.admin + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(data)
}

// readyWith waits until /readyz says each of the words, with the given code.
func (p *process) readyWith(code int, words ...string) {
	p.Helper()
	var got int
	var body string
	p.eventually(func() bool {
		got, body = p.get("/readyz")
		for _, w := range words {
			if !strings.Contains(body, w) {
				return false
			}
		}
		return got == code
	}, func() string {
		return fmt.Sprintf("%s: readyz is %d %q, want %d and %q", p.name, got, body, code, words)
	})
}

// patience bounds every wait for what has to happen.
const patience = 90 * time.Second

func (p *process) eventually(done func() bool, what func() string) {
	p.Helper()
	if err := until(p.Context(), done); err != nil {
		p.Fatal(what())
	}
}

// until asks ten times a second until the answer is yes.
func until(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("out of patience"))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
