package starrocks

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/internal/config"
	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
	"millrace/outputs/starrocks/starrockstest"
)

// patience bounds waiting in tests; it is reached only when they fail.
const patience = 20 * time.Second

const (
	testUser     = "millrace"
	testPassword = "do-not-print-me"
	testTopicID  = "7vKzYH3zTTOm9ZDgIZX4NQ"
)

const testDDL = `CREATE DATABASE quickstart; USE quickstart;
CREATE TABLE kong_log_events (
    time DATETIME NOT NULL, stream VARCHAR(10), message VARCHAR(100), status INT, kubernetes JSON, truncated BOOLEAN,
    kafka_topic_id STRING, kafka_partition INT, kafka_offset BIGINT, kst_time DATETIME AS convert_tz(time, 'UTC', 'Asia/Seoul')
) ENGINE = OLAP DUPLICATE KEY(time) DISTRIBUTED BY HASH(kst_time) BUCKETS 10;`

// rig is an output before a stand-in of StarRocks.
type rig struct {
	t       *testing.T
	srv     *starrockstest.Server
	out     *Output
	ledger  *pipeline.Ledger
	account *pipeline.Account
	pool    *pipeline.Pool
	offset  int64
	label   string // of the next batch

	mu      sync.Mutex
	reports []error
}

// newRig starts both. Either function may be nil.
func newRig(t *testing.T, server func(*starrockstest.Config), change func(*Options, *starrockstest.Server)) *rig {
	t.Helper()
	sc := starrockstest.Config{DDL: []string{testDDL}, Users: []starrockstest.User{{Name: testUser, Password: testPassword, Insert: true, Select: true}}}
	if server != nil {
		server(&sc)
	}
	srv, err := starrockstest.New(sc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	r := &rig{t: t, srv: srv, ledger: pipeline.NewLedger("kong", "topic", "partition"), pool: pipeline.NewPool(8, 1<<20)}
	r.account = r.ledger.Open("logging.kong[0]", "logging.kong", "0")
	opts := Options{Pipeline: "kong", Report: r.note}
	config.SetDefaults(&opts.Config)
	c := &opts.Config
	c.URLs, c.QueryAddr = srv.FrontendURLs(), srv.MySQLAddr()
	c.Database, c.Table, c.Username = "quickstart", "kong_log_events", testUser
	c.Password.Value = config.NewSecret(testPassword)
	c.Load.MaxPerSecond, c.Load.MaxBackoff, c.Load.Timeout = 1000, 20*time.Millisecond, 20*time.Second
	if change != nil {
		change(&opts, srv)
	}
	if r.out, err = New(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// close ends the output, if the test has not, and checks the books.
func (r *rig) close() {
	if r.out == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_ = r.out.Close(ctx) // batches that cannot be delivered are part of some tests
	r.out = nil
	pipelinetest.CheckBalance(r.t, r.ledger, r.pool)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.reports {
		if err != nil && (strings.Contains(err.Error(), testPassword) || strings.Contains(err.Error(), "\n")) {
			r.t.Errorf("not fit for a log: %q", err)
		}
	}
}

func (r *rig) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, err)
}

// reported waits for a report that holds all the fragments.
func (r *rig) reported(fragments ...string) {
	r.t.Helper()
	ok := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
	reports:
		for _, err := range r.reports {
			for _, f := range fragments {
				if err == nil || !strings.Contains(err.Error(), f) {
					continue reports
				}
			}
			return true
		}
		return false
	}
	eventually(r.t, func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return fmt.Sprintf("a report with %q among %q", fragments, r.reports)
	}, ok)
}

// ready waits until the output says that it is fine.
func (r *rig) ready() {
	r.t.Helper()
	eventually(r.t, func() string { return "ready" }, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.reports) > 0 && r.reports[len(r.reports)-1] == nil
	})
}

// write gives the output a batch of records and returns where its outcome
// will be.
func (r *rig) write(raws ...string) <-chan error {
	r.t.Helper()
	b, err := r.pool.Get(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	b.Begin(r.account)
	origin := &pipeline.Origin{Account: r.account, TopicID: testTopicID}
	for _, raw := range raws {
		rec := b.Add()
		rec.Origin, rec.Raw, rec.Offset = origin, []byte(raw), r.offset
		r.offset++
	}
	b.ID, r.label = r.label, ""
	done := make(chan error, 1)
	b.OnDone(func(_ *pipeline.Batch, err error) { done <- err })
	b.Emitted()
	r.out.Write(b)
	return done
}

// delivered waits for the outcome of a batch, which must be a good one.
func (r *rig) delivered(done <-chan error) {
	r.t.Helper()
	select {
	case err := <-done:
		if err != nil {
			r.t.Fatal(err)
		}
	case <-time.After(patience):
		r.mu.Lock()
		defer r.mu.Unlock()
		r.t.Fatalf("the batch is not delivered; reports: %q", r.reports)
	}
}

// rows is what the table holds, as one text per row.
func (r *rig) rows(columns ...string) []string {
	var rows []string
	for row := range r.srv.Rows("quickstart", "kong_log_events") {
		var values []string
		for _, c := range columns {
			values = append(values, fmt.Sprint(row.Get(c)))
		}
		rows = append(rows, strings.Join(values, "|"))
	}
	return rows
}

// line is a record with a message.
func line(message string) string {
	return `{"time":"2026-08-21T17:15:30.217676062+09:00","stream":"stdout","message":"` + message + `"}`
}

func eventually(t *testing.T, what func() string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errors.New("not in time"))
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what(), context.Cause(ctx))
		}
	}
}

func pemOf(cert []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// createTable is the CREATE TABLE statement of a script.
func createTable(ddl string) string {
	_, statement, _ := strings.Cut(ddl, "CREATE TABLE")
	return "CREATE TABLE" + statement
}
