package starrockstest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// loadState asks a frontend for the state of a label.
func loadState(t *testing.T, url, label string) string {
	t.Helper()
	resp, body := do(t, request(t, "GET", url+"/api/quickstart/get_load_state?label="+label, nil))
	if resp.StatusCode != 200 {
		t.Fatalf("get_load_state: %d %s", resp.StatusCode, body)
	}
	_, rest, _ := strings.Cut(body, `"state":"`)
	state, _, _ := strings.Cut(rest, `"`)
	return state
}

func TestExistingJobStatus(t *testing.T) {
	s := start(t, Config{})
	s.Inject(Fault{Kind: HoldTransaction, Label: "held"})
	if _, err := tryPut(t, s, "kong_log_events", goodRow, "label", "held"); err == nil {
		t.Fatal("a held load was answered")
	}
	for _, want := range []string{"RUNNING", "FINISHED"} {
		r := put(t, s, goodRow, "label", "held")
		if r.Status != "Label Already Exists" || r.ExistingJobStatus != want || r.TxnID != -1 {
			t.Errorf("want %s, got %s", want, r.raw)
		}
		if want == "RUNNING" {
			if state := loadState(t, s.URL(), "held"); state != "PREPARE" || s.Count("quickstart", "kong_log_events") != 0 {
				t.Errorf("held: %s", state)
			}
			if err := s.Finish("quickstart", "held", StateVisible); err != nil {
				t.Fatal(err)
			}
		}
	}
	if state := loadState(t, s.URL(), "held"); state != "VISIBLE" || s.Count("quickstart", "kong_log_events") != 1 {
		t.Errorf("finished: %s", state)
	}
}

func TestAbortedLabelIsFree(t *testing.T) {
	s := start(t, Config{})
	if r := put(t, s, "nonsense", "label", "again"); r.Status != "Fail" || loadState(t, s.URL(), "again") != "ABORTED" {
		t.Fatalf("%s", r.raw)
	}
	if r := put(t, s, goodRow, "label", "again"); r.Status != "Success" || r.TxnID != 1002 {
		t.Errorf("%s", r.raw)
	}
	if state := loadState(t, s.URL(), "again"); state != "VISIBLE" {
		t.Errorf("the newest transaction counts: %s", state)
	}
}

func TestGenericLabelFailure(t *testing.T) {
	s := start(t, Config{GenericLabelFailure: true})
	put(t, s, goodRow, "label", "x")
	r := put(t, s, goodRow, "label", "x")
	if r.Status != "Fail" || r.Message != "Label [x] has already been used." || r.TxnID != -1 || strings.Contains(r.raw, "ExistingJobStatus") {
		t.Errorf("%s", r.raw)
	}
}

func TestCancel(t *testing.T) {
	s := start(t, Config{})
	cancel := func(path string) string {
		_, body := do(t, request(t, "POST", s.URL()+path, nil))
		return body
	}
	for _, path := range []string{"/api/quickstart/l/_cancel", "/api/quickstart/kong_log_events/_cancel?label=l"} {
		if got := cancel(path); !strings.Contains(got, "transaction not found, label=l") || !strings.Contains(got, `"FAILED"`) {
			t.Errorf("unknown label: %s", got)
		}
	}
	for i, path := range []string{"/api/quickstart/c0/_cancel", "/api/quickstart/kong_log_events/_cancel?label=c1"} {
		label := fmt.Sprint("c", i)
		s.Inject(Fault{Kind: CrashBackend, Label: label})
		if _, err := tryPut(t, s, "kong_log_events", goodRow, "label", label); err == nil {
			t.Fatal("a crashed backend answered")
		}
		if got := cancel(path); got != `{"status":"OK","code":"0","msg":"Success","message":"OK"}` {
			t.Errorf("cancel: %s", got)
		}
		if x := s.Label("quickstart", label); x.State != StateAborted || x.Reason == "" {
			t.Errorf("after cancel: %+v", x)
		}
		if got := cancel(path); !strings.Contains(got, "running transaction not found, label="+label) {
			t.Errorf("second cancel: %s", got)
		}
	}
}

