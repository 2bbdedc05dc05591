package superset

import (
	"database/sql"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/outputs/starrocks/starrockstest"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

func queryFile(dataset string) string { return "testdata/queries/" + dataset + ".sql" }

// checkQueries compares what Superset sent with what stands in testdata, where
// SINCE and UNTIL are in the place of the day.
func checkQueries(t *testing.T, dataset string, charts map[string]chart, since time.Time) {
	t.Helper()
	days := strings.NewReplacer(since.Format("2006-01-02 15:04:05.000000"), "SINCE", since.AddDate(0, 0, 1).Format("2006-01-02 15:04:05.000000"), "UNTIL")
	var text strings.Builder
	text.WriteString("-- What Superset asked for each chart; written by go test -update.\n")
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		query := strings.TrimRight(charts[name].SQL, "; \n")
		lines := strings.Split(days.Replace(query), "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		fmt.Fprintf(&text, "\n-- %s\n%s;\n", name, strings.Join(lines, "\n"))
	}
	if *update {
		if err := os.WriteFile(queryFile(dataset), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	known, err := os.ReadFile(queryFile(dataset))
	if err != nil {
		t.Fatal(err)
	}
	if string(known) != text.String() {
		t.Errorf("%s is not what Superset asks; go test ./e2e/superset -update writes it:\n%s", queryFile(dataset), text.String())
	}
}

// queries reads testdata: the charts' queries by their names.
func queries(t testing.TB, dataset string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(queryFile(dataset))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n\n")
	list := map[string]string{}
	for part := range strings.SplitSeq(rest, ";\n") {
		name, query, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(part), "-- "), "\n")
		if ok {
			list[name] = query
		}
	}
	if len(list) != len(shapes) {
		t.Fatalf("%s has %d queries, want %d", queryFile(dataset), len(list), len(shapes))
	}
	return list
}

// connect is a connection as a dashboard has it.
func connect(t testing.TB, srv *starrockstest.Server) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", srv.DSN("root", "", "quickstart")+"?parseTime=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// ask gives the rows of a chart's query for one day.
func ask(t testing.TB, db *sql.DB, name, query string, since time.Time) (list []row) {
	t.Helper()
	day := func(days int) string { return since.AddDate(0, 0, days).Format("2006-01-02 15:04:05.000000") }
	rows, err := db.Query(strings.NewReplacer("SINCE", day(0), "UNTIL", day(1)).Replace(query))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into, cells := make([]any, len(columns)), make([]any, len(columns)), map[string]any{}
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if text, ok := v.([]byte); ok {
				v = string(text)
			}
			cells[columns[i]] = v
		}
		list = append(list, rowOf(t, name, cells))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return list
}

// TestQueries asks the queries that Superset sent, with each data set, and
// compares the numbers with those of the lines.
func TestQueries(t *testing.T) {
	lines := around(time.Date(2026, 8, 21, 8, 15, 30, 0, time.UTC), 10_000)
	since, until := day(lines[len(lines)/2].at)
	all := requests(lines, since, until)
	if len(all) < 5000 {
		t.Fatalf("only %d requests: the test proves little", len(all))
	}
	db := connect(t, stand(t, lines))
	for _, dataset := range datasets {
		t.Run(dataset, func(t *testing.T) {
			want := answers(all, dataset == "aggregate")
			for name, query := range queries(t, dataset) {
				compare(t, name, ask(t, db, name, query, since), want[name])
			}
		})
	}
}
