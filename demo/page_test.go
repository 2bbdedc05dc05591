package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test program stand in for the agent and the collector:
// with DEMO_CHILD set it is what its first argument says.
func TestMain(m *testing.M) {
	if os.Getenv("DEMO_CHILD") == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go impersonate(os.Args[1], os.Args[len(os.Args)-1])
	<-ctx.Done()
}

// impersonate serves the admin address that a configuration names, with the ledger
// of a process that has read ten lines, and a hundred rows more at each look.
func impersonate(as, config string) {
	text, err := os.ReadFile(config)
	if err != nil {
		panic(err)
	}
	addr := regexp.MustCompile(`admin: "(.*)"`).FindSubmatch(text)[1]
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if as == "collector" {
			http.Error(w, "kong/output: no backend alive", http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"pipelines":[{"name":"kong","ledger":{"read":10,"delivered":6,"filtered":1,"dropped":{"too_large":1},"pending":2},
			"accounts":[{"name":"kong/pod/proxy","labels":{"pod":"pod"},"read":10,"delivered":6,"filtered":1,"dropped":{"too_large":1},"pending":2}]}]}`)
	})
	var hundreds atomic.Int64
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		n := hundreds.Add(1)
		fmt.Fprintf(w, "# TYPE millrace_time_to_visible_seconds histogram\n"+
			`millrace_time_to_visible_seconds_bucket{pipeline="kong",le="1"} %d`+"\n"+
			`millrace_time_to_visible_seconds_bucket{pipeline="kong",le="2"} %[2]d`+"\n"+
			`millrace_time_to_visible_seconds_bucket{pipeline="kong",le="+Inf"} %[2]d`+"\n"+
			`millrace_time_to_visible_seconds_sum{pipeline="kong"} %d`+"\n"+
			`millrace_time_to_visible_seconds_count{pipeline="kong"} %[2]d`+"\n", 90*n, 100*n, 70*n)
	})
	panic(http.ListenAndServe(string(addr), nil))
}

// exhibit starts a demo whose two ends are the test program, and its page.
func exhibit(t *testing.T) (*demo, *httptest.Server) {
	t.Helper()
	t.Setenv("DEMO_CHILD", "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{opts: &options{rate: 100, table: plainTable, labels: 1000}, dir: t.TempDir(), program: self}
	if err := d.start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	srv := httptest.NewServer(newPage(d).handler())
	t.Cleanup(srv.Close)
	waitAnswers(t, d)
	return d, srv
}

// waitAnswers waits until both ends serve their admin addresses.
func waitAnswers(t *testing.T, d *demo) {
	t.Helper()
	until(t, "both ends answer", func() bool {
		return d.agent.state(t.Context()).Total != nil && d.collector.state(t.Context()).Total != nil
	})
}

// get asks the page; into may be nil.
func get(t *testing.T, srv *httptest.Server, path string, into any) *http.Response {
	t.Helper()
	resp, err := http.Get(srv.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return resp
}

func TestPage(t *testing.T) {
	d, srv := exhibit(t)
	t.Run("state and flow", func(t *testing.T) { testStateAndFlow(t, d, srv) })
	t.Run("switches of the stand-in", func(t *testing.T) { testSwitches(t, d, srv) })
	t.Run("asks nobody else", func(t *testing.T) { testAsksNobodyElse(t, srv) })
	t.Run("buttons", func(t *testing.T) { testButtons(t, d, srv) })
	t.Run("the unknown is unknown", func(t *testing.T) { testUnknown(t, d, srv) })
}

// Faults are switched on and off while it runs, but not by a page elsewhere.
func testSwitches(t *testing.T, d *demo, srv *httptest.Server) {
	ask := func(method, path, body, origin string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if code := ask(http.MethodPost, "/starrocks/faults", "frontend 500", "http://elsewhere.example.com"); code != http.StatusForbidden {
		t.Errorf("a page of another origin plants a fault: %d", code)
	}
	if code := ask(http.MethodPost, "/starrocks/faults", "frontend 500,times=-1", ""); code != http.StatusOK {
		t.Errorf("a fault is planted: %d", code)
	}
	loadState := func() int {
		t.Helper()
		resp, err := http.Get(d.warehouse.URL() + "/api/" + database + "/get_load_state?label=x")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if code := loadState(); code != http.StatusInternalServerError {
		t.Errorf("under the fault it answers %d", code)
	}
	if code := ask(http.MethodDelete, "/starrocks/faults", "", ""); code != http.StatusOK {
		t.Errorf("faults are forgotten: %d", code)
	}
	var state struct{ Struck map[string]int }
	if get(t, srv, "/starrocks/", &state); state.Struck["frontend 500"] != 1 {
		t.Errorf("it struck %v", state.Struck)
	}
	if code := loadState(); code == http.StatusInternalServerError {
		t.Error("a fault that was forgotten strikes")
	}
}

func testStateAndFlow(t *testing.T, d *demo, srv *httptest.Server) {
	if _, err := d.node.advance(d.node.at.Add(time.Second), 1000); err != nil {
		t.Fatal(err)
	}
	var state struct {
		Agent, Collector endState
		Kafka, StarRocks bool
		Node             map[string]int64
	}
	get(t, srv, "/api/state", &state)
	if a := state.Agent; a.Ready == nil || !*a.Ready || !a.Child.Running || a.Total.Missing != 0 || a.Accounts[0].Name != "kong/pod/proxy" || a.Accounts[0].Delivered != 6 {
		t.Errorf("agent: %+v", a)
	}
	if c := state.Collector; c.Ready == nil || *c.Ready || c.Reason != "kong/output: no backend alive" {
		t.Errorf("collector: %+v", c)
	}
	if n := state.Node; !state.Kafka || !state.StarRocks || n["selected"] < 990 || n["due"]+n["health"] != n["selected"] || n["other"] < 100 {
		t.Errorf("node: %+v", n)
	}
	d.flow.observe(t.Context())
	d.flow.observe(t.Context())
	var flow []sample
	get(t, srv, "/api/flow", &flow)
	if len(flow) != 2 || *flow[1].Read != 10 || *flow[1].Loaded != 6 || *flow[1].Kafka != 0 || flow[1].Rates.Read == nil {
		t.Fatalf("flow: %+v", flow)
	}
	get(t, srv, "/api/flow?since="+flow[0].At.Format(time.RFC3339Nano), &flow)
	if len(flow) != 1 {
		t.Errorf("%d samples since the first of two", len(flow))
	}
}

func testUnknown(t *testing.T, d *demo, srv *httptest.Server) {
	d.cluster.down()
	if err := d.agent.child.Stop(); err != nil {
		t.Fatal(err)
	}
	d.closers = d.closers[:len(d.closers)-1] // the agent started last
	d.flow.observe(t.Context())
	s, _ := d.flow.latest()
	if s.Read != nil || s.Kafka != nil || s.Committed != nil || s.Loaded == nil {
		t.Errorf("%+v", s)
	}
	var state struct{ Agent endState }
	get(t, srv, "/api/state", &state)
	if a := state.Agent; a.Ready != nil || a.Total != nil || a.Child.Running {
		t.Errorf("%+v", a)
	}
}

func testButtons(t *testing.T, d *demo, srv *httptest.Server) {
	press := func(act string, header ...string) int {
		req, err := http.NewRequest(http.MethodPost, srv.URL+"/api/do/"+act, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if code := press("kafka-down", "Origin", "https://elsewhere.example.com", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden || !d.cluster.running() {
		t.Errorf("a page from elsewhere: %d", code)
	}
	if code := press("reboot"); code != http.StatusNotFound {
		t.Errorf("an unknown act: %d", code)
	}
	for _, act := range []string{"kafka-down", "starrocks-down", "agent-kill", "collector-restart"} {
		if code := press(act); code != http.StatusNoContent {
			t.Errorf("%s: %d", act, code)
		}
	}
	if d.cluster.running() || !d.warehouse.broken.Load() {
		t.Error("Kafka or StarRocks is still up")
	}
	until(t, "second lives", func() bool { return d.agent.child.state().Lives == 2 && d.collector.child.state().Lives == 2 })
	waitAnswers(t, d)
	for _, act := range []string{"kafka-up", "kafka-up", "starrocks-up", "starrocks-up"} {
		if code := press(act); code != http.StatusNoContent {
			t.Errorf("%s: %d", act, code)
		}
	}
	if _, _, err := d.cluster.offsets(t.Context()); err != nil {
		t.Error(err)
	}
}

func testAsksNobodyElse(t *testing.T, srv *httptest.Server) {
	resp := get(t, srv, "/", nil)
	if resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'") {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
	html, err := pageFiles.ReadFile("page/index.html")
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(html), -1)
	if len(parts) < 7 {
		t.Fatalf("only %q", parts)
	}
	for _, m := range parts {
		if code := get(t, srv, "/"+m[1], nil).StatusCode; code != 200 {
			t.Errorf("%s answers %d", m[1], code)
		}
	}
	for path, want := range map[string]int{"/api/charts?minutes=0": 400, "/api/charts": 400, "/api/flow?since=noon": 400, "/api/nothing": 404} {
		if code := get(t, srv, path, nil).StatusCode; code != want {
			t.Errorf("%s answers %d", path, code)
		}
	}
	var all answer
	get(t, srv, "/api/charts?minutes=5", &all)
	for _, c := range charts {
		if rows, ok := all.Charts[c.Name]; !ok || all.Error != "" || rows == nil {
			t.Errorf("%s: %+v", c.Name, all)
		}
	}
	var last reading
	if get(t, srv, "/api/newest", &last); last.Error != "" {
		t.Error(fmt.Sprint(last))
	}
}
