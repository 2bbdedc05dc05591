package starrockstest

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
)

func open(t *testing.T, s *Server, db string) *sql.DB {
	t.Helper()
	c, err := sql.Open("mysql", s.DSN("root", "", db))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// query gives a result as lines of cells separated by "|".
func query(t *testing.T, c *sql.DB, q string, args ...any) string {
	t.Helper()
	r, err := c.Query(q, args...)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer r.Close()
	names, _ := r.Columns()
	var out strings.Builder
	for r.Next() {
		cells := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := r.Scan(into...); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		for i, c := range cells {
			if i > 0 {
				out.WriteByte('|')
			}
			if !c.Valid {
				c.String = "NULL"
			}
			out.WriteString(c.String)
		}
		out.WriteByte('\n')
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func TestQueries(t *testing.T) {
	s := start(t, Config{})
	put(t, s, goodRow+strings.Replace(goodRow, "30.217676", "31", 1))
	c := open(t, s, "default_catalog.quickstart")
	for _, test := range []struct{ sql, want string }{
		{"SELECT COUNT(*) FROM kong_log_events", "2"},
		{"SELECT COUNT(*) FROM default_catalog.quickstart.kong_log_events", "2"},
		{"SELECT kst_time, stream FROM quickstart.kong_log_events ORDER BY time", "2026-08-21 17:15:30.217676|stdout\n2026-08-21 17:15:31|stdout"},
		{"SELECT kubernetes FROM kong_log_events LIMIT 1", `{"namespace_name": "kong", "pod_name": "kong-x2x7k"}`},
		{"SELECT kubernetes -> 'pod_name', kubernetes -> '$.pod_name', get_json_string(kubernetes, '$.pod_name') FROM kong_log_events LIMIT 1", `"kong-x2x7k"|"kong-x2x7k"|kong-x2x7k`},
		{"SELECT SPLIT_PART(message, ' ', 1), regexp_extract(message, '([0-9]+)$', 1), count(*) FROM kong_log_events WHERE REGEXP(message, '^[0-9]{1,3}\\\\.') GROUP BY 1, 2", "10.42.3.17||2"},
		{"SELECT count(*) FROM kong_log_events WHERE message REGEXP '^[a-z]'", "0"},
		{"SELECT DATE_TRUNC('HOUR', kst_time) AS h, COUNT(*) FROM (SELECT * FROM quickstart.kong_log_events) AS virtual_table WHERE kst_time >= STR_TO_DATE('2026-08-21 00:00:00.000000', '%Y-%m-%d %T.%f') GROUP BY DATE_TRUNC('HOUR', kst_time) ORDER BY h DESC LIMIT 10", "2026-08-21 17:00:00|2"},
		{"SELECT CAST('12' AS INT), CAST('x' AS INT), CAST('1.5' AS DOUBLE), CAST(nullif('', '') AS DOUBLE), CAST(1 AS STRING)", "12|NULL|1.5|NULL|1"},
		{"SELECT 'abc' LIKE '%b%', 'abc' LIKE 'b%', 'abc' LIKE '%c', 'abc' LIKE 'abc', 'ABC' LIKE 'abc', 'a\nc' LIKE 'a_c', '한글' LIKE '_글', 'a%c' LIKE 'a\\\\%c', 'abc' LIKE 'a\\\\%c', 'abc' NOT LIKE '%', NULL LIKE 'a', 'a.c' LIKE '%.%', 'abcbd' LIKE '%b%d'",
			"1|0|1|1|0|1|1|1|0|0|NULL|1|1"},
		{"SELECT count(*) FROM kong_log_events WHERE stream = 'stdout' AND stream <> 'STDOUT' AND logtag = 'F'", "2"},
		{"SELECT count(*) FROM kong_log_events WHERE NOT (NOT (logtag IS NULL))", "0"},
		{"SELECT count(*) FROM kong_log_events WHERE NOT (logtag IS NULL) AND message NOT LIKE '%x%y%' AND time >= '2026-08-21' AND kst_time < STR_TO_DATE('2026-08-21 17:15:31.000000', '%Y-%m-%d %T.%f')", "1"},
		{"SELECT kst_time, count(*) FROM kong_log_events WHERE kst_time > STR_TO_DATE('2026-08-21 17:15:30', '%Y-%m-%d %T') GROUP BY kst_time ORDER BY kst_time LIMIT 1", "2026-08-21 17:15:30.217676|1"},
		{"SELECT CURRENT_VERSION()", starrocksVersion},
		{"SELECT DATABASE()", "quickstart"},
		{"SELECT @@tx_isolation", "REPEATABLE-READ"},
		{"SELECT @@transaction_isolation", "REPEATABLE-READ"},
		{"SHOW VARIABLES LIKE 'lower_case_table_names'", "lower_case_table_names|0"},
		{"ADMIN SHOW FRONTEND CONFIG LIKE 'run_mode'", "run_mode|[]|shared_nothing|String|false|"},
		{"ADMIN SHOW FRONTEND CONFIG LIKE 'label_keep_max_num'", "label_keep_max_num|[]|1000|int|true|"},
		{"SHOW CATALOGS", "default_catalog|Internal|An internal catalog contains this cluster's self-managed tables."},
		{"SHOW DATABASES", "information_schema\nquickstart"},
		{"SHOW FULL TABLES FROM `quickstart`", "kong_log_events|BASE TABLE"},
		{"SELECT * FROM information_schema.views WHERE table_schema = 'quickstart'", ""},
		{"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'quickstart' AND table_name = 'kong_parsed_logs'", "0"},
		{"SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, IS_NULLABLE FROM information_schema.columns WHERE table_name = 'kong_log_events' AND ORDINAL_POSITION IN (1, 2, 5)", "time|datetime|datetime|NULL|YES\nstream|varchar|varchar(65533)|65533|YES\nkubernetes|json|json|NULL|YES"},
		{"SELECT TABLE_MODEL, DISTRIBUTE_TYPE, DISTRIBUTE_KEY, DISTRIBUTE_BUCKET FROM information_schema.tables_config WHERE TABLE_NAME = 'kong_log_events'", "DUP_KEYS|HASH|`kst_time`|10"},
		{"SHOW FULL COLUMNS FROM `quickstart`.`kong_log_events` LIKE 'kst%'", "kst_time|datetime||YES|NO|NULL|AS convert_tz(time, 'UTC', 'Asia/Seoul')||"},
		{"DESC kong_log_events", "time|datetime|YES|true|NULL|\nstream|varchar(65533)|YES|false|NULL|\nlogtag|varchar(65533)|YES|false|NULL|\nmessage|varchar(65533)|YES|false|NULL|\nkubernetes|json|YES|false|NULL|\nkubernetes_namespace|json|YES|false|NULL|\nkst_time|datetime|YES|false|NULL|AS convert_tz(time, 'UTC', 'Asia/Seoul')"},
	} {
		if got := query(t, c, test.sql); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.sql, got, test.want)
		}
	}
	if got := query(t, c, "SELECT count(*) FROM kong_log_events WHERE stream = ? AND time >= ?", "stdout", "2026-08-21"); got != "2" {
		t.Errorf("prepared: %s", got)
	}
}

// kongParsedLogs is a dashboard's data set, as Superset's SQL printer sends it.
const kongParsedLogs = `SELECT kst_time, DATE_TRUNC('HOUR', kst_time) AS kst_hour, SPLIT_PART(message, ' ', 1) AS client_ip,
  CAST(NULLIF(REGEXP_EXTRACT(message, 'HTTP/[0-9.]+" [0-9]{3} ([0-9.]+)', 1), '') AS DOUBLE) AS response_time,
  REGEXP_EXTRACT(message, 'HTTP/[0-9.]+" [0-9]+ [-0-9., :]+ "([^"]*)"', 1) AS host_domain,
  CASE WHEN REGEXP_EXTRACT(message, 'HTTP/[0-9.]+" [0-9]+ [-0-9., :]+ "([^"]*)"', 1) LIKE '%-%'
    THEN SPLIT_PART(REGEXP_EXTRACT(message, 'HTTP/[0-9.]+" [0-9]+ [-0-9., :]+ "([^"]*)"', 1), '-', 1) ELSE 'platform' END AS project_name,
  SPLIT_PART(REGEXP_EXTRACT(message, '"[A-Z]+ ([^ "]*) HTTP/', 1), '?', 1) AS request_url,
  CAST(NULLIF(REGEXP_EXTRACT(message, 'HTTP/[0-9.]+" ([0-9]{3}) ', 1), '') AS INT) AS status_code
FROM quickstart.kong_log_events
WHERE stream = 'stdout' AND message LIKE '%HTTP/%' AND REGEXP(message, '^[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}')
  AND SPLIT_PART(message, ' ', 1) <> '127.0.0.1' AND kst_time >= '2026-11-23T00:00:00'`

func TestDashboardQuery(t *testing.T) {
	s := start(t, Config{})
	var body strings.Builder
	for i, message := range []string{
		`10.0.0.1 [23/Nov/2026:10:00:00 +0900] "GET /a?x=1 HTTP/1.1" 200 0.250 0.1, 0.2 : 0.3 "demo-web.example.com" "curl"`,
		`10.0.0.1 [23/Nov/2026:10:00:01 +0900] "PATCH /a HTTP/1.1" 502 0.750 - "demo-web.example.com" "curl"`,
		`127.0.0.1 [23/Nov/2026:10:00:02 +0900] "GET /status HTTP/1.1" 200 0.001 - "localhost" "kong"`,
		`2026/11/23 10:00:03 [notice] a line HTTP/ of another kind`,
		`10.0.0.2 [23/Nov/2026:10:00:04 +0900] "GET /b HTTP/1.1" 200 9.000 9.0 "10.1.1.1" "-"`,
	} {
		fmt.Fprintf(&body, `{"time":"2026-11-23 01:00:%02d.000000","stream":"stdout","message":%s}`+"\n", i, quoteJSON(message))
	}
	if r := put(t, s, body.String(), "strict_mode", "true"); r.Status != "Success" {
		t.Fatal(r.raw)
	}
	c := open(t, s, "default_catalog.")
	if got, want := query(t, c, "SELECT CONCAT(host_domain, request_url) AS url, AVG(response_time), MAX(response_time), COUNT(*), SUM(CASE WHEN status_code >= 400 THEN 1 ELSE 0 END), project_name, kst_hour FROM ("+kongParsedLogs+
		") AS virtual_table WHERE kst_time < STR_TO_DATE('2026-11-24 00:00:00.000000', '%Y-%m-%d %T.%f') GROUP BY CONCAT(host_domain, request_url), project_name, kst_hour ORDER BY 2 DESC LIMIT 10"),
		"10.1.1.1/b|9|9|1|0|platform|2026-11-23 10:00:00\ndemo-web.example.com/a|0.5|0.75|2|1|demo|2026-11-23 10:00:00"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestWireTypes: clients choose how to show a column by the type on the wire.
func TestWireTypes(t *testing.T) {
	s := start(t, Config{DDL: []string{wideTable}})
	put(t, s, `{"time":"2026-08-21 08:00:00","stream":"a","kubernetes":{"a":1},"i":1,"b":2,"d":1.5,"flag":true,"day":"2026-08-21"}`)
	c := open(t, s, "quickstart")
	for _, args := range [][]any{nil, {1}} { // text and binary protocol
		q := "SELECT time, stream, kubernetes, i, b, d, flag, day FROM kong_log_events"
		if args != nil {
			q += " WHERE i = ?"
		}
		r, err := c.Query(q, args...)
		if err != nil {
			t.Fatal(err)
		}
		types, err := r.ColumnTypes()
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range types {
			names = append(names, c.DatabaseTypeName())
		}
		if got, want := strings.Join(names, " "), "DATETIME VARCHAR JSON INT BIGINT DOUBLE TINYINT DATE"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		at := "2026-08-21 08:00:00"
		if args != nil {
			at += ".000000" // the driver's own print of a binary DATETIME
		}
		if got, want := query(t, c, q, args...), at+`|a|{"a": 1}|1|2|1.5|1|2026-08-21`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestShowCreateTable(t *testing.T) {
	s := start(t, Config{})
	want := "kong_log_events|CREATE TABLE `kong_log_events` (\n" +
		"  `time` datetime NULL COMMENT \"\",\n" +
		"  `stream` varchar(65533) NULL COMMENT \"\",\n" +
		"  `logtag` varchar(65533) NULL COMMENT \"\",\n" +
		"  `message` varchar(65533) NULL COMMENT \"\",\n" +
		"  `kubernetes` json NULL COMMENT \"\",\n" +
		"  `kubernetes_namespace` json NULL COMMENT \"\",\n" +
		"  `kst_time` datetime NULL AS convert_tz(time, 'UTC', 'Asia/Seoul') COMMENT \"\"\n" +
		") ENGINE=OLAP \nDUPLICATE KEY(`time`)\nDISTRIBUTED BY HASH(`kst_time`) BUCKETS 10 \nPROPERTIES (\n\"replication_num\" = \"1\"\n);"
	if got := query(t, open(t, s, "quickstart"), "SHOW CREATE TABLE kong_log_events"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDefinitionsOverMySQL(t *testing.T) {
	s := start(t, Config{Users: threeUsers, DDL: []string{}})
	c := open(t, s, "")
	for _, q := range []string{
		"CREATE DATABASE IF NOT EXISTS logs", "CREATE TABLE logs.a (k INT, v STRING) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)",
		"ALTER TABLE logs.a ADD COLUMN extra JSON", "ALTER TABLE logs.a DROP COLUMN v", "TRUNCATE TABLE logs.a",
		"SET NAMES utf8mb4", "SET query_timeout = 300", "ADMIN SET FRONTEND CONFIG (\"label_keep_max_num\" = \"77\")",
	} {
		if _, err := c.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if got := query(t, c, "DESC logs.a"); got != "k|int|YES|true|NULL|\nextra|json|YES|false|NULL|" {
		t.Error(got)
	}
	if got := query(t, c, "ADMIN SHOW FRONTEND CONFIG LIKE 'label_keep_max_num'"); got != "label_keep_max_num|[]|77|int|true|" {
		t.Error(got)
	}
	for _, q := range []string{"INSERT INTO logs.a VALUES (1, NULL)", "CREATE TABLE logs.a (k INT)", "SELECT * FROM logs.none", "DROP TABLE logs.none"} {
		if _, err := c.Exec(q); err == nil {
			t.Errorf("%s was done", q)
		}
	}
	for user, password := range map[string]string{"reader": "wrong", "nobody": ""} {
		if db, _ := sql.Open("mysql", s.DSN(user, password, "")); db.Ping() == nil {
			t.Errorf("%s got in", user)
		}
	}
	loader, _ := sql.Open("mysql", s.DSN("loader", "l", "logs"))
	defer loader.Close()
	if _, err := loader.Exec("SELECT * FROM a"); err == nil || !strings.Contains(err.Error(), "SELECT privilege") {
		t.Errorf("SELECT without the privilege: %v", err)
	}
	if _, err := loader.Exec("DROP TABLE a"); err == nil {
		t.Error("DROP without the privilege")
	}
}
