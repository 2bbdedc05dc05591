package starrockstest

import (
	"strings"
	"testing"
)

// recommendedTable has every clause the recommended log tables use.
const recommendedTable = "CREATE TABLE recommended (\n" +
	"  `time` DATETIME NOT NULL, `stream` VARCHAR(32), `logtag` VARCHAR(64), `message` VARCHAR(1048576),\n" +
	"  `kubernetes` JSON, `kubernetes_namespace` JSON,\n" +
	"  `kafka_partition` INT, `kafka_offset` BIGINT,           -- provenance\n" +
	"  `kst_time` DATETIME AS convert_tz(`time`,'UTC','Asia/Seoul'),\n" +
	"  `ns` VARCHAR(256) AS get_json_string(`kubernetes`, '$.namespace_name')\n" +
	") ENGINE=OLAP\nDUPLICATE KEY(`time`)\nPARTITION BY date_trunc('day', `time`)\nDISTRIBUTED BY RANDOM\n" +
	`PROPERTIES ("replication_num"="3", "partition_live_number"="14", "bloom_filter_columns"="ns");`

func TestCreateTable(t *testing.T) {
	s := start(t, Config{})
	for sql, want := range map[string]string{
		recommendedTable: "",
		"CREATE TABLE p1 (time DATETIME, v STRING) DUPLICATE KEY(time) PARTITION BY date_trunc('day', hours_add(`time`, 9)) DISTRIBUTED BY RANDOM BUCKETS 4": "",
		"CREATE TABLE p2 (time DATETIME, v STRING) PARTITION BY time_slice(time, INTERVAL 10 MINUTE)":                                                        "",
		"CREATE TABLE p3 (time DATETIME, v STRING, d DATETIME AS date_trunc('day', time)) PARTITION BY (d)":                                                  "",
		"CREATE TABLE i (k INT, m STRING, INDEX idx (m) USING GIN('parser' = 'english') COMMENT 'full text') DUPLICATE KEY(k) COMMENT 'c' ORDER BY (k)":      "",
		"CREATE TABLE defaults (k INT NOT NULL DEFAULT '1' COMMENT 'key', v STRING NULL DEFAULT 'x') DUPLICATE KEY(k)":                                       "",
		"CREATE TABLE IF NOT EXISTS kong_log_events (k INT)":                                                                                                 "",
		"CREATE TABLE kong_log_events (k INT)":                                                           "already exists",
		"CREATE TABLE x (k INT, K STRING)":                                                               "Duplicate column name",
		"CREATE TABLE x (k DECIMAL(10,2))":                                                               "Unknown data type 'decimal'",
		"CREATE TABLE x (k VARCHAR(1048577))":                                                            "size must be <=",
		"CREATE TABLE x (j JSON, k INT) DUPLICATE KEY(j)":                                                "Invalid data type of key column 'j'",
		"CREATE TABLE x (k INT, j INT) DUPLICATE KEY(j)":                                                 "first few columns",
		"CREATE TABLE x (k INT) DUPLICATE KEY(z)":                                                        "Key column 'z' doesn't exist",
		"CREATE TABLE x (k INT) PRIMARY KEY(k)":                                                          "DUPLICATE KEY tables only",
		"CREATE TABLE x (k INT, j JSON) DISTRIBUTED BY HASH(j)":                                          "can not be distribution column",
		"CREATE TABLE x (k INT) DISTRIBUTED BY HASH(z)":                                                  "Distribution column(z) doesn't exist",
		"CREATE TABLE x (k INT) PARTITION BY date_trunc('day', z)":                                       "Partition column [z] doesn't exist",
		"CREATE TABLE x (t DATETIME) PARTITION BY date_trunc('day', convert_tz(t, 'UTC', 'Asia/Seoul'))": "convert_tz",
		"CREATE TABLE x (k INT, g DATETIME AS convert_tz(z, 'UTC', 'Asia/Seoul'))":                       "Column 'z' cannot be resolved",
		"CREATE TABLE x (k INT, g INT AS md5(k))":                                                        "cannot compute it in a generated column",
		"CREATE TABLE x (t DATETIME, g INT AS convert_tz(t, 'UTC', 'Asia/Seoul'))":                       "Illegal expression type",
		"CREATE TABLE x (t DATETIME, g DATETIME AS hours_add(t, 9), h DATETIME AS hours_add(g, 1))":      "other generated columns",
		"CREATE TABLE x (t DATETIME, g DATETIME AS hours_add(t, 9), v STRING)":                           "after ordinary columns",
		"CREATE TABLE x (k INT":                                                                          "Unexpected input '<EOF>'",
		"CREATE TABLE x (key INT)":                                                                       "Unexpected input 'key'",
		"CREATE TABLE x (k INT) ENGINE = MYSQL":                                                          "no table engine",
		"CREATE TABLE nodb.x (k INT)":                                                                    "Unknown database 'nodb'",
		"CREATE DATABASE quickstart":                                                                     "database exists",
		"DROP TABLE IF EXISTS none":                                                                      "",
		"DROP TABLE none":                                                                                "Unknown table",
		"ALTER TABLE kong_log_events DROP COLUMN time":                                                   "Can not drop key column",
		"ALTER TABLE kong_log_events DROP COLUMN kst_time":                                               "cannot be dropped",
		"ALTER TABLE kong_log_events DROP COLUMN none":                                                   "does not exists",
		"ALTER TABLE kong_log_events ADD COLUMN stream INT":                                              "already exists",
		"ALTER TABLE kong_log_events ADD COLUMN m INT NOT NULL":                                          "without a default value",
		"ALTER TABLE kong_log_events ADD COLUMN n INT DEFAULT '3' AFTER stream":                          "",
		"SELECT 1": "Unexpected input 'SELECT'",
	} {
		err := s.Exec("quickstart", sql)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: got %v, want %q", sql, err, want)
		}
	}
}

