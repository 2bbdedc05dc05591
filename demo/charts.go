package main

import (
	"context"
	"database/sql"
	_ "embed" // for the data set
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/demo/traffic"
)

// dataSet derives fields from the access lines, as the dashboard does.
//
//go:embed dataset.sql
var dataSet string

// chart is one question to the data set. DATA stands for it.
type chart struct{ Name, SQL string }

// bucket is the stretch of time the charts count by, as dataset.sql cuts it.
// The dashboard has a minute or an hour; a demo is young.
const bucket = 10 * time.Second

// charts are the eight of the dashboard.
var charts = []chart{
	{"response_time", `SELECT bucket, avg(response_time), max(response_time) FROM (DATA) AS d GROUP BY bucket ORDER BY bucket`},
	{"requests", `SELECT bucket, count(*) FROM (DATA) AS d GROUP BY bucket ORDER BY bucket`},
	{"by_status", `SELECT bucket, status_code, count(*) / 10 FROM (DATA) AS d GROUP BY bucket, status_code ORDER BY bucket, status_code`},
	{"error_rate", `SELECT bucket, 100.0 * sum(CASE WHEN status_code >= 400 THEN 1 ELSE 0 END) / count(*) FROM (DATA) AS d GROUP BY bucket ORDER BY bucket`},
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

// span is a stretch of time, without its end.
type span struct{ since, until time.Time }

// whole is the last so many minutes in whole buckets, each of which has had a
// few seconds to become complete: half a bucket would look like a drop.
func whole(now time.Time, minutes int) span {
	until := now.Add(-3 * time.Second).Truncate(bucket)
	return span{until.Add(-time.Duration(minutes) * time.Minute), until}
}

// sqlTime is the form of a DATETIME literal, in the zone of kst_time.
func sqlTime(t time.Time) string { return t.In(traffic.Zone).Format("2006-01-02 15:04:05") }

// ask puts a question about the rows of a stretch of time.
func (w *warehouse) ask(ctx context.Context, c chart, of span) reading {
	began := time.Now()
	query := strings.NewReplacer("SINCE", sqlTime(of.since), "UNTIL", sqlTime(of.until)).
		Replace(strings.ReplaceAll(c.SQL, "DATA", dataSet))
	rows, err := w.db.QueryContext(ctx, query)
	if err != nil {
		return reading{Error: err.Error()}
	}
	defer rows.Close()
	table, err := scan(rows)
	if err != nil {
		return reading{Error: err.Error()}
	}
	return reading{Rows: table, Millis: time.Since(began).Milliseconds()}
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
		return v.Format("2006-01-02T15:04:05.000")
	}
	return v
}

// board answers all charts at once, and again only after a while: as many
// pages as like may look.
type board struct {
	warehouse *warehouse

	mu      sync.Mutex
	fresh   time.Time // until when the readings are given again
	minutes int
	last    map[string]reading
}

// ask gives the charts of the last so many minutes. It may block for as long
// as eight questions take; they never take more than a fifth of one core. The
// readings are for others too, so they do not end with whoever asked first.
func (b *board) ask(minutes int) map[string]reading {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	began := time.Now()
	if b.minutes == minutes && began.Before(b.fresh) {
		return b.last
	}
	of := whole(began, minutes)
	b.last, b.minutes = map[string]reading{}, minutes
	for _, c := range charts {
		b.last[c.Name] = b.warehouse.ask(ctx, c, of)
	}
	took := time.Since(began)
	b.fresh = began.Add(max(bucket, 5*took))
	return b.last
}
