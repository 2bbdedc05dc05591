package main

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"sync/atomic"

	"millrace/demo/audit"
	ddl "millrace/manifests/starrocks"
	"millrace/outputs/starrocks/starrockstest"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

const (
	database = "quickstart"
	table    = "kong_log_events"
)

// The values of -table.
const (
	plainTable      = "plain"
	provenanceTable = "provenance"
)

// definitions are the tables to choose from, which differ in more than the name.
var definitions = map[string]string{plainTable: ddl.KongLogEvents, provenanceTable: ddl.Recommended}

// warehouse is the stand-in StarRocks and a connection to it, as a dashboard
// would have it: over the MySQL protocol, with the right to select.
type warehouse struct {
	*starrockstest.Server
	db         *sql.DB
	provenance bool // rows tell where they came from
	broken     atomic.Bool
	truncated  atomic.Int64 // rows given up by trim
}

// startWarehouse starts it with the table and the faults of the options. A
// folder that has a table already keeps it.
func startWarehouse(dir string, secrets map[string]string, opts *options) (*warehouse, error) {
	srv, err := starrockstest.New(starrockstest.Config{
		Dir: dir,
		DDL: []string{"CREATE DATABASE IF NOT EXISTS " + database + ";", definitions[opts.table]},
		Users: []starrockstest.User{
			{Name: "millrace", Password: secrets["starrocks"], Insert: true, Select: true},
			{Name: "dashboard", Password: secrets["dashboard"], Select: true},
		},
		Set: map[string]string{
			"label_keep_max_num":                strconv.Itoa(opts.labels),
			"transaction_clean_interval_second": "0", // at once
		},
		Faults: opts.faults,
	})
	if err != nil {
		return nil, fmt.Errorf("start the StarRocks stand-in: %w", err)
	}
	db, err := sql.Open("mysql", srv.DSN("dashboard", secrets["dashboard"], database)+"?parseTime=true")
	if err != nil {
		srv.Close()
		return nil, fmt.Errorf("open the MySQL connection: %w", err)
	}
	db.SetMaxOpenConns(2)
	return &warehouse{Server: srv, db: db, provenance: opts.table == provenanceTable}, nil
}

func (w *warehouse) close() {
	w.db.Close()
	w.Server.Close()
}

// breakDown stops the only backend: loads fail until mend.
func (w *warehouse) breakDown() {
	if w.broken.CompareAndSwap(false, true) {
		w.StopBackend(0)
	}
}

func (w *warehouse) mend() error {
	if !w.broken.CompareAndSwap(true, false) {
		return nil
	}
	if err := w.StartBackend(0); err != nil {
		w.broken.Store(true)
		return fmt.Errorf("start the backend again: %w", err)
	}
	return nil
}

// trim empties the table when it holds more than keep rows, since the
// stand-in has them all in memory and the user's table has no time to live.
func (w *warehouse) trim(keep int64) error {
	n := w.Count(database, table)
	if n <= keep {
		return nil
	}
	if err := w.Exec(database, "TRUNCATE TABLE "+table+";"); err != nil {
		return fmt.Errorf("empty the table: %w", err)
	}
	w.truncated.Add(n)
	return nil
}

// each reads the whole table over the MySQL protocol.
func (w *warehouse) each(ctx context.Context, row func(audit.Row)) error {
	rows, err := w.db.QueryContext(ctx, "SELECT time, kst_time, stream, message FROM "+table)
	if err != nil {
		return fmt.Errorf("select all rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r audit.Row
		if err := rows.Scan(&r.Time, &r.KST, &r.Stream, &r.Message); err != nil {
			return fmt.Errorf("read a row: %w", err)
		}
		row(r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read all rows: %w", err)
	}
	return nil
}

// count runs a query whose answer is one number.
func (w *warehouse) count(ctx context.Context, query string) (int64, error) {
	var n int64
	if err := w.db.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("ask %q: %w", query, err)
	}
	return n, nil
}
