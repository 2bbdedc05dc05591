package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"millrace/chaos/line"
)

// agent is the node end.
type agent struct {
	*end
	scraped metrics // of the present process, the last answer
	former  metrics // of those before it, added up
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
func newAgent(c *cluster, o *options, dir string) (*agent, error) {
	e, err := newEnd("agent", dir)
	if err != nil {
		return nil, err
	}
	a := &agent{end: e}
	file := filepath.Join(dir, "agent.yaml")
	a.argv = []string{o.millrace, "agent", "-config", file}
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
        compression: %[10]s
        key: %[7]s
        sasl: {username: %[8]s, password_file: %[1]s/password}%[9]s
`, dir, a.admin, line.DropPattern, strings.Join(c.addrs, `", "`), c.topic, o.delivery, o.key, c.agent.user, more, o.compression)
}

// start starts the next process.
func (a *agent) start() error {
	a.former = a.former.plus(a.scraped)
	a.scraped = metrics{}
	return a.end.start()
}

// scrape reads the metrics that matter.
func (a *agent) scrape() error {
	all, err := a.end.scrape()
	if err != nil {
		return err
	}
	a.scraped = metrics{Delivered: all.sum("millrace_records_delivered_total"),
		MissedFiles: all.sum("millrace_agent_missed_files_total"), MissedBytes: all.sum("millrace_agent_missed_bytes_total")}
	return nil
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
