package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/config"
	"millrace/internal/ops"
	"millrace/internal/pipeline"
	"millrace/outputs/starrocks/starrockstest"
)

const testDDL = `CREATE DATABASE quickstart; USE quickstart;
CREATE TABLE kong_log_events (
    time DATETIME, stream STRING, logtag STRING, message STRING, kubernetes JSON, kubernetes_namespace JSON, cluster STRING,
    kafka_topic_id STRING, kafka_partition INT, kafka_offset BIGINT, kst_time DATETIME AS convert_tz(time, 'UTC', 'Asia/Seoul')
) ENGINE = OLAP DUPLICATE KEY(time) DISTRIBUTED BY HASH(kst_time) BUCKETS 10;`

const testYAML = `
data_dir: %s
memory_limit: 256MiB
pipelines:
  - name: kong
    source: {kafka: {brokers: [%s], topic: logging.kong, group: millrace-kong}}
    filters:
      - drop: {field: message, match: '^127\.0\.0\.1 '}
      - add: {cluster: seoul}
    output:
      starrocks:
        urls: [%s]
        query_addr: %s
        database: quickstart
        table: kong_log_events
        username: root
        password: ""
        load: {max_rows: 400, max_age: 20ms, max_per_second: 1000, max_backoff: 50ms}
        dead_letter: {topic: logging.kong.dead}
`

