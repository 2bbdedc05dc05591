package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const address = "starrocks://reader@starrocks:9030/default_catalog.quickstart"

// file is the part of any file of the bundle that is looked at here.
type file struct {
	Version      string           `yaml:"version"`
	UUID         string           `yaml:"uuid"`
	URI          string           `yaml:"sqlalchemy_uri"`
	DatabaseUUID string           `yaml:"database_uuid"`
	DatasetUUID  string           `yaml:"dataset_uuid"`
	TableName    string           `yaml:"table_name"`
	SliceName    string           `yaml:"slice_name"`
	QueryContext string           `yaml:"query_context"`
	Params       map[string]any   `yaml:"params"`
	Columns      []map[string]any `yaml:"columns"`
	Metrics      []map[string]any `yaml:"metrics"`
	Position     map[string]any   `yaml:"position"`
}

func parse(t *testing.T, dataset string) (byFolder map[string]map[string]file) {
	t.Helper()
	files, err := bundle(dataset, address)
	if err != nil {
		t.Fatal(err)
	}
	byFolder = map[string]map[string]file{}
	for name, text := range files {
		folder, _, _ := strings.Cut(name, "/")
		var f file
		if err := yaml.Unmarshal([]byte(text), &f); err != nil || f.Version != "1.0.0" {
			t.Fatalf("%s: %v", name, err)
		}
		if byFolder[folder] == nil {
			byFolder[folder] = map[string]file{}
		}
		byFolder[folder][f.UUID] = f
	}
	return byFolder
}

// Everything in the bundle is joined by uuids that are there.
func TestBundle(t *testing.T) {
	seen := map[string]string{} // table of each chart that has been met
	for dataset, tables := range map[string]map[string]int{
		"message": {"kong_parsed_logs": 8}, "typed": {"kong_parsed_logs_typed": 8}, "aggregate": {"kong_parsed_logs_10m": 6, "kong_parsed_logs_typed": 2},
	} {
		b := parse(t, dataset)
		charts := map[string]int{}
		for id, c := range b["charts"] {
			d, ok := b["datasets"][c.DatasetUUID]
			if !ok || b["databases"][d.DatabaseUUID].URI != address {
				t.Fatalf("%s: chart %s has no data set, or that no database", dataset, c.SliceName)
			}
			charts[d.TableName]++
			checkNames(t, c, d)
			if table, ok := seen[id]; ok && table != d.TableName {
				t.Errorf("chart %s over %s has the uuid of the one over %s: an import would leave it as it is", c.SliceName, d.TableName, table)
			}
			seen[id] = d.TableName
		}
		if !maps.Equal(charts, tables) || len(b["datasets"]) != len(tables) || len(b["dashboards"]) != 1 {
			t.Errorf("%s: charts over %v and %d data sets, want %v", dataset, charts, len(b["datasets"]), tables)
		}
		for _, dashboard := range b["dashboards"] {
			n := 0
			for _, p := range dashboard.Position {
				part, _ := p.(map[string]any)
				meta, _ := part["meta"].(map[string]any)
				id, _ := meta["uuid"].(string)
				if c, ok := b["charts"][id]; ok && c.SliceName == meta["sliceName"] {
					n++
				}
			}
			if n != 8 {
				t.Errorf("%s: %d charts on the dashboard", dataset, n)
			}
		}
	}
}

// checkNames checks that a data set has what a chart names.
func checkNames(t *testing.T, c, d file) {
	t.Helper()
	known := map[string]bool{}
	for _, column := range d.Columns {
		known[column["column_name"].(string)] = true
	}
	for _, metric := range d.Metrics {
		known[metric["metric_name"].(string)] = true
	}
	var names []any
	for _, key := range []string{"x_axis", "metric", "timeseries_limit_metric"} {
		names = append(names, c.Params[key])
	}
	for _, key := range []string{"metrics", "groupby", "all_columns"} {
		list, _ := c.Params[key].([]any)
		names = append(names, list...)
	}
	for _, name := range names {
		if s, ok := name.(string); ok && !known[s] {
			t.Errorf("chart %s names %s, which %s has not", c.SliceName, s, d.TableName)
		}
	}
	var context struct{ Queries []struct{ Metrics []string } }
	if err := json.Unmarshal([]byte(c.QueryContext), &context); err != nil || len(context.Queries) != 1 {
		t.Fatalf("chart %s: %v: query_context %s", c.SliceName, err, c.QueryContext)
	}
	for _, name := range context.Queries[0].Metrics {
		if !slices.Contains(names, any(name)) {
			t.Errorf("chart %s asks for %s through the API alone", c.SliceName, name)
		}
	}
}

func TestBundleIsReproducible(t *testing.T) {
	var archives [2]bytes.Buffer
	for i := range archives {
		files, err := bundle("typed", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := pack(&archives[i], files); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0].Bytes(), archives[1].Bytes()) {
		t.Error("the same sources give two archives")
	}
}

func TestBundleRefuses(t *testing.T) {
	for _, c := range []struct{ dataset, database, want string }{
		{"other", address, `-dataset "other": say one of ["aggregate" "message" "typed"]`},
		{"typed", "mysql://root:secret@h/quickstart", "-database: say starrocks://"},
		{"typed", "starrocks://root:secret@h:9030/quickstart", "-database: say starrocks://"},
		{"typed", "starrocks://root:secret@h:9030/default_catalog.logs", "-database: say starrocks://"},
	} {
		_, err := bundle(c.dataset, c.database)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s, %s: %v", c.dataset, c.database, err)
		}
	}
}

// An address is put in as it is, whatever its password looks like.
func TestPasswordIsNoPlaceholder(t *testing.T) {
	const address = "starrocks://root:${UUID}${secret@h:9030/default_catalog.quickstart"
	files, err := bundle("typed", address)
	if err != nil {
		t.Fatal(err)
	}
	if text := files["databases/StarRocks.yaml"]; !strings.Contains(text, address) {
		t.Errorf("the address is not in:\n%s", text)
	}
}
