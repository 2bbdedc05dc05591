package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"millrace/agent"
	"millrace/collector"
	"millrace/internal/config"
	"millrace/internal/ops"
	"millrace/manifests/starrocks"
	"millrace/outputs/starrocks/starrockstest"
)

// metric is what docs/metrics.md and a registry both tell of one.
type metric struct{ kind, labels string }

const agentOfMetrics = `
data_dir: %s/data
kubernetes: {node: worker-07, metadata: path, cluster: test, log_dir: %s/pods}
pipelines:
  - name: kong
    source: {containers: {include: [{namespaces: [kong]}]}}
    filters: [{kong: {format: '$remote_addr $status'}}, {limit: {lines_per_second: 1000}}]
    output: {kafka: {brokers: [%q], topic: logging.kong}}
`

const collectorOfMetrics = `
data_dir: %s
pipelines:
  - name: kong
    source: {kafka: {brokers: [%q], topic: logging.kong, group: millrace-kong}}
    filters: [{kong: {format: '$remote_addr $status'}}]
    output:
      starrocks: {urls: [%q], query_addr: %q, database: quickstart, table: kong_log_events, username: root, password: "", load: {max_age: 20ms}}
`

// atWork runs both ends until a line of a file is a row, calls look with what
// they are operated by, and ends them.
func atWork(t *testing.T, look func(ends map[string]*ops.Process)) {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "logging.kong"))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	warehouse, err := starrockstest.New(starrockstest.Config{DDL: []string{"CREATE DATABASE quickstart;", starrocks.Recommended}})
	if err != nil {
		t.Fatal(err)
	}
	defer warehouse.Close()
	dir := t.TempDir()
	log := filepath.Join(dir, "pods", "kong_kong-1_3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11", "proxy", "0.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		t.Fatal(err)
	}
	line := time.Now().UTC().Format(time.RFC3339Nano) + " stdout F 10.42.3.17 200\n"
	if err := os.WriteFile(log, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	ends := map[string]*ops.Process{"agent": ops.NewProcess(ops.LogConfig{}, io.Discard), "collector": ops.NewProcess(ops.LogConfig{}, io.Discard)}
	broker := kafka.ListenAddrs()[0]
	agentEnd, collectorEnd := new(agent.Config), new(collector.Config)
	decode(t, fmt.Sprintf(agentOfMetrics, dir, dir, broker), agentEnd)
	decode(t, fmt.Sprintf(collectorOfMetrics, t.TempDir(), broker, warehouse.URL(), warehouse.MySQLAddr()), collectorEnd)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- agent.Run(ctx, agentEnd, ends["agent"]) }()
	go func() { ended <- collector.Run(ctx, collectorEnd, ends["collector"]) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); sample(t, ends["collector"], "millrace_time_to_visible_seconds") == ""; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("no row after a minute")
		}
	}
	look(ends)
	cancel()
	for range ends {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	f, err := config.Parse("test.yaml", []byte(text))
	if err == nil {
		err = f.Decode(into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sample is a metric's type if it has a sample that counts something.
func sample(t *testing.T, end *ops.Process, name string) string {
	t.Helper()
	families, err := end.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if h := family.GetMetric()[0].GetHistogram(); family.GetName() == name && (h == nil || h.GetSampleCount() > 0) {
			return strings.ToLower(family.GetType().String())
		}
	}
	return ""
}

var descForm = regexp.MustCompile(`fqName: "(millrace_[^"]*)".*constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// registered lists the metrics of a registry, those included that have no
// series yet, with the types of those that have.
func registered(t *testing.T, end *ops.Process) map[string]metric {
	t.Helper()
	descriptions := make(chan *prometheus.Desc)
	go func() {
		end.Registry.Describe(descriptions)
		close(descriptions)
	}()
	found := map[string]metric{}
	for d := range descriptions {
		m := descForm.FindStringSubmatch(d.String())
		if m == nil {
			continue // the Go runtime's and the process's
		}
		labels := strings.FieldsFunc(m[2]+","+m[3], func(r rune) bool { return r == ',' })
		for i, label := range labels {
			labels[i], _, _ = strings.Cut(label, "=")
		}
		found[m[1]] = metric{kind: sample(t, end, m[1]), labels: strings.Join(slices.Sorted(slices.Values(labels)), " ")}
	}
	return found
}

var code = regexp.MustCompile("`([a-z_]+)`")

// documented lists the metrics of docs/metrics.md for one end: its own section's
// and those of both.
func documented(t *testing.T, end, account string) map[string]metric {
	t.Helper()
	found, section := map[string]metric{}, ""
	for line := range strings.Lines(string(read(t, "docs/metrics.md"))) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		cells := strings.Split(line, "|")
		if !strings.Contains(line, "| `millrace_") || section != "Both ends" && section != end {
			continue
		}
		if len(cells) != 6 {
			t.Fatalf("docs/metrics.md: %d cells: %s", len(cells)-2, line)
		}
		labels := strings.Fields(strings.ReplaceAll(cells[3], "the account's", account))
		for i := range labels {
			labels[i] = strings.Trim(labels[i], "`,")
		}
		if !strings.Contains(cells[3], "not `pipeline`") {
			labels = append(labels, "pipeline")
		} else {
			labels = slices.DeleteFunc(labels, func(l string) bool { return l == "not" || l == "pipeline" })
		}
		for _, name := range code.FindAllStringSubmatch(cells[1], -1) {
			found[name[1]] = metric{strings.TrimSpace(cells[2]), strings.Join(slices.Sorted(slices.Values(labels)), " ")}
		}
	}
	return found
}

// Every metric is in docs/metrics.md with its type and labels, and nothing else
// is: alert rules and dashboards are checked against that page.
func TestMetricsAreDocumented(t *testing.T) {
	atWork(t, func(ends map[string]*ops.Process) {
		for end, account := range map[string]string{"agent": "namespace pod container", "collector": "topic partition"} {
			got, want := registered(t, ends[end]), documented(t, strings.ToUpper(end[:1])+end[1:], account)
			if end == "collector" {
				delete(want, "millrace_limit_exceeded_records_total") // the filter is the agent's
			}
			if len(got) < 20 {
				t.Errorf("%s: only %d metrics", end, len(got))
			}
			for _, name := range slices.Sorted(maps.Keys(got)) {
				w, ok := want[name]
				if !ok {
					t.Errorf("%s: %s is not in docs/metrics.md", end, name)
					continue
				}
				if got[name].labels != w.labels || got[name].kind != "" && got[name].kind != w.kind {
					t.Errorf("%s: %s is %+v, docs/metrics.md says %+v", end, name, got[name], w)
				}
				delete(want, name)
			}
			for name := range want {
				t.Errorf("%s: docs/metrics.md has %s, which does not exist", end, name)
			}
		}
	})
}
