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
	reply, err := tryStep(t, s, op, label, body, headers...)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return reply
}

// tryStep is step when there may be no answer.
func tryStep(t *testing.T, s *Server, op, label, body string, headers ...string) (reply txnReply, err error) {
	t.Helper()
	method := "POST"
	if op == "load" {
		method = "PUT"
		headers = append([]string{"format", "json", "strip_outer_array", "true"}, headers...)
	}
	headers = append([]string{"label", label, "db", "quickstart", "table", "kong_log_events"}, headers...)
	url := s.URL() + "/api/transaction/" + op
	resp, err := client.Do(request(t, method, url, nil, headers...))
	if err == nil && resp.StatusCode == 307 {
		resp.Body.Close()
		resp, err = client.Do(request(t, method, resp.Header.Get("Location"), strings.NewReader(body), headers...))
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return reply, json.NewDecoder(resp.Body).Decode(&reply)
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

// TestTransactionFaults runs one transaction under each fault: the step that
// it strikes, what the step answers, and the label's state afterwards.
func TestTransactionFaults(t *testing.T) {
	for _, test := range []struct {
		fault  Fault
		op     string
		status any // nil: no answer that can be read
		state  State
	}{
		{Fault{Kind: TxnLimit}, "begin", "INTERNAL_ERROR", StateUnknown},
		{Fault{Kind: FrontendFailed}, "begin", "FAILED", StateUnknown},
		{Fault{Kind: CrashBackend}, "load", nil, StatePrepare},
		{Fault{Kind: DropBeforeCommit}, "load", nil, StateAborted},
		{Fault{Kind: MemoryLimit}, "load", "INTERNAL_ERROR", StateAborted},
		{Fault{Kind: SlowContinue, Delay: 1}, "", "OK", StateVisible},
		{Fault{Kind: SlowRedirect, Delay: 1}, "", "OK", StateVisible},
		{Fault{Kind: LoseContext}, "prepare", "TXN_NOT_EXISTS", StatePrepare},
		{Fault{Kind: FilteredRows}, "prepare", "INTERNAL_ERROR", StateAborted},
		{Fault{Kind: TooManyVersions}, "prepare", "INTERNAL_ERROR", StateAborted},
		{Fault{Kind: DropAfterCommit}, "commit", nil, StateVisible},
		{Fault{Kind: CutAnswer}, "commit", nil, StateVisible},
		{Fault{Kind: GarbledAnswer}, "commit", nil, StateVisible},
		{Fault{Kind: SlowAnswer, Delay: 1}, "", "OK", StateVisible},
		{Fault{Kind: PublishTimeout, Delay: 1 << 40}, "commit", "Publish Timeout", StateCommitted},
		{Fault{Kind: UnknownCommitted}, "commit", "FAILED", StateVisible},
		{Fault{Kind: UnknownAborted}, "commit", "FAILED", StateAborted},
	} {
		t.Run(string(test.fault.Kind), func(t *testing.T) {
			s := start(t, Config{Faults: []Fault{test.fault}})
			struck := ""
			for _, op := range []string{"begin", "load", "prepare", "commit"} {
				body := ""
				if op == "load" {
					body = `[{"stream":"a"}]`
				}
				reply, err := tryStep(t, s, op, "x", body)
				if err == nil && reply["Status"] == "OK" {
					continue
				}
				if struck = op; reply["Status"] != test.status {
					t.Errorf("%s: %v %v", op, reply, err)
				}
				break
			}
			if struck != test.op || s.Struck(test.fault.Kind) != 1 {
				t.Errorf("it struck %d times, at %q", s.Struck(test.fault.Kind), struck)
			}
			if x := s.Label("quickstart", "x"); x.State != test.state || (test.state == StateVisible) != (s.Count("quickstart", "kong_log_events") == 1) {
				t.Errorf("the label is %s, %d rows", x.State, s.Count("quickstart", "kong_log_events"))
			}
		})
	}
}

// TestPreparedOverRestart: its time to live is kept.
func TestPreparedOverRestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	for label, timeout := range map[string]string{"long": "1000", "short": "1"} {
		step(t, s, "begin", label, "")
		step(t, s, "load", label, `[{"stream":"a"}]`)
		step(t, s, "prepare", label, "", "prepared_timeout", timeout).want(t, "OK")
	}
	again := start(t, Config{Dir: copyLog(t, dir, -1)})
	if err := again.WaitLabel(t.Context(), "quickstart", "short", StateAborted); err != nil {
		t.Fatal(err)
	}
	step(t, again, "commit", "long", "").want(t, "OK")
}
