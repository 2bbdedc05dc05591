// Package prometheus checks the alert rules of manifests/components/alerts with
// Prometheus' own parser and engine, and the dashboard of manifests/grafana with
// the same. It is a module of its own, because Prometheus brings the clients of
// three clouds along, which nothing else here has to know; there is nothing but
// tests in it:
//
//	cd manifests/prometheus && go test ./...
//
// What it takes a metric to be is docs/metrics.md, which a test of the program
// compares with what both ends serve.
package prometheus

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// scraped are the labels that scraping adds to every series.
const scraped = "job instance pod node namespace container endpoint"

// foreign are the series that Prometheus and its client library bring, with
// their labels.
var foreign = map[string]string{
	"up": "", "process_start_time_seconds": "", "process_resident_memory_bytes": "", "process_cpu_seconds_total": "",
}

// metric is what docs/metrics.md says of one.
type metric struct {
	kind   string
	labels map[string]bool
	values string // the text in which a label's values stand
}

var quoted = regexp.MustCompile("`([a-z_]+)`")

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// metrics reads docs/metrics.md. A histogram is its three kinds of series.
func metrics(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	for name, labels := range foreign {
		all[name] = metric{labels: set(scraped, labels)}
	}
	for line := range strings.Lines(string(read(t, "docs/metrics.md"))) {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `millrace_") || len(cells) != 6 {
			continue
		}
		kind, account := strings.TrimSpace(cells[2]), ""
		if strings.Contains(cells[3], "the account's") {
			account = "namespace pod container topic partition"
		}
		named := ""
		for _, label := range quoted.FindAllStringSubmatch(cells[3], -1) {
			named += label[1] + " "
		}
		if !strings.Contains(cells[3], "not `pipeline`") {
			named += "pipeline"
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[1], -1) {
			m := metric{kind, set(scraped, account, named), cells[4]}
			if kind != "histogram" {
				all[name[1]] = m
				continue
			}
			all[name[1]+"_count"], all[name[1]+"_sum"] = m, m
			all[name[1]+"_bucket"] = metric{kind, set(scraped, account, named, "le"), cells[4]}
		}
	}
	if len(all) < 50 {
		t.Fatalf("docs/metrics.md has %d series", len(all))
	}
	return all
}

func set(words ...string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(strings.Join(words, " ")) {
		m[w] = true
	}
	return m
}

// groups are the rules, read as Prometheus reads a rule file.
func groups(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	var object struct {
		Kind string
		Spec yaml.Node
	}
	if err := yaml.Unmarshal(read(t, "manifests/components/alerts/prometheus-rule.yaml"), &object); err != nil {
		t.Fatal(err)
	}
	file, err := yaml.Marshal(&object.Spec)
	if err != nil || object.Kind != "PrometheusRule" {
		t.Fatalf("%s: %v", object.Kind, err)
	}
	all, errs := rulefmt.Parse(file, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if all == nil {
		t.FailNow()
	}
	return all
}
