package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"millrace/chaos/check"
)

// end is one of the programs under test, the agent or a member of the
// collector's group: one process after another. Its methods are for one
// goroutine.
type end struct {
	name  string // in reports
	argv  []string
	env   []string // beside the parent's
	admin string
	log   string
	http  *http.Client

	process    *process
	lives      int
	began      time.Time // of the present process
	ready      bool      // it was ready once
	unbalanced []string  // accounts that did not balance
}

// newEnd chooses the address at which the program answers. The files of dir
// that belong to it begin with its name.
func newEnd(name, dir string) (*end, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return &end{name: name, admin: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), log: filepath.Join(dir, name+".log"),
		http: &http.Client{Timeout: 2 * time.Second}}, nil
}

// programs are those that run beside this one.
type programs struct{ millrace, starrocks string }

// build builds the programs that are missing, of this module.
func (p programs) build(ctx context.Context, dir string) (programs, error) {
	for _, b := range []struct {
		path *string
		of   string
	}{{&p.millrace, "millrace"}, {&p.starrocks, "millrace/demo/starrocks"}} {
		if *b.path != "" {
			continue
		}
		*b.path = filepath.Join(dir, filepath.Base(b.of)+".program")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", *b.path, b.of).CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", b.of, err, out)
		}
	}
	return p, nil
}

// start starts the next process.
func (e *end) start() (err error) {
	e.ready = false
	e.lives++
	e.began = time.Now()
	e.process, err = launch(e.name, e.log, func(cmd *exec.Cmd) error {
		cmd.Env = append(cmd.Environ(), e.env...)
		return nil
	}, e.argv...)
	return err
}

// died is an error if the program ended although nobody asked it to.
func (e *end) died() error {
	if e.process.running() {
		return nil
	}
	return fmt.Errorf("the %s ended by itself (%w), life %d; its log ends with:\n%s", e.name, e.process.err, e.lives, tail(e.log))
}

func (e *end) get(path string) (code int, body string, err error) {
	answer, err := e.http.Get("http://" + e.admin + path)
	if err != nil {
		return 0, "", fmt.Errorf("ask the %s: %w", e.name, err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(b), err
}

// isReady asks for readiness. Once it was there it is remembered.
func (e *end) isReady() bool {
	code, _, err := e.get("/readyz")
	e.ready = e.ready || err == nil && code == http.StatusOK
	return err == nil && code == http.StatusOK
}

// why is what the program says about itself, for people.
func (e *end) why() string {
	code, body, err := e.get("/readyz")
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("/readyz %d: %s", code, strings.TrimSpace(body))
}

// families are metrics by name.
type families map[string]*dto.MetricFamily

// scrape reads the metrics.
func (e *end) scrape() (families, error) {
	_, body, err := e.get("/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("read /metrics: %w", err)
	}
	return all, nil
}

// sum adds up a counter or gauge, over all labels or those where one has a
// value.
func (f families) sum(name string, label ...string) (n int64) {
	for _, m := range f[name].GetMetric() {
		if len(label) == 0 || labelOf(m, label[0]) == label[1] {
			n += int64(m.GetCounter().GetValue() + m.GetGauge().GetValue())
		}
	}
	return n
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// ledger reads /status. An account that does not balance is remembered.
func (e *end) ledger() (*check.Ledger, error) {
	_, body, err := e.get("/status")
	if err != nil {
		return nil, err
	}
	l, err := check.ReadLedger([]byte(body))
	if err != nil {
		return nil, err
	}
	for _, d := range l.Unbalanced() {
		e.unbalanced = append(e.unbalanced, fmt.Sprintf("%s, life %d, %s", e.name, e.lives, d))
	}
	return l, nil
}

// kill ends the present process as kill -9 does.
func (e *end) kill() { e.process.kill() }

// stop ends it as Kubernetes does.
func (e *end) stop() error { return e.process.stop() }