func TestGeneratedColumns(t *testing.T) {
	s := start(t, Config{})
	if err := s.Exec("quickstart", recommendedTable); err != nil {
		t.Fatal(err)
	}
	r, err := tryPut(t, s, "recommended", goodRow, "strict_mode", "true")
	if err != nil || r.Status != "Success" {
		t.Fatal(r.raw, err)
	}
	if err := s.Exec("quickstart", "ALTER TABLE recommended ADD COLUMN later INT DEFAULT '7'"); err != nil {
		t.Fatal(err)
	}
	for row := range s.Rows("quickstart", "recommended") {
		if row.Get("ns") != "kong" || row.Get("later") != int64(7) || row.Get("kafka_offset") != nil {
			t.Errorf("row %v", row)
		}
	}
	long := strings.Replace(goodRow, `"namespace_name":"kong"`, `"namespace_name":"`+strings.Repeat("n", 257)+`"`, 1)
	if r, _ = tryPut(t, s, "recommended", long); r.Message != "too many filtered rows" {
		t.Errorf("a computed value that is too long: %s", r.raw)
	}
}

// One ALTER TABLE may have several clauses: all of them are done, or none.
func TestAlterTable(t *testing.T) {
	s := start(t, Config{})
	for _, step := range []struct{ sql, want string }{
		{"ALTER TABLE kong_log_events ADD COLUMN a1 INT, ADD COLUMN a2 INT AFTER a1, DROP COLUMN logtag", ""},
		{"ALTER TABLE kong_log_events ADD COLUMN a3 INT, ADD COLUMN a1 INT", "already exists"},
		{"ALTER TABLE kong_log_events DROP COLUMN a2, DROP COLUMN time", "Can not drop key column"},
		{"ALTER TABLE kong_log_events ADD COLUMN a3 INT, ADD COLUMN (a4 INT, a5 INT DEFAULT '1')", ""},
		{"ALTER TABLE kong_log_events ADD COLUMN a6 INT,", "Unexpected input"},
		{"ALTER TABLE kong_log_events ADD COLUMN a6 INT ADD COLUMN a7 INT", "Unexpected input"},
	} {
		err := s.Exec("quickstart", step.sql)
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: got %v, want %q", step.sql, err, step.want)
		}
	}
	put(t, s, goodRow)
	for row := range s.Rows("quickstart", "kong_log_events") {
		if got, want := strings.Join(row.Columns, " "), "time stream message kubernetes kubernetes_namespace a1 a2 a3 a4 a5 kst_time"; got != want {
			t.Errorf("columns %s, want %s", got, want)
		}
	}
}
