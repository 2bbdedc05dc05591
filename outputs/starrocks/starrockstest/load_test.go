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
