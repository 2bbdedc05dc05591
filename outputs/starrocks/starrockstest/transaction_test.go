package starrockstest

import (
	"encoding/json"
	"strings"
	"testing"
)

type txnReply map[string]any

// step makes one call of the transaction interface as the SDK does, following
// the frontend's redirect.
func step(t *testing.T, s *Server, op, label, body string, headers ...string) txnReply {
	t.Helper()
	method := "POST"
	if op == "load" {
		method = "PUT"
		headers = append([]string{"format", "json", "strip_outer_array", "true"}, headers...)
	}
	headers = append([]string{"label", label, "db", "quickstart", "table", "kong_log_events"}, headers...)
	url := s.URL() + "/api/transaction/" + op
	resp, text := do(t, request(t, method, url, nil, headers...))
	if resp.StatusCode == 307 {
		resp, text = do(t, request(t, method, resp.Header.Get("Location"), strings.NewReader(body), headers...))
	}
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %d %s", op, resp.StatusCode, text)
	}
	var reply txnReply
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		t.Fatalf("%s: %v in %s", op, err, text)
	}
	return reply
}

func (r txnReply) want(t *testing.T, status string, fragments ...string) {
	t.Helper()
	text, _ := json.Marshal(r)
	if r["Status"] != status {
		t.Errorf("want %s, got %s", status, text)
	}
	for _, f := range fragments {
		if !strings.Contains(string(text), f) {
			t.Errorf("want %s, got %s", f, text)
		}
	}
}

func TestTransaction(t *testing.T) {
	s := start(t, Config{Backends: 2})
	count := func() int64 { return s.Count("quickstart", "kong_log_events") }
	step(t, s, "begin", "two", "").want(t, "OK", `"Label":"two"`, `"TxnId":1001`, "BeginTxnTimeMs")
	step(t, s, "begin", "two", "").want(t, "LABEL_ALREADY_EXISTS", `"ExistingJobStatus":"RUNNING"`) // on the other backend
	step(t, s, "begin", "two", "").want(t, "LABEL_ALREADY_EXISTS", `"ExistingJobStatus":""`, `"Message":""`)
	step(t, s, "load", "two", `[{"stream":"a"}]`).want(t, "OK", "LoadBytes", "ReceivedDataTimeMs")
	step(t, s, "load", "two", `[{"stream":"b"},{"stream":"c"}]`).want(t, "OK")
	step(t, s, "prepare", "two", "", "prepared_timeout", "180").want(t, "OK", `"NumberLoadedRows":3`)
	if state := loadState(t, s.URL(), "two"); state != "PREPARED" || count() != 0 {
		t.Fatalf("prepared: %s, %d rows", state, count())
	}
	step(t, s, "prepare", "two", "").want(t, "TXN_NOT_EXISTS")
	step(t, s, "load", "two", "[]").want(t, "TXN_NOT_EXISTS", "Transaction with label two not exists")
	step(t, s, "commit", "two", "").want(t, "OK", `"TxnId":1001`)
	if count() != 3 || loadState(t, s.URL(), "two") != "VISIBLE" {
		t.Errorf("committed: %d rows", count())
	}
	step(t, s, "commit", "two", "").want(t, "OK", "Transaction 1001 has already committed, label is two")
	step(t, s, "rollback", "two", "").want(t, "FAILED", "Can not abort")
	step(t, s, "begin", "two", "").want(t, "LABEL_ALREADY_EXISTS", "FINISHED")
	step(t, s, "commit", "none", "").want(t, "FAILED", "No transaction found")
}

func TestTransactionTrouble(t *testing.T) {
	s := start(t, Config{Set: map[string]string{"streaming_load_max_batch_size_mb": "1"}})
	f := func(name string, story func(t *testing.T, label string)) {
		t.Run(name, func(t *testing.T) { story(t, strings.ReplaceAll(name, " ", "-")) })
	}
	aborted := func(t *testing.T, label string) {
		t.Helper()
		if state := loadState(t, s.URL(), label); state != "ABORTED" {
			t.Errorf("the label is %s", state)
		}
	}
	f("no database", func(t *testing.T, l string) {
		step(t, s, "begin", l, "", "db", "").want(t, "FAILED", "No database selected.")
	})
	f("no label", func(t *testing.T, _ string) { step(t, s, "begin", "", "").want(t, "FAILED", "Empty label.") })
	f("unknown table", func(t *testing.T, l string) {
		step(t, s, "begin", l, "", "table", "x").want(t, "ANALYSIS_ERROR", "unknown table")
	})
	f("rollback", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		step(t, s, "load", l, `[{"stream":"a"}]`)
		step(t, s, "rollback", l, "").want(t, "OK")
		aborted(t, l)
		step(t, s, "rollback", l, "").want(t, "OK", "has already aborted")
		step(t, s, "commit", l, "").want(t, "FAILED", "Can not commit ABORTED")
		step(t, s, "begin", l, "").want(t, "OK")
	})
	f("rollback of prepared", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		step(t, s, "load", l, `[{"stream":"a"}]`)
		step(t, s, "prepare", l, "")
		step(t, s, "rollback", l, "").want(t, "OK")
		aborted(t, l)
	})
	f("one step commit", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		step(t, s, "load", l, `[{"stream":"a"}]`)
		step(t, s, "commit", l, "").want(t, "OK", `"NumberLoadedRows":1`)
	})
	f("nothing loaded", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		step(t, s, "prepare", l, "").want(t, "INTERNAL_ERROR", "hasn't send any data yet")
		aborted(t, l)
	})
	f("other headers", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		step(t, s, "load", l, `[{"stream":"a"}]`)
		step(t, s, "load", l, `[{"stream":"a"}]`, "strict_mode", "true").want(t, "INTERNAL_ERROR", "load request not equal last.")
		aborted(t, l)
	})
	f("other table", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		step(t, s, "load", l, `[]`, "table", "x").want(t, "INVALID_ARGUMENT")
	})
	f("sizes add up", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		body := "[{}" + strings.Repeat(" ", 600<<10) + "]"
		step(t, s, "load", l, body).want(t, "OK")
		step(t, s, "load", l, body).want(t, "INTERNAL_ERROR", "exceed the max size")
	})
	f("bad rows", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		step(t, s, "load", l, `[{"time":"x"}]`, "strict_mode", "true").want(t, "OK")
		step(t, s, "prepare", l, "").want(t, "INTERNAL_ERROR", "too many filtered rows", "ErrorURL")
		aborted(t, l)
	})
	f("backend restarted", func(t *testing.T, l string) {
		step(t, s, "begin", l, "")
		s.StopBackend(0)
		if err := s.StartBackend(0); err != nil {
			t.Fatal(err)
		}
		// The restart broke them, and net/http sends no POST twice.
		client.CloseIdleConnections()
		step(t, s, "rollback", l, "").want(t, "TXN_NOT_EXISTS")
		if state := loadState(t, s.URL(), l); state != "PREPARE" {
			t.Errorf("an orphan is %s", state)
		}
	})
}
