package starrockstest

import (
	"strings"
	"testing"
)

const (
	viewTable = "CREATE TABLE hits (time DATETIME, host STRING, seconds DOUBLE) DUPLICATE KEY(time);"
	viewDDL   = `CREATE MATERIALIZED VIEW IF NOT EXISTS hits_10m PARTITION BY date_trunc('day', slice) DISTRIBUTED BY RANDOM
		REFRESH ASYNC START('2026-01-01 00:00:00') EVERY(INTERVAL 10 MINUTE) PROPERTIES ("replication_num" = "3")
		AS SELECT time_slice(time, INTERVAL 10 MINUTE, floor) AS slice, host, count(*) AS n, sum(seconds) AS seconds FROM hits GROUP BY slice, host;`
	viewRows = `{"time":"2026-08-21 08:09:59.9","host":"a","seconds":0.5}
{"time":"2026-08-21 08:10:00","host":"a","seconds":1}
{"time":"2026-08-21 08:19:59.999999","host":"a","seconds":null}
{"time":"2026-08-21 08:15:00","host":"b","seconds":0.25}
`
	viewAnswer = "2026-08-21 08:00:00|a|1|0.5\n2026-08-21 08:10:00|a|2|1\n2026-08-21 08:10:00|b|1|0.25"
)

// TestMaterializedView fills a view by its statements, and after a restart
// from the edit log.
func TestMaterializedView(t *testing.T) {
	dir := t.TempDir()
	ask := "SELECT slice, host, n, seconds FROM hits_10m ORDER BY slice, host"
	s := start(t, Config{Dir: dir, DDL: []string{"CREATE DATABASE quickstart; USE quickstart; " + viewTable + viewDDL}})
	c := open(t, s, "quickstart")
	if got := query(t, c, ask); got != "" {
		t.Errorf("before any row: %s", got)
	}
	if r, err := tryPut(t, s, "hits", viewRows); err != nil || r.NumberLoadedRows != 4 {
		t.Fatal(r.raw, err)
	}
	if got := query(t, c, ask); got != "" {
		t.Errorf("before it is refreshed: %s", got)
	}
	query(t, c, "REFRESH MATERIALIZED VIEW hits_10m WITH SYNC MODE")
	if got := query(t, c, ask); got != viewAnswer {
		t.Errorf("got\n%s\nwant\n%s", got, viewAnswer)
	}
	if got := query(t, c, "SELECT table_name, refresh_type FROM information_schema.materialized_views"); got != "hits_10m|ASYNC" {
		t.Errorf("views: %s", got)
	}
	if r, err := tryPut(t, s, "hits_10m", `{"n":1}`); err != nil || r.Status != "Fail" || !strings.Contains(r.Message, "materialized view") {
		t.Errorf("a load into it: %s, %v", r.raw, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, Config{Dir: dir})
	if got := query(t, open(t, s, "quickstart"), ask); got != viewAnswer {
		t.Errorf("after a restart\n%s\nwant\n%s", got, viewAnswer)
	}
}

func TestViewStatements(t *testing.T) {
	s := start(t, Config{DDL: []string{"CREATE DATABASE quickstart; USE quickstart; " + viewTable}})
	for _, step := range []struct{ sql, want string }{
		{viewDDL, ""},
		{viewDDL, ""}, // IF NOT EXISTS
		{strings.Replace(viewDDL, " IF NOT EXISTS", "", 1), "already exists"},
		{"CREATE MATERIALIZED VIEW x AS SELECT host FROM hits", "no synchronous"},
		{"CREATE MATERIALIZED VIEW x DISTRIBUTED BY RANDOM; SELECT 1", "Unexpected input"},
		{"CREATE MATERIALIZED VIEW x REFRESH ASYNC AS SELECT host FROM hits", "say EVERY"},
		{"CREATE MATERIALIZED VIEW x REFRESH ASYNC EVERY(INTERVAL 10 FORTNIGHT) AS SELECT host FROM hits", "Unexpected input 'FORTNIGHT'"},
		{"CREATE MATERIALIZED VIEW x REFRESH MANUAL AS SELECT nothing FROM hits", "nothing"},
		{"CREATE MATERIALIZED VIEW x PARTITION BY date_trunc('day', z) REFRESH MANUAL AS SELECT time FROM hits", "[z] doesn't exist"},
		{"CREATE MATERIALIZED VIEW x REFRESH DEFERRED MANUAL AS SELECT time, host FROM hits; REFRESH MATERIALIZED VIEW x", ""},
		{"REFRESH MATERIALIZED VIEW hits", "not found"},
		{"TRUNCATE TABLE x", "a materialized view, not a table"},
		{"DROP TABLE x", "a materialized view, not a table"},
		{"DROP MATERIALIZED VIEW hits", "a table, not a materialized view"},
		{"DROP MATERIALIZED VIEW x", ""},
		{"DROP MATERIALIZED VIEW IF EXISTS x", ""},
	} {
		err := s.Exec("quickstart", step.sql)
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("%.100s: got %v, want %q", step.sql, err, step.want)
		}
	}
}

// The slices are those of the examples on the documentation's page time_slice.
func TestTimeSlice(t *testing.T) {
	s := start(t, Config{})
	c := open(t, s, "quickstart")
	for _, test := range []struct{ call, want string }{
		{"time_slice('0001-01-01 00:00:06', INTERVAL 5 SECOND)", "0001-01-01 00:00:05"},
		{"time_slice('0001-01-01 00:00:06', INTERVAL 5 SECOND, ceil)", "0001-01-01 00:00:10"},
		{"TIME_SLICE(CAST('2022-09-13 17:45:00' AS DATETIME), INTERVAL 10 MINUTE, FLOOR)", "2022-09-13 17:40:00"},
		{"time_slice('2022-09-13 17:45:00', INTERVAL 1 MONTH)", "2022-09-01 00:00:00"},
		{"time_slice('2022-09-13 17:45:00', INTERVAL 1 QUARTER, ceil)", "2022-10-01 00:00:00"},
		{"time_slice('2022-09-13 17:45:00', INTERVAL 1 DAY)", "2022-09-13 00:00:00"},
		{"time_slice('2022-09-13 17:45:00', INTERVAL 0 DAY)", "NULL"},
	} {
		if got := query(t, c, "SELECT "+test.call); got != test.want {
			t.Errorf("%s: %s, want %s", test.call, got, test.want)
		}
	}
}
