package starrockstest

import (
	"encoding/json"

	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// userTable is the users' table as they wrote it.
const userTable = `
CREATE DATABASE IF NOT EXISTS quickstart;
USE quickstart;
CREATE TABLE IF NOT EXISTS kong_log_events (
    time DATETIME,
    stream STRING,
    logtag STRING,
    message STRING,
    kubernetes JSON,
    kubernetes_namespace JSON,
    kst_time DATETIME AS convert_tz(time, 'UTC', 'Asia/Seoul')
) ENGINE = OLAP
DUPLICATE KEY(time)
DISTRIBUTED BY HASH(kst_time) BUCKETS 10;
`

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.DDL == nil {
		cfg.DDL = []string{userTable}
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{ExpectContinueTimeout: 1 << 40, DisableCompression: true},
}

// loadAnswer is the answer of one load, by key.
type loadAnswer struct {
	TxnID              int64
	Label              string
	Status             string
	ExistingJobStatus  string
	Message            string
	NumberTotalRows    int64
	NumberLoadedRows   int64
	NumberFilteredRows int64
	LoadBytes          int64
	ErrorURL           string
	raw                string
	http               int
}

func request(t *testing.T, method, url string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("root", "")
	r.Header.Set("Expect", "100-continue")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

func do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// tryPut loads a body through the frontend, following its redirect by hand.
func tryPut(t *testing.T, s *Server, table, body string, headers ...string) (loadAnswer, error) {
	t.Helper()
	headers = append([]string{"format", "json"}, headers...)
	url := s.URL() + "/api/quickstart/" + table + "/_stream_load"
	resp, text := do(t, request(t, "PUT", url, nil, headers...))
	if resp.StatusCode != http.StatusTemporaryRedirect {
		t.Fatalf("frontend answered %d: %s", resp.StatusCode, text)
	}
	resp, err := client.Do(request(t, "PUT", resp.Header.Get("Location"), strings.NewReader(body), headers...))
	if err != nil {
		return loadAnswer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return loadAnswer{}, err
	}
	a := loadAnswer{raw: string(raw), http: resp.StatusCode}
	return a, json.Unmarshal(raw, &a)
}

func put(t *testing.T, s *Server, body string, headers ...string) loadAnswer {
	t.Helper()
	a, err := tryPut(t, s, "kong_log_events", body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const goodRow = `{"time":"2026-08-21 08:15:30.217676","stream":"stdout","logtag":"F","message":"10.42.3.17 - GET","kubernetes":{"pod_name":"kong-x2x7k","namespace_name":"kong"}}` + "\n"

func TestLoadAndLabel(t *testing.T) {
	s := start(t, Config{})
	a := put(t, s, goodRow+goodRow, "label", "one", "strict_mode", "true")
	if a.Status != "Success" || a.NumberLoadedRows != 2 || a.http != 200 || s.Count("quickstart", "kong_log_events") != 2 {
		t.Fatalf("first load: %s", a.raw)
	}
	a = put(t, s, goodRow, "label", "one")
	if a.Status != "Label Already Exists" || a.ExistingJobStatus != "FINISHED" || a.TxnID != -1 {
		t.Fatalf("second load of the label: %s", a.raw)
	}
	for row := range s.Rows("quickstart", "kong_log_events") {
		if got := formatDatetime(datetimeMicros(row.Get("kst_time").(time.Time))); got != "2026-08-21 17:15:30.217676" {
			t.Errorf("kst_time %s", got)
		}
	}
}

// TestMemoryLimits: of one load by its header, decompressed bytes included, and
// of the backend. What a load took is given back.
func TestMemoryLimits(t *testing.T) {
	s := start(t, Config{})
	body := strings.Repeat(goodRow, 100)
	for range 2 {
		if r := put(t, s, body, "load_mem_limit", "1000"); r.Status != "Fail" || !strings.Contains(r.Message, "Mem usage has exceed the limit of single query") {
			t.Errorf("one load: %s", r.raw)
		}
	}
	packed := string(rowEncoder.EncodeAll([]byte(body), nil))
	if r := put(t, s, packed, "compression", "zstd", "exec_mem_limit", "10000"); r.Status != "Fail" || !strings.Contains(r.Message, "single query") {
		t.Errorf("decompressed: %s", r.raw)
	}
	if r := put(t, s, goodRow, "exec_mem_limit", "0"); r.Status != "Fail" {
		t.Errorf("no memory at all: %s", r.raw)
	}
	if err := s.Set("load_process_max_memory_limit_bytes", "1000"); err != nil {
		t.Fatal(err)
	}
	if r := put(t, s, body); r.Status != "Fail" || !strings.HasSuffix(r.Message, "Mem usage has exceed the limit of BE") {
		t.Errorf("the backend: %s", r.raw)
	}
	for range 10 {
		if r := put(t, s, goodRow); r.Status != "Success" {
			t.Errorf("memory is not given back: %s", r.raw)
		}
	}
	if err := s.Set("stream_load_max_txn_num_per_be", "0"); err != nil {
		t.Fatal(err)
	}
	if r := put(t, s, goodRow); !strings.HasPrefix(r.Message, "streamload txn num per be exceeds limit") || r.TxnID != -1 {
		t.Errorf("loads of a backend: %s", r.raw)
	}
}

// TestVersionsOutliveRestart: a full tablet is full after it, too.
func TestVersionsOutliveRestart(t *testing.T) {
	dir := t.TempDir()
	set := map[string]string{"tablet_max_versions": "2", "compaction_versions_per_second": "0"}
	s := start(t, Config{Dir: dir, Set: set})
	put(t, s, goodRow)
	put(t, s, goodRow)
	again := start(t, Config{Dir: copyLog(t, dir, -1), Set: set})
	if r := put(t, again, goodRow); !strings.Contains(r.Message, "too many versions, current/limit: 2/2") {
		t.Errorf("%s", r.raw)
	}
	if err := again.Exec("quickstart", "TRUNCATE TABLE kong_log_events"); err != nil {
		t.Fatal(err)
	}
	if r := put(t, again, goodRow); r.Status != "Success" {
		t.Errorf("new tablets: %s", r.raw)
	}
}
