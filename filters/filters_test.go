package filters_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/filters"
	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// load reads a filter list as it stands in a pipeline's YAML.
func load(t testing.TB, yaml string) ([]pipeline.Filter, error) {
	t.Helper()
	c, err := decode(t, yaml)
	if err != nil {
		return nil, err
	}
	return filters.New(c, prometheus.NewRegistry()), nil
}

// loadWith is load of a good list that counts in registry.
func loadWith(t testing.TB, yaml string, registry *prometheus.Registry) []pipeline.Filter {
	t.Helper()
	c, err := decode(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	return filters.New(c, registry)
}

func decode(t testing.TB, yaml string) (filters.List, error) {
	t.Helper()
	file, err := config.Parse("f.yaml", []byte("filters:\n"+yaml))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Filters filters.List `yaml:"filters"`
	}
	err = file.Decode(&c)
	return c.Filters, err
}

// value is that of a counter.
func value(t testing.TB, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func fields(pairs ...string) map[string][]byte {
	m := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		p, err := pipeline.ParsePath(pairs[i])
		if err != nil {
			panic(err)
		}
		m[p.Key] = []byte(pairs[i+1])
	}
	return m
}

// Both shapes of a record, the agent's parts and the collector's JSON, give
// the same answers.
func shapes() map[string]pipeline.Record {
	origin := &pipeline.Origin{Stream: []byte("stdout"), Fields: fields(
		"kubernetes.pod_name", "kong-1", `kubernetes.labels."app.kubernetes.io/name"`, "kong")}
	return map[string]pipeline.Record{
		"agent": {Origin: origin, Time: []byte("2026-01-01T00:00:00Z"), Tag: []byte("F"), Message: []byte(`GET "/a" ä`)},
		"collector": {Origin: &pipeline.Origin{}, Raw: []byte(`{"time":"2026-01-01T00:00:00Z","stream":"stdout","logtag":"F",` +
			`"message":"GET \"/a\" \u00e4","kubernetes":{"pod_name":"kong-1","labels":{"app.kubernetes.io/name":"kong"}}}`)},
	}
}

func TestConditions(t *testing.T) {
	for _, tc := range []struct {
		condition string
		holds     bool
	}{
		{`{field: message, match: '^GET'}`, true},
		{`{field: message, match: '"/a" ä$'}`, true},
		{`{field: message, match: '^POST'}`, false},
		{`{field: message, equals: 'GET "/a" ä'}`, true},
		{`{field: message, equals: 'GET'}`, false},
		{`{field: stream, equals: stdout}`, true},
		{`{field: logtag, equals: F}`, true},
		{`{field: time, match: '^2026'}`, true},
		{`{field: kubernetes.pod_name, match: '^kong-'}`, true},
		{`{field: kubernetes.labels."app.kubernetes.io/name", equals: kong}`, true},
		{`{field: kubernetes.labels.app, match: ''}`, false},
		{`{field: nothing, match: ''}`, false},
	} {
		for name, record := range shapes() {
			for kind, want := range map[string]bool{"drop": !tc.holds, "keep": tc.holds} {
				fs, err := load(t, fmt.Sprintf("- %s: %s", kind, tc.condition))
				if err != nil {
					t.Fatal(err)
				}
				r := record
				if got := fs[0].Apply(&r, new(pipeline.Arena)); got != want {
					t.Errorf("%s at the %s, %s: keep = %v", kind, name, tc.condition, got)
				}
			}
		}
	}
}

func TestAddAppendsFields(t *testing.T) {
	fs, err := load(t, `- add: {cluster: prod-1, zone: "a \"b\""}`)
	if err != nil {
		t.Fatal(err)
	}
	r := shapes()["agent"]
	r.Origin.Tail = []byte(`,"kubernetes":{}`)
	fs[0].Apply(&r, new(pipeline.Arena))
	out, _, _ := r.AppendJSON(nil, 1<<20)
	want := `{"time":"2026-01-01T00:00:00Z","stream":"stdout","logtag":"F","message":"GET \"/a\" ä","kubernetes":{},"cluster":"prod-1","zone":"a \"b\""}`
	if string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	// A later filter sees what an earlier one added.
	keep, err := load(t, `- keep: {field: zone, equals: 'a "b"'}`)
	if err != nil {
		t.Fatal(err)
	}
	if !keep[0].Apply(&r, new(pipeline.Arena)) {
		t.Error("an added field is not found")
	}
}

func TestBadFilters(t *testing.T) {
	for yaml, want := range map[string]string{
		`- {}`: "must have exactly one of drop, keep, kong, add, mask, limit",
		`- {drop: {field: a, equals: b}, keep: {field: a, equals: b}}`: "must have exactly one of drop, keep, kong, add, mask, limit",
		`- drop: {equals: b}`:                       "field: must not be empty",
		`- drop: {field: a}`:                        "must have exactly one of match, equals",
		`- drop: {field: a..b, equals: x}`:          "a name between dots is empty",
		`- drop: {field: 'a."b', equals: x}`:        "a quotation mark is not closed",
		`- drop: {field: '"a"b', equals: x}`:        "a dot must follow the closing quotation mark",
		`- drop: {field: a, match: '['}`:            "error parsing regexp",
		`- add: {message: x}`:                       "is a field that every record has already",
		`- add: {"a b": x}`:                         "is not a field name",
		`- drp: {field: a, match: b}`:               "drop",
		`- drop: {field: a, match: b, equals: "b"}`: "must have exactly one of match, equals",
	} {
		_, err := load(t, yaml)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "f.yaml:2") {
			t.Errorf("%s: got %v, want f.yaml:2 and %q", yaml, err, want)
		}
	}
}