func newStarRocks(t *testing.T) *starrockstest.Server {
	t.Helper()
	srv, err := starrockstest.New(starrockstest.Config{DDL: []string{testDDL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv
}

// process is a running collector.
type process struct {
	t     *testing.T
	ops   *ops.Process
	stop  context.CancelFunc
	ended chan error
}

// run runs a collector from its configuration file, changed by replacing old
// with new.
func run(t *testing.T, b *broker, srv *starrockstest.Server, oldnew ...string) *process {
	t.Helper()
	text := fmt.Sprintf(testYAML, t.TempDir(), strings.Join(b.addrs, ","), srv.URL(), srv.MySQLAddr())
	f, err := config.Parse("test.yaml", []byte(strings.NewReplacer(oldnew...).Replace(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := new(Config)
	if err := f.Decode(c); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, ops: ops.NewProcess(ops.LogConfig{}, io.Discard), ended: make(chan error, 1)}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	go func() { p.ended <- Run(ctx, c, p.ops) }()
	t.Cleanup(p.stop)
	return p
}

// shutDown ends the collector, which has nothing left to do.
func (p *process) shutDown() {
	p.t.Helper()
	if err := p.end(); err != nil {
		p.t.Errorf("the collector ended with %v", err)
	}
	for _, s := range p.books() {
		if s.Ledger.Pending != 0 {
			p.t.Errorf("after the shutdown the books of %s say %+v", s.Name, s.Ledger)
		}
	}
}

// end ends the collector, whatever it has to do.
func (p *process) end() error {
	p.t.Helper()
	p.stop()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		p.t.Fatalf("the collector does not end:\n%s", stacks[:runtime.Stack(stacks, true)])
		return nil
	}
}

// books are the ledgers, which balance.
func (p *process) books() []pipeline.Status {
	p.t.Helper()
	var page struct{ Pipelines []pipeline.Status }
	if err := json.Unmarshal([]byte(p.get("/status")), &page); err != nil {
		p.t.Fatal(err)
	}
	for _, s := range page.Pipelines {
		if s.Ledger.Missing() != 0 {
			p.t.Errorf("the books of %s do not balance: %+v", s.Name, s.Ledger)
		}
	}
	return page.Pipelines
}

// get is a page of the admin address.
func (p *process) get(path string) string {
	w := httptest.NewRecorder()
	p.ops.Admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Body.String()
}

// says waits for a line of /readyz.
func (p *process) says(fragment string) {
	p.t.Helper()
	eventually(p.t, "/readyz says "+fragment, func() bool { return strings.Contains(p.get("/readyz"), fragment) })
}

// metric is the value of a sample, as text.
func (p *process) metric(name string) string {
	for line := range strings.Lines(p.get("/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// logRecords are records as the agent writes them.
func logRecords(prefix string, n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf(`{"time":"2026-08-21T08:15:30.%09dZ","stream":"stdout","logtag":"F","message":"%s%d","kubernetes":{"pod_name":"kong-1"}}`, i, prefix, i)
	}
	return values
}

// messages are those in the table, sorted.
func messages(srv *starrockstest.Server) (all []string) {
	for row := range srv.Rows("quickstart", "kong_log_events") {
		all = append(all, row.Get("message").(string))
	}
	slices.Sort(all)
	return all
}

// tableHolds waits for as many rows as there are messages, and compares.
func tableHolds(t *testing.T, srv *starrockstest.Server, want []string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d rows", len(want)), func() bool { return srv.Count("quickstart", "kong_log_events") >= int64(len(want)) })
	if got := messages(srv); !slices.Equal(got, sorted(want)) {
		t.Errorf("the table holds %d rows of %d, not each once", len(got), len(want))
	}
}

func TestFromTopicToTable(t *testing.T) {
	b, srv := newBroker(t, 4), newStarRocks(t)
	p := run(t, b, srv)
	var want []string
	for part := range int32(4) {
		prefix := fmt.Sprintf("p%d-", part)
		b.produce(part, logRecords(prefix, 1000)...)
		b.produce(part, logRecords("127.0.0.1 - ", 10)...)
		want = append(want, numbered(prefix, 1000)...)
	}
	tableHolds(t, srv, want)
	for row := range srv.Rows("quickstart", "kong_log_events") {
		at, kst := row.Get("time").(time.Time), row.Get("kst_time").(time.Time)
		if kst.Sub(at) != 9*time.Hour || row.Get("cluster") != "seoul" || row.Get("kubernetes") != `{"pod_name": "kong-1"}` {
			t.Fatalf("a row is %v", row)
		}
	}
	p.says("ready")
	// The rows are there before the records that the filter drops are read.
	for part := range 4 {
		eventually(t, "the filtered records", func() bool {
			return p.metric(fmt.Sprintf(`millrace_records_filtered_total{partition="%d",pipeline="kong",topic="logging.kong"}`, part)) == "10"
		})
	}
	eventually(t, "no lag", func() bool {
		return p.metric(`millrace_partition_lag_records{partition="3",pipeline="kong",topic="logging.kong"}`) == "0"
	})
	for name, want := range map[string]string{
		`millrace_records_delivered_total{partition="2",pipeline="kong",topic="logging.kong"}`: "1000",
		`millrace_time_to_visible_seconds_count{pipeline="kong"}`:                              "4000",
		`millrace_load_rows_total{pipeline="kong"}`:                                            "4000",
	} {
		if got := p.metric(name); got != want {
			t.Errorf("%s is %q, not %s", name, got, want)
		}
	}
	p.shutDown()
	if at := b.committed(); at[0] != 1010 || at[3] != 1010 {
		t.Errorf("committed at %v", at)
	}
}

// StarRocks is down: nothing is lost, nothing is skipped, and what the process
// holds stays bounded. Then everything arrives.
func TestStarRocksIsDownForAWhile(t *testing.T) {
	b, srv := newBroker(t, 2), newStarRocks(t)
	srv.Inject(starrockstest.Fault{Kind: starrockstest.RedirectDead, Times: -1})
	p := run(t, b, srv, "max_rows: 400", "max_rows: 100")
	var want []string
	for part := range int32(2) {
		prefix := fmt.Sprintf("p%d-", part)
		b.produce(part, logRecords(prefix, 6000)...)
		want = append(want, numbered(prefix, 6000)...)
	}
	p.says("kong/output: load into StarRocks table quickstart.kong_log_events at ")
	eventually(t, "both lanes hold a batch", func() bool { return strings.Contains(p.get("/status"), `"pending": 200,`) })
	srv.ClearFaults()
	tableHolds(t, srv, want)
	p.says("ready\n")
	p.shutDown()
}

// The answer to a load is lost in every way there is, and members come and go:
// each row is in the table once.
func TestLostAnswersAndRebalances(t *testing.T) {
	b, srv := newBroker(t, 6), newStarRocks(t)
	for i, k := range []starrockstest.FaultKind{starrockstest.DropAfterCommit, starrockstest.CutAnswer, starrockstest.UnknownCommitted,
		starrockstest.DropBeforeCommit, starrockstest.UnknownAborted, starrockstest.FrontendError500, starrockstest.TooManyVersions} {
		for n := range 6 {
			srv.Inject(starrockstest.Fault{Kind: k, Skip: 2*n + i%2})
		}
	}
	var want []string
	members := []*process{run(t, b, srv)}
	for round := range 6 {
		for part := range int32(6) {
			prefix := fmt.Sprintf("r%dp%d-", round, part)
			b.produce(part, logRecords(prefix, 200)...)
			want = append(want, numbered(prefix, 200)...)
		}
		if round%2 == 0 {
			members = append(members, run(t, b, srv))
		} else {
			members[0].shutDown()
			members = members[1:]
		}
	}
	tableHolds(t, srv, want)
	for _, p := range members {
		p.shutDown()
	}
	if got := messages(srv); len(got) != len(want) {
		t.Errorf("the table holds %d rows of %d", len(got), len(want))
	}
}

func TestForeignBytesGoToTheDeadLetterTopic(t *testing.T) {
	b, srv := newBroker(t, 1), newStarRocks(t)
	if _, err := b.admin.CreateTopic(t.Context(), 1, 1, nil, "logging.kong.dead"); err != nil {
		t.Fatal(err)
	}
	p := run(t, b, srv)
	good := logRecords("ok", 2)
	b.produce(0, good[0], "\x00\xff binary", `["an array"]`, `{"time":"soon"}`, good[1])
	tableHolds(t, srv, []string{"ok0", "ok1"})
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.addrs...), kgo.ConsumeTopics("logging.kong.dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []string
	for len(got) < 3 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		fetches := reader.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			text := string(r.Key) + " " + string(r.Value)
			for _, h := range r.Headers {
				text += " " + h.Key + "=" + string(h.Value)
			}
			got = append(got, text)
		})
	}
	id := b.topicID()
	where := " table=quickstart.kong_log_events topic=logging.kong topic_id=" + id + " partition=0 offset="
	want := []string{
		id + "/0/1 \x00\xff binary millrace=1 reason=not one valid JSON object: the first byte is not an opening brace at byte 0" + where + "1",
		id + `/0/2 ["an array"] millrace=1 reason=not one valid JSON object: the first byte is not an opening brace at byte 0` + where + "2",
		id + `/0/3 {"time":"soon"} millrace=1 reason=the field time holds no RFC 3339 time between the years 0 and 9999` + where + "3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	eventually(t, "the books", func() bool {
		return p.metric(`millrace_records_dropped_total{partition="0",pipeline="kong",reason="refused",topic="logging.kong"}`) == "3"
	})
	p.shutDown()
}

// Without a place for it, a record that can be no row stops the pipeline and
// says which one it is.
func TestForeignBytesWithoutADeadLetterTopic(t *testing.T) {
	b, srv := newBroker(t, 1), newStarRocks(t)
	p := run(t, b, srv, "dead_letter: {topic: logging.kong.dead}", "")
	b.produce(0, logRecords("ok", 1)[0], "binary")
	p.says("kong/output: the record at offset 1 of logging.kong[0] can be no row")
	p.stop()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
	if at := b.committed()[0]; at > 0 {
		t.Errorf("committed at %d", at)
	}
}

// What filters add counts as part of a load.
func TestLoadsWithAddedFieldsKeepTheirSize(t *testing.T) {
	b, srv := newBroker(t, 1), newStarRocks(t)
	b.produce(0, logRecords("m", 1000)...)
	p := run(t, b, srv, "cluster: seoul", "cluster: "+strings.Repeat("s", 4000), "max_rows: 400", "max_rows: 100000, max_bytes: 1MiB")
	tableHolds(t, srv, numbered("m", 1000))
	p.shutDown()
	// 1000 rows of 4.2 kB
	if n, err := strconv.Atoi(p.metric(`millrace_load_duration_seconds_count{pipeline="kong"}`)); err != nil || n < 4 {
		t.Errorf("4.2 MB are %d loads of at most 1 MiB (%v)", n, err)
	}
}

// pipelinesOf is the list of pipelines of a configuration.
func pipelinesOf(yaml string) string {
	_, list, _ := strings.Cut(yaml, "pipelines:\n")
	return list
}

// One pipeline that cannot work does not stop another.
func TestPipelinesAreIndependent(t *testing.T) {
	b, srv := newBroker(t, 1), newStarRocks(t)
	second := strings.NewReplacer("name: kong", "name: broken", "millrace-kong", "other", "table: kong_log_events", "table: nonesuch").
		Replace(pipelinesOf(testYAML))
	second = fmt.Sprintf(second, b.addrs[0], srv.URL(), srv.MySQLAddr())
	p := run(t, b, srv, "dead_letter: {topic: logging.kong.dead}\n", "dead_letter: {topic: logging.kong.dead}\n"+second)
	b.produce(0, logRecords("m", 10)...)
	tableHolds(t, srv, numbered("m", 10))
	p.says("broken/output: load into StarRocks table quickstart.nonesuch")
	p.stop()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}
