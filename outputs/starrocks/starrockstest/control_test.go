package starrockstest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestParseFault(t *testing.T) {
	for _, kind := range faultKinds {
		if got, err := ParseFault(string(kind) + ",times=2"); err != nil || got.Kind != kind || got.Times != 2 {
			t.Errorf("%q is read as %+v, %v", kind, got, err)
		}
	}
	for spec, want := range map[string]Fault{
		"too many versions":                                        {Kind: TooManyVersions},
		"drop after commit,times=-1,chance=0.05,skip=3":            {Kind: DropAfterCommit, Times: -1, Chance: 0.05, Skip: 3},
		"hold transaction, delay=2s, then=aborted,table=t,label=l": {Kind: HoldTransaction, Delay: 2 * time.Second, Then: StateAborted, Table: "t", Label: "l"},
		"redirect elsewhere,addr=127.0.0.2:1":                      {Kind: RedirectTo, Addr: "127.0.0.2:1"},
	} {
		if got, err := ParseFault(spec); err != nil || got != want {
			t.Errorf("%s: %+v %v", spec, got, err)
		}
	}
	for _, spec := range []string{"", "drop", "slow answer,delay=2", "slow answer,then", "slow answer,often=1"} {
		if f, err := ParseFault(spec); err == nil {
			t.Errorf("%q is %+v", spec, f)
		}
	}
}

func TestControl(t *testing.T) {
	s := start(t, Config{Frontends: 2})
	c := httptest.NewServer(s.Control())
	defer c.Close()
	ask := func(method, path, body string, status int) map[string]any {
		t.Helper()
		resp, err := http.DefaultClient.Do(must(http.NewRequest(method, c.URL+path, strings.NewReader(body))))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		got := map[string]any{}
		if err := json.Unmarshal(text, &got); err != nil || resp.StatusCode != status {
			t.Errorf("%s %s: %d %s %v", method, path, resp.StatusCode, text, err)
		}
		return got
	}
	ask("POST", "/faults", "unauthorized", 200)
	ask("POST", "/faults", "drop after commit,label=a", 200)
	ask("POST", "/faults", "no such thing", 400)
	if resp, _ := do(t, request(t, "GET", s.URL()+"/api/quickstart/get_load_state?label=x", nil)); resp.StatusCode != 401 {
		t.Errorf("injected: %d", resp.StatusCode)
	}
	ask("DELETE", "/faults", "", 200)
	if r := put(t, s, goodRow, "label", "a"); r.Status != "Success" {
		t.Errorf("cleared: %s", r.raw)
	}
	if got := ask("GET", "/label?db=quickstart&label=a", "", 200); got["State"] != "VISIBLE" {
		t.Errorf("label: %v", got)
	}
	ask("POST", "/set?name=label_keep_max_num&value=0", "", 200)
	ask("POST", "/set?name=nothing&value=0", "", 400)
	if got := ask("POST", "/evict", "", 200); got["evicted"] != 1.0 {
		t.Errorf("evicted: %v", got)
	}
	leader := ask("GET", "/", "", 200)["leader"]
	ask("POST", "/leader", "", 200)
	if got := ask("GET", "/", "", 200); got["leader"] == leader || got["struck"].(map[string]any)["unauthorized"] != 1.0 || got["stats"].(map[string]any)["Rows"] != 1.0 {
		t.Errorf("state: %v", got)
	}
	ask("POST", "/backends/0/stop", "", 200)
	if _, body := do(t, request(t, "PUT", s.URL()+"/api/quickstart/kong_log_events/_stream_load", nil)); !strings.Contains(body, "No backend alive.") {
		t.Errorf("stopped: %s", body)
	}
	ask("POST", "/backends/0/start", "", 200)
	ask("POST", "/backends/7/start", "", 400)
	ask("POST", "/frontends/0/nap", "", 400)
	ask("POST", "/finish?db=quickstart&label=a&state=VISIBLE", "", 400)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
