package prometheus

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// check parses a query and checks that everything it asks for exists: series,
// their labels, values of reason and result; and that it takes the rate of
// nothing but what counts.
func check(t *testing.T, where, query string, all map[string]metric) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	known := set(scraped)
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			m, exists := all[v.Name]
			if !exists {
				t.Errorf("%s: there is no series %q", where, v.Name)
			}
			for label := range m.labels {
				known[label] = true
			}
			for _, matcher := range v.LabelMatchers {
				checkMatcher(t, where, matcher, m)
			}
			checkCounted(t, where, v.Name, m, path)
		}
		return nil
	})
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		var named []string
		switch n := node.(type) {
		case *parser.AggregateExpr:
			named = n.Grouping
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				named = append(n.VectorMatching.Include, n.VectorMatching.MatchingLabels...)
			}
		}
		for _, label := range named {
			if !known[label] {
				t.Errorf("%s: no series of it has the label %q", where, label)
			}
		}
		return nil
	})
}

// checkMatcher checks that the label exists, and its value where docs/metrics.md
// lists them.
func checkMatcher(t *testing.T, where string, m *labels.Matcher, of metric) {
	t.Helper()
	if m.Name == model.MetricNameLabel {
		return
	}
	if !of.labels[m.Name] {
		t.Errorf("%s: %s has no label %q", where, m, m.Name)
	}
	if m.Name != "reason" && m.Name != "result" {
		return
	}
	if _, err := syntax.Parse(m.Value, syntax.Perl); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	for _, value := range strings.Split(m.Value, "|") {
		if !strings.Contains(of.values, "`"+value+"`") {
			t.Errorf("%s: docs/metrics.md knows no %s %q", where, m.Name, value)
		}
	}
}

// checkCounted checks that only counters and histograms are given to rate and
// increase, and that they are given to nothing else of the kind.
func checkCounted(t *testing.T, where, name string, m metric, path []parser.Node) {
	t.Helper()
	counts := m.kind == "counter" || m.kind == "histogram" || strings.HasSuffix(name, "_total")
	for _, node := range path {
		call, ok := node.(*parser.Call)
		if !ok {
			continue
		}
		if slices.Contains([]string{"rate", "increase"}, call.Func.Name) != counts && slices.Contains([]string{"rate", "increase", "deriv"}, call.Func.Name) {
			t.Errorf("%s: %s of %s, a %s", where, call.Func.Name, name, m.kind)
		}
	}
}

// A label that a text of an alert shows has to be in its result: what an
// aggregation drops is shown as nothing.
var shown = regexp.MustCompile(`\$labels\.([a-z_]+)`)

func TestRules(t *testing.T) {
	all, runbook := metrics(t), string(read(t, "docs/runbook.md"))
	names := map[string]bool{}
	for _, group := range groups(t).Groups {
		for _, rule := range group.Rules {
			names[rule.Alert] = true
			check(t, rule.Alert, rule.Expr, all)
			if s := rule.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q", rule.Alert, s)
			}
			for _, key := range []string{"summary", "description"} {
				if text := rule.Annotations[key]; text == "" || strings.Contains(text, "\n") {
					t.Errorf("%s: %s is %q", rule.Alert, key, text)
				}
			}
			if want := "docs/runbook.md#" + strings.ToLower(rule.Alert); rule.Annotations["runbook"] != want {
				t.Errorf("%s: runbook is %q, want %q", rule.Alert, rule.Annotations["runbook"], want)
			}
			if n := strings.Count(runbook, "\n### "+rule.Alert+"\n"); n != 1 {
				t.Errorf("%s has %d sections in docs/runbook.md", rule.Alert, n)
			}
		}
	}
	for _, section := range regexp.MustCompile(`(?m)^### (.*)$`).FindAllStringSubmatch(runbook, -1) {
		if !names[section[1]] {
			t.Errorf("docs/runbook.md has a section %s, which is no alert", section[1])
		}
	}
}
