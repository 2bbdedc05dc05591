package starrockstest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestFaults runs one load, labelled x, under each fault: what the client
// sees, what the label says afterwards, and how many rows are there.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		fault  Fault
		answer string // a part of the answer, "" when there is none that can be read
		state  State
		rows   int64
	}{
		{Fault{Kind: DropAfterCommit}, "", StateVisible, 2},
		{Fault{Kind: DropBeforeCommit}, "", StateAborted, 0},
		{Fault{Kind: CutAnswer}, "", StateVisible, 2},
		{Fault{Kind: HoldTransaction}, "", StatePrepare, 0},
		{Fault{Kind: CrashBackend}, "", StatePrepare, 0},
		{Fault{Kind: PublishTimeout, Delay: time.Hour}, `"Publish Timeout"`, StateCommitted, 0},
		{Fault{Kind: UnknownCommitted}, "Transaction status unknown, you can retry with same label.", StateVisible, 2},
		{Fault{Kind: UnknownAborted}, "Transaction status unknown, you can retry with same label.", StateAborted, 0},
		{Fault{Kind: TooManyVersions}, "because of too many versions, current/limit: 1000/1000", StateAborted, 0},
		{Fault{Kind: TxnLimit}, "is 1000, larger than limit 1000", StateUnknown, 0},
		{Fault{Kind: RowCountMismatch}, `"NumberTotalRows": 1,`, StateVisible, 1},
		{Fault{Kind: SlowContinue, Delay: time.Millisecond}, `"Success"`, StateVisible, 2},
		{Fault{Kind: BackendError500}, "Internal Server Error", StateUnknown, 0},
		{Fault{Kind: SlowAnswer, Delay: time.Millisecond}, `"Success"`, StateVisible, 2},
		{Fault{Kind: GarbledAnswer}, "502 Bad Gateway", StateVisible, 2},
		{Fault{Kind: FilteredRows}, "too many filtered rows", StateAborted, 0},
		{Fault{Kind: MemoryLimit}, "Mem usage has exceed the limit of BE", StateAborted, 0},
		{Fault{Kind: SlowRedirect, Delay: time.Millisecond}, `"Success"`, StateVisible, 2},
		{Fault{Kind: RedirectDead}, "", StateUnknown, 0},
		{Fault{Kind: RedirectTo, Addr: "127.0.0.1:1"}, "", StateUnknown, 0},
	} {
		t.Run(string(test.fault.Kind), func(t *testing.T) {
			s := start(t, Config{})
			s.Inject(test.fault)
			a, err := tryPut(t, s, "kong_log_events", goodRow+goodRow, "label", "x")
			if (test.answer == "") != (err != nil && a.raw == "") && !strings.Contains(a.raw, "500") || !strings.Contains(a.raw, test.answer) {
				if !(test.fault.Kind == BackendError500 && a.http == 500) {
					t.Errorf("answer %q, error %v", a.raw, err)
				}
			}
			if x := s.Label("quickstart", "x"); x.State != test.state {
				t.Errorf("label is %s, want %s", x.State, test.state)
			}
			if n := s.Count("quickstart", "kong_log_events"); n != test.rows {
				t.Errorf("%d rows, want %d", n, test.rows)
			}
			if s.Struck(test.fault.Kind) != 1 {
				t.Error("the fault did not strike")
			}
			if r := put(t, s, goodRow, "label", "y"); r.Status != "Success" {
				t.Errorf("the load after: %s", r.raw)
			}
		})
	}
}

func TestHeldTransactionEnds(t *testing.T) {
	for _, then := range []State{StateVisible, StateAborted} {
		s := start(t, Config{})
		s.Inject(Fault{Kind: HoldTransaction, Delay: time.Millisecond, Then: then})
		_, _ = tryPut(t, s, "kong_log_events", goodRow, "label", "x")
		if err := s.WaitLabel(t.Context(), "quickstart", "x", then); err != nil {
			t.Error(err)
		}
	}
}

func TestFrontendFaults(t *testing.T) {
	s := start(t, Config{})
	const load, state = "/api/quickstart/kong_log_events/_stream_load", "/api/quickstart/get_load_state?label=x"
	for _, test := range []struct {
		kind         FaultKind
		method, path string
		status       int
		body         string
	}{
		{Unauthorized, "PUT", load, 401, "Access denied"},
		{FrontendError500, "PUT", load, 500, "FAILED"},
		{FrontendFailed, "PUT", load, 200, `"Status":"FAILED"`},
		{RedirectLoop, "PUT", load, 307, ""},
		{LoadStateFailed, "GET", state, 200, `"status":"FAILED"`},
		{Unauthorized, "GET", state, 401, "Access denied"},
		{FrontendError500, "GET", state, 500, "FAILED"},
	} {
		s.Inject(Fault{Kind: test.kind, Times: 2})
		for range 2 {
			resp, body := do(t, request(t, test.method, s.URL()+test.path, nil))
			if resp.StatusCode != test.status || !strings.Contains(body, test.body) {
				t.Errorf("%s: %d %s", test.kind, resp.StatusCode, body)
			}
			if test.kind == RedirectLoop && resp.Header.Get("Location") != s.URL()+load {
				t.Errorf("loop: %s", resp.Header.Get("Location"))
			}
		}
		if resp, _ := do(t, request(t, test.method, s.URL()+test.path, nil)); resp.StatusCode == 401 || resp.StatusCode == 500 || resp.Header.Get("Location") == s.URL()+load {
			t.Errorf("%s struck a third time", test.kind)
		}
	}
	s.Inject(Fault{Kind: LoadStateHang})
	r := request(t, "GET", s.URL()+state, nil)
	c := &http.Client{Timeout: 10 * time.Millisecond}
	if _, err := c.Do(r); err == nil {
		t.Error("a hanging get_load_state was answered")
	}
	s.Inject(Fault{Kind: FrontendFailed, Skip: 1, Label: "mine"})
	for i, want := range []int{307, 307, 200, 307} {
		label := "mine"
		if i == 0 {
			label = "other"
		}
		if resp, _ := do(t, request(t, "PUT", s.URL()+load, nil, "label", label)); resp.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i, resp.StatusCode, want)
		}
	}
}