func TestEviction(t *testing.T) {
	s := start(t, Config{Set: map[string]string{"label_keep_max_num": "3", "compaction_versions_per_second": "1000"}})
	for i := range 5 {
		put(t, s, goodRow, "label", fmt.Sprint("e", i))
	}
	if got := loadState(t, s.URL(), "e0"); got != "VISIBLE" {
		t.Errorf("before the eviction ran: %s", got)
	}
	if n := s.CleanLabels(); n != 2 {
		t.Errorf("evicted %d", n)
	}
	for label, want := range map[string]string{"e0": "UNKNOWN", "e1": "UNKNOWN", "e2": "VISIBLE", "e4": "VISIBLE"} {
		if got := loadState(t, s.URL(), label); got != want {
			t.Errorf("%s: %s", label, got)
		}
	}
	if r := put(t, s, goodRow, "label", "e0"); r.Status != "Success" || s.Count("quickstart", "kong_log_events") != 6 {
		t.Errorf("a forgotten label loads again: %s", r.raw)
	}
	if err := s.Set("label_keep_max_second", "0"); err != nil {
		t.Fatal(err)
	}
	if n := s.CleanLabels(); n != 4 {
		t.Errorf("by age %d went", n)
	}
}

func TestTerminalCache(t *testing.T) {
	s := start(t, Config{Set: map[string]string{"label_keep_max_num": "0", "transaction_terminal_state_cache_num": "1"}})
	put(t, s, goodRow, "label", "t0")
	put(t, s, goodRow, "label", "t1")
	s.CleanLabels()
	if a, b := loadState(t, s.URL(), "t0"), loadState(t, s.URL(), "t1"); a != "UNKNOWN" || b != "VISIBLE" {
		t.Errorf("cache of one: %s %s", a, b)
	}
	if r := put(t, s, goodRow, "label", "t1"); r.Status != "Success" {
		t.Errorf("begin asks the live labels only: %s", r.raw)
	}
}

func TestTimeout(t *testing.T) {
	s := start(t, Config{})
	c, r := dial(t, s.BackendURLs()[0], putHead+"label: slow\ntimeout: 1\nContent-Length: 1000")
	firstLine(t, r)
	io.WriteString(c, goodRow)
	if err := s.WaitLabel(t.Context(), "quickstart", "slow", StateAborted); err != nil {
		t.Fatal(err)
	}
	if x := s.Label("quickstart", "slow"); !strings.Contains(x.Reason, "timeout") {
		t.Errorf("reason %q", x.Reason)
	}
}

func TestLeaderChange(t *testing.T) {
	s := start(t, Config{Frontends: 2})
	c, r := dial(t, s.BackendURLs()[0], putHead+fmt.Sprintf("label: m\nContent-Length: %d", len(goodRow)))
	firstLine(t, r)
	firstLine(t, r)
	s.LeaderChange()
	if state := loadState(t, s.URL(), "m"); state != "UNKNOWN" {
		t.Errorf("after the change: %s", state)
	}
	io.WriteString(c, goodRow)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(body), "transaction not found") || !strings.Contains(string(body), `"Fail"`) {
		t.Errorf("commit after the change: %s", body)
	}
	if r := put(t, s, goodRow, "label", "m"); r.Status != "Success" {
		t.Errorf("the label is free: %s", r.raw)
	}
	follower := s.FrontendURLs()[1]
	if resp, _ := do(t, request(t, "GET", follower+"/api/quickstart/get_load_state?label=m", nil)); resp.StatusCode != 307 ||
		resp.Header.Get("Location") != s.URL()+"/api/quickstart/get_load_state?label=m" {
		t.Errorf("follower: %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
}

func TestLimits(t *testing.T) {
	s := start(t, Config{Set: map[string]string{"max_running_txn_num_per_db": "1", "tablet_max_versions": "3", "compaction_versions_per_second": "0"}})
	s.Inject(Fault{Kind: HoldTransaction, Label: "running"})
	_, _ = tryPut(t, s, "kong_log_events", goodRow, "label", "running")
	if r := put(t, s, goodRow); !strings.HasPrefix(r.Message, "current running txns on db ") || !strings.HasSuffix(r.Message, " is 1, larger than limit 1") || r.TxnID != -1 {
		t.Errorf("txn limit: %s", r.raw)
	}
	if err := s.Finish("quickstart", "running", StateAborted); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the held load took a version
		if r := put(t, s, goodRow); r.Status != "Success" {
			t.Fatalf("%s", r.raw)
		}
	}
	r := put(t, s, goodRow, "label", "full")
	if r.Status != "Fail" || !strings.Contains(r.Message, "because of too many versions, current/limit: 3/3") {
		t.Errorf("versions: %s", r.raw)
	}
	if err := s.Set("compaction_versions_per_second", "1000000"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if r = put(t, s, goodRow, "label", "full"); r.Status == "Success" || time.Now().After(deadline) {
			break
		}
	}
	if r.Status != "Success" {
		t.Errorf("after compaction: %s", r.raw)
	}
}
