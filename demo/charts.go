package main

import (
	"context"
	"database/sql"
	_ "embed" // for the data set
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"millrace/demo/traffic"
)

// dataSet derives fields from the access lines, as the dashboard does.
//
//go:embed dataset.sql
var dataSet string

// chart is one question to the data set. DATA stands for it.
type chart struct{ Name, SQL string }

// charts are the eight of the dashboard.
var charts = []chart{
	{"response_time", `SELECT bucket, avg(response_time), max(response_time) FROM (DATA) AS d GROUP BY bucket ORDER BY bucket`},
	{"requests", `SELECT bucket, count(*) FROM (DATA) AS d GROUP BY bucket ORDER BY bucket`},
	{"by_status", `SELECT bucket, status_code, count(*) / WIDTH FROM (DATA) AS d GROUP BY bucket, status_code ORDER BY bucket, status_code`},
	{"error_rate", `SELECT bucket, 100.0 * sum(CASE WHEN status_code >= 400 THEN 1 ELSE 0 END) / count(*), sum(CASE WHEN status_code >= 400 THEN 1 ELSE 0 END), count(*) FROM (DATA) AS d GROUP BY bucket ORDER BY bucket`},
	{"projects", `SELECT project_name, count(*) AS n FROM (DATA) AS d GROUP BY project_name ORDER BY n DESC`},
	{"slowest", `SELECT concat(host_domain, request_url) AS url, avg(response_time) AS seconds, count(*) AS n FROM (DATA) AS d GROUP BY url ORDER BY seconds DESC LIMIT 10`},
	{"errors", `SELECT concat(host_domain, request_url) AS url, sum(CASE WHEN status_code >= 400 THEN 1 ELSE 0 END) AS errors, count(*) AS n FROM (DATA) AS d GROUP BY url ORDER BY errors DESC LIMIT 10`},
	{"error_list", `SELECT kst_time, status_code, response_time, message FROM (DATA) AS d WHERE status_code >= 400 ORDER BY kst_time DESC LIMIT 40`},
}

// newest is the last rows of the table, whatever they are.
var newest = chart{"newest", `SELECT kst_time, stream, get_json_string(kubernetes, '$.pod_name') AS pod, left(message, 400) AS message
	FROM ` + table + ` WHERE kst_time >= 'SINCE' AND kst_time < 'UNTIL' ORDER BY time DESC LIMIT 12`}

// reading is what a question brought.
type reading struct {
	Rows   [][]any `json:"rows"`
	Millis int64   `json:"millis"`
	Error  string  `json:"error,omitempty"`
}

// ask puts a question about the rows of a stretch of time.
func (w *warehouse) ask(ctx context.Context, c chart, of span) reading {
	began := time.Now()
	rows, err := w.rows(ctx, of.fill(c.SQL))
	if err != nil {
		return reading{Error: explain(err)}
	}
	return reading{Rows: rows, Millis: time.Since(began).Milliseconds()}
}

// fill puts the data set and the times into a query.
func (s span) fill(query string) string {
	b := s.bucket()
	return strings.NewReplacer("SINCE", sqlTime(s.since), "UNTIL", sqlTime(s.until),
		"CHARACTERS", b.characters, "ZEROS", b.zeros, "WIDTH", strconv.Itoa(int(b.width.Seconds()))).
		Replace(strings.ReplaceAll(query, "DATA", dataSet))
}

// errNoBackend is what StarRocks answers to queries without a backend. The
// stand-in would go on to answer them.
var errNoBackend = errors.New("its backend is stopped")

func (w *warehouse) rows(ctx context.Context, query string) ([][]any, error) {
	if w.broken.Load() {
		return nil, errNoBackend
	}
	rows, err := w.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return scan(rows)
}

// explain is a sentence about an error of a query.
func explain(err error) string {
	var refused *mysql.MySQLError
	if errors.As(err, &refused) {
		return fmt.Sprintf("StarRocks refuses the query: %s.", refused.Message)
	}
	return fmt.Sprintf("StarRocks does not answer: %v.", err)
}

// oldest is the time of the first row, zero of an empty table.
func (w *warehouse) oldest(ctx context.Context) (time.Time, error) {
	rows, err := w.rows(ctx, "SELECT min(kst_time) FROM "+table)
	if err != nil || rows[0][0] == nil {
		return time.Time{}, err
	}
	return time.ParseInLocation(rowTime, fmt.Sprint(rows[0][0]), traffic.Zone)
}

func scan(rows *sql.Rows) (table [][]any, err error) {
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	table = [][]any{}
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read a row: %w", err)
		}
		for i := range row {
			row[i] = plain(row[i], columns[i].DatabaseTypeName())
		}
		table = append(table, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return table, nil
}

// rowTime is the form of a time in a row.
const rowTime = "2006-01-02T15:04:05.000"

// plain turns what the driver gives into what JSON and a page can take:
// numbers as numbers, times as text in the table's own zone.
func plain(v any, kind string) any {
	switch v := v.(type) {
	case []byte:
		switch kind {
		case "DECIMAL", "DOUBLE", "FLOAT", "BIGINT", "INT":
			if n, err := strconv.ParseFloat(string(v), 64); err == nil {
				return n
			}
		}
		return string(v)
	case time.Time:
		return v.Format(rowTime)
	}
	return v
}
