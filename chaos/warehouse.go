package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"millrace/chaos/check"
)

// The names in StarRocks.
const (
	database = "chaos"
	table    = "chaos.lines"
	loader   = "millrace" // who loads
	watcher  = "chaos"    // who looks
)

// answersLost are the faults that are switched on: what StarRocks or the
// network before it does to one load or question of so many. In sum they strike
// about every third load.
var answersLost = []string{
	"drop after commit,times=-1,chance=0.05",
	"status unknown then committed,times=-1,chance=0.02",
	"status unknown then aborted,times=-1,chance=0.02",
	"drop before commit,times=-1,chance=0.05",
	"cut answer,times=-1,chance=0.02",
	"garbled answer,times=-1,chance=0.01",
	"hold transaction,times=-1,chance=0.01,delay=700ms,then=VISIBLE",
	"crash backend,times=-1,chance=0.003",
	"publish timeout,times=-1,chance=0.06,delay=500ms",
	"too many versions,times=-1,chance=0.01",
	"txn limit,times=-1,chance=0.01",
	"memory limit,times=-1,chance=0.01",
	"slow continue,times=-1,chance=0.05,delay=300ms",
	"slow answer,times=-1,chance=0.05,delay=300ms",
	"slow redirect,times=-1,chance=0.05,delay=300ms",
	"backend 500,times=-1,chance=0.01",
	"frontend 500,times=-1,chance=0.01",
	"frontend failed,times=-1,chance=0.01",
	"redirect to a dead port,times=-1,chance=0.01",
	"load state failed,times=-1,chance=0.05",
	"load state hang,times=-1,chance=0.02,delay=500ms",
}

// warehouse is the stand-in StarRocks, one process after another over one edit
// log. Only one goroutine may start and kill it.
type warehouse struct {
	argv     []string
	dir, log string
	frontend, query,
	control string
	password string
	seed     uint64
	labels   int // that it remembers
	db       *sql.DB
	http     *http.Client

	process *process
	lives   int
	away    atomic.Bool
	slowest time.Duration // longest start
}

// newWarehouse chooses addresses, which it keeps over all lives.
func newWarehouse(o *options, dir string) (*warehouse, error) {
	var addrs [4]string
	for i := range addrs {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		addrs[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	w := &warehouse{dir: dir, log: filepath.Join(dir, "starrocks.log"), frontend: addrs[0], query: addrs[2], control: addrs[3],
		password: "starrocks-secret", seed: o.random(), labels: o.labels, http: &http.Client{Timeout: 5 * time.Second}}
	w.argv = []string{o.starrocks, "-dir", filepath.Join(dir, "starrocks"), "-frontend", addrs[0], "-backends", addrs[1], "-mysql", addrs[2], "-control", addrs[3],
		"-user", loader + ":" + w.password, "-user", watcher + ":" + w.password, "-ddl", "CREATE DATABASE " + database,
		"-set", "label_keep_max_num=" + strconv.Itoa(o.labels), "-set", "transaction_clean_interval_second=0"}
	if o.faults {
		for _, f := range answersLost {
			w.argv = append(w.argv, "-fault", f)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "starrocks.password"), []byte(w.password), 0o600); err != nil {
		return nil, fmt.Errorf("write the password for StarRocks: %w", err)
	}
	if err := mysql.SetLogger(&mysql.NopLogger{}); err != nil { // it is killed again and again
		return nil, err
	}
	var err error
	w.db, err = sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/%s?timeout=2s", watcher, w.password, w.query, database))
	if err != nil {
		return nil, fmt.Errorf("open the MySQL connection: %w", err)
	}
	w.db.SetMaxIdleConns(0) // each life has connections of its own
	return w, nil
}

// start starts the next process and returns when it answers. The dice of its
// faults fall anew in each life.
func (w *warehouse) start(ctx context.Context) (err error) {
	w.lives++
	argv := append(w.argv[:len(w.argv):len(w.argv)], "-seed", strconv.FormatUint(w.seed+uint64(w.lives), 10))
	if w.process, err = launch("starrocks", w.log, nil, argv...); err != nil {
		return err
	}
	err = until(ctx, patience, func() (bool, error) {
		if !w.process.running() {
			return false, fmt.Errorf("the StarRocks stand-in has ended (%w): %s", w.process.err, tail(w.log))
		}
		_, err := w.state(ctx)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the StarRocks stand-in, life %d: %w", w.lives, err)
	}
	w.slowest = max(w.slowest, time.Since(w.process.began))
	w.away.Store(false)
	return nil
}

// kill ends it as kill -9 does.
func (w *warehouse) kill() {
	w.away.Store(true)
	w.process.kill()
}

// warehouseState is what the stand-in says about all its lives.
type warehouseState struct {
	Stats struct {
		Running, // transactions now
		Evicted, Forgotten, Reused int
	} `json:"stats"`
	Struck map[string]int `json:"struck"`
}

// faults is how many have struck.
func (s *warehouseState) faults() (n int) {
	for kind, times := range s.Struck {
		if !strings.Contains(kind, "label ") { // what it counts besides
			n += times
		}
	}
	return n
}

// loaded is a transaction, as the stand-in tells it.
type loaded struct {
	Label           string
	State           string
	Rows            int64
	Begun, Finished time.Time
}

func (w *warehouse) state(ctx context.Context) (*warehouseState, error) {
	s := &warehouseState{}
	return s, w.ask(ctx, http.MethodGet, "/", s)
}

// label asks for the transaction of a label.
func (w *warehouse) label(ctx context.Context, label string) (*loaded, error) {
	l := &loaded{}
	return l, w.ask(ctx, http.MethodGet, "/label?db="+database+"&label="+url.QueryEscape(label), l)
}

func (w *warehouse) ask(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.control+path, nil)
	if err != nil {
		return err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the StarRocks stand-in: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, body)
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("ask the StarRocks stand-in: %w", err)
	}
	return nil
}

// forget has it forget all labels but those of transactions that run.
func (w *warehouse) forget(ctx context.Context) error {
	return errors.Join(w.do(ctx, "/set?name=label_keep_max_num&value=0"), w.do(ctx, "/evict"), w.do(ctx, "/set?name=label_keep_max_num&value="+strconv.Itoa(w.labels)))
}

// do turns one of its switches.
func (w *warehouse) do(ctx context.Context, what string) error {
	return w.ask(ctx, http.MethodPost, what, &struct{}{})
}

// visible counts the rows of the table, which the first collector makes; -1 if
// nobody can tell now.
func (w *warehouse) visible(ctx context.Context) (n int64) {
	err := w.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n)
	switch {
	case err == nil:
		return n
	case strings.Contains(err.Error(), "not found"):
		return 0
	}
	return -1
}

// each reads the whole table.
func (w *warehouse) each(ctx context.Context, row func(*check.Row)) error {
	rows, err := w.db.QueryContext(ctx, "SELECT kafka_topic_id, kafka_partition, kafka_offset, stream, message, kubernetes FROM "+table)
	if err != nil {
		return fmt.Errorf("select all rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r check.Row
		if err := rows.Scan(&r.TopicID, &r.Partition, &r.Offset, &r.Stream, &r.Message, &r.Kubernetes); err != nil {
			return fmt.Errorf("read a row: %w", err)
		}
		row(&r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read all rows: %w", err)
	}
	return nil
}

func (w *warehouse) close() {
	w.db.Close()
	if w.process != nil {
		w.process.kill()
	}
}
