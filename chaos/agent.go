package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"millrace/chaos/check"
	"millrace/chaos/line"
)

// agent is the program under test: one process after another.
type agent struct {
	argv  []string
	admin string
	log   string
	http  *http.Client

	process *process
	lives   int
	ready   bool      // the present process was ready once
	scraped metrics   // of the present process, the last answer
	former  metrics   // of those before it, added up
	missing []string  // accounts that did not balance
	began   time.Time // of the present process
}

// metrics are those that matter here.
type metrics struct {
	Delivered   int64 `json:"delivered"`
	MissedFiles int64 `json:"missed_files"`
	MissedBytes int64 `json:"missed_bytes"`
}

func (m metrics) plus(o metrics) metrics {
	return metrics{m.Delivered + o.Delivered, m.MissedFiles + o.MissedFiles, m.MissedBytes + o.MissedBytes}
}

// newAgent writes the agent's configuration. Its data and the node's log
// files are below one directory, as on a node.
func newAgent(c *cluster, o *options, dir, program string) (*agent, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	a := &agent{admin: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), log: filepath.Join(dir, "agent.log"),
		http: &http.Client{Timeout: 2 * time.Second}}
	file := filepath.Join(dir, "agent.yaml")
	a.argv = []string{program, "agent", "-config", file}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(c.agent.password), 0o600); err != nil {
		return nil, fmt.Errorf("write the agent's password: %w", err)
	}
	if err := os.WriteFile(file, []byte(a.config(c, o, dir)), 0o600); err != nil {
		return nil, fmt.Errorf("write the agent's configuration: %w", err)
	}
	return a, nil
}

func (a *agent) config(c *cluster, o *options, dir string) string {
	more := ""
	if c.ca != "" {
		more += "\n        tls: {ca_file: " + c.ca + "}"
	}
	if o.exact() {
		more += fmt.Sprintf("\n        transaction: {interval: %s, timeout: 10s, positions_topic: %s}", o.interval, c.positions)
	}
	return fmt.Sprintf(`data_dir: %[1]s/node/millrace
admin: "%[2]s"
log: {level: info, format: text}
kubernetes: {cluster: chaos, node: node-1, metadata: path, log_dir: %[1]s/node/pods}
pipelines:
  - name: chaos
    source: {containers: {include: [{namespaces: [chaos]}]}}
    filters: [{drop: {field: message, match: '%[3]s'}}]
    output:
      kafka:
        brokers: ["%[4]s"]
        topic: %[5]s
        delivery: %[6]s
        key: %[7]s
        sasl: {username: %[8]s, password_file: %[1]s/password}%[9]s
`, dir, a.admin, line.DropPattern, strings.Join(c.addrs, `", "`), c.topic, o.delivery, o.key, c.agent.user, more)
}

// build builds the program of this module.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "millrace")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "millrace").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build millrace: %w\n%s", err, out)
	}
	return path, nil
}

// start starts the next process.
func (a *agent) start() (err error) {
	a.former = a.former.plus(a.scraped)
	a.scraped, a.ready = metrics{}, false
	a.lives++
	a.began = time.Now()
	a.process, err = launch("agent", a.log, nil, a.argv...)
	return err
}

// died is an error if the agent ended although nobody asked it to.
func (a *agent) died() error {
	if a.process.running() {
		return nil
	}
	return fmt.Errorf("the agent ended by itself (%w), life %d; its log ends with:\n%s", a.process.err, a.lives, tail(a.log))
}

func (a *agent) get(path string) (code int, body string, err error) {
	answer, err := a.http.Get("http://" + a.admin + path)
	if err != nil {
		return 0, "", fmt.Errorf("ask the agent: %w", err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(b), err
}

// isReady asks for readiness. Once it was there it is remembered.
func (a *agent) isReady() bool {
	code, _, err := a.get("/readyz")
	a.ready = a.ready || err == nil && code == http.StatusOK
	return err == nil && code == http.StatusOK
}

// why is what the agent says about itself, for people.
func (a *agent) why() string {
	code, body, err := a.get("/readyz")
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("/readyz %d: %s", code, strings.TrimSpace(body))
}

// scrape reads the metrics that matter.
func (a *agent) scrape() error {
	_, body, err := a.get("/metrics")
	if err != nil {
		return err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("read /metrics: %w", err)
	}
	sum := func(name string) (n int64) {
		for _, m := range families[name].GetMetric() {
			n += int64(m.GetCounter().GetValue() + m.GetGauge().GetValue())
		}
		return n
	}
	a.scraped = metrics{Delivered: sum("millrace_records_delivered_total"),
		MissedFiles: sum("millrace_agent_missed_files_total"), MissedBytes: sum("millrace_agent_missed_bytes_total")}
	return nil
}

// ledger reads /status. An account that does not balance is remembered.
func (a *agent) ledger() (*check.Ledger, error) {
	_, body, err := a.get("/status")
	if err != nil {
		return nil, err
	}
	l, err := check.ReadLedger([]byte(body))
	if err != nil {
		return nil, err
	}
	for _, d := range l.Unbalanced() {
		a.missing = append(a.missing, fmt.Sprintf("life %d, %s", a.lives, d))
	}
	return l, nil
}

// look reads metrics and ledger, if the agent answers. An error is that it has
// ended by itself.
func (a *agent) look() (answered bool, err error) {
	err = a.scrape()
	if err == nil {
		_, err = a.ledger()
	}
	return err == nil, a.died()
}

// kill ends the present process as kill -9 does.
func (a *agent) kill() { a.process.kill() }

// stop ends it as Kubernetes does.
func (a *agent) stop() error { return a.process.stop() }
