package ops_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/config"
	"millrace/internal/ops"
)

// admin is a running admin server with what it was made of.
type admin struct {
	t      *testing.T
	url    string
	health *ops.Health
	page   *ops.Admin
}

func startAdmin(t *testing.T) *admin {
	t.Helper()
	return startAdminOf(t, ops.NewRegistry())
}

func startAdminOf(t *testing.T, registry *prometheus.Registry) *admin {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	health := ops.NewHealth(log)
	page := ops.NewAdmin(registry, health, log)
	server, err := ops.Listen("127.0.0.1:0", page, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &admin{t, "http://" + server.Addr(), health, page}
}

func (a *admin) get(path, accept string) (int, string) {
	a.t.Helper()
	req, err := http.NewRequest(http.MethodGet, a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func (a *admin) expect(path string, code int, parts ...string) {
	a.t.Helper()
	got, body := a.get(path, "")
	if got != code {
		a.t.Errorf("%s: got %d, want %d: %s", path, got, code, body)
	}
	for _, part := range parts {
		if !strings.Contains(body, part) {
			a.t.Errorf("%s: %q is not in\n%s", path, part, body)
		}
	}
}

func TestReadiness(t *testing.T) {
	a := startAdmin(t)
	a.expect("/readyz", 200, "ready\n")
	a.health.Expect("kong/output", "kong/source")
	a.expect("/readyz", 503, "kong/output: still starting (since 2", "\nkong/source: still starting")
	a.health.Set("kong/output", nil)
	a.health.Set("kong/source", errors.New("topic logging.kong does not exist"))
	if _, body := a.get("/readyz", ""); strings.Contains(body, "kong/output") || strings.Count(body, "\n") != 1 {
		t.Errorf("a condition that is met is in %q", body)
	}
	a.expect("/readyz", 503, "kong/source: topic logging.kong does not exist (since ")
	a.expect("/metrics", 200, `millrace_condition_ready{condition="kong/output"} 1`,
		`millrace_condition_ready{condition="kong/source"} 0`)
	a.health.Set("kong/source", nil)
	a.expect("/readyz", 200, "ready\n")
	a.expect("/healthz", 200, "ok\n")
}

func TestReadinessAsJSON(t *testing.T) {
	a := startAdmin(t)
	type answer struct {
		Ready      bool
		Conditions []struct {
			Name, Reason, Since string
			Ready               bool
		}
	}
	get := func() (code int, body string, got answer) {
		code, body = a.get("/readyz", "text/html, application/json;q=0.9")
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		return code, body, got
	}
	a.health.Set("kong/output", errors.New("connection refused"))
	_, _, before := get()
	a.health.Set("kong/output", errors.New("wrong password"))
	code, body, got := get()
	if code != 503 || got.Ready || len(got.Conditions) != 1 || got.Conditions[0].Name != "kong/output" ||
		got.Conditions[0].Ready || got.Conditions[0].Reason != "wrong password" ||
		got.Conditions[0].Since != before.Conditions[0].Since {
		t.Errorf("got %d %s", code, body)
	}
}

// What is only not ready must not be killed; what is stuck must.
func TestLiveness(t *testing.T) {
	a := startAdmin(t)
	var stuck error
	a.health.Live("tail", func() error { return stuck })
	a.health.Set("kong/output", errors.New("no broker answers"))
	a.expect("/healthz", 200, "ok\n")
	stuck = errors.New("no progress")
	a.expect("/healthz", 503, "tail: no progress\n")
}

func TestEveryChangeIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	h := ops.NewHealth(ops.NewLogger(ops.LogConfig{Level: "debug"}, &out))
	type record struct{ Level, Msg, Condition, Reason string }
	logged := func() (all []record) {
		for dec := json.NewDecoder(&out); ; {
			var r record
			if err := dec.Decode(&r); errors.Is(err, io.EOF) {
				return all
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	refused := func() error { return errors.New("connection refused") }
	for i, step := range []struct {
		err  error
		want record
	}{
		{nil, record{}},
		{nil, record{}},
		{refused(), record{"WARN", "not ready", "kong/output", "connection refused"}},
		{refused(), record{}},
		{errors.New("wrong password"), record{"WARN", "not ready", "kong/output", "wrong password"}},
		{nil, record{"INFO", "ready", "kong/output", ""}},
		{nil, record{}},
		{refused(), record{"WARN", "not ready", "kong/output", "connection refused"}},
	} {
		h.Set("kong/output", step.err)
		got := append(logged(), record{})
		if got[0] != step.want || len(got) > 2 {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
	h.Expect("kong/source")
	if got := logged(); len(got) > 0 {
		t.Errorf("starting is logged: %v", got)
	}
}

func TestPages(t *testing.T) {
	a := startAdmin(t)
	a.expect("/", 200, "/metrics", "/healthz", "/readyz", "/status", "/debug/pprof/")
	a.expect("/metrics", 200, "millrace_build_info{", "go_goroutines ", "process_start_time_seconds ")
	a.expect("/debug/pprof/", 200, "goroutine")
	a.expect("/debug/pprof/goroutine?debug=1", 200, "goroutine profile")
	a.expect("/debug/pprof/cmdline", 200)
	a.expect("/nothing", 404)
}

func TestStatus(t *testing.T) {
	a := startAdmin(t)
	a.page.Status("kong", func() any {
		return map[string]any{"lines": 7, "password": config.NewSecret("hunter2")}
	})
	a.page.Status("broken", func() any { return math.NaN() })
	a.health.Set("kong/output", errors.New("wrong password"))
	a.expect("/status", 200, `"wrong password"`)
	_, body := a.get("/status", "")
	var got struct {
		Ready  bool
		Build  ops.Version
		Kong   struct{ Lines int }
		Broken string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Ready || got.Kong.Lines != 7 || got.Build != ops.ReadVersion() || !strings.HasPrefix(got.Broken, "cannot be shown") ||
		strings.Contains(body, "hunter2") {
		t.Errorf("got %s", body)
	}
}

func TestNoAddressNoServer(t *testing.T) {
	server, err := ops.Listen("", http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err != nil || server.Addr() != "" {
		t.Fatalf("got %q, %v", server.Addr(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Serve(ctx); err != nil {
		t.Error(err)
	}
}

func TestTakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = ops.Listen(l.Addr().String(), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "admin") {
		t.Errorf("got %v", err)
	}
}

// An answer that has begun is finished, and afterwards the address is free.
func TestShutdownFinishesAnswers(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-goOn
		_, _ = io.WriteString(w, "all of it")
	})
	server, err := ops.Listen("127.0.0.1:0", handler, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended, body := make(chan error, 1), make(chan string, 1)
	go func() { ended <- server.Serve(ctx) }()
	go func() {
		res, err := http.Get("http://" + server.Addr())
		if err != nil {
			body <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		body <- string(b)
	}()
	<-began
	cancel()
	for { // until the server has heard of it
		c, err := net.Dial("tcp", server.Addr())
		if err != nil {
			break
		}
		c.Close()
	}
	close(goOn)
	if got := <-body; got != "all of it" {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestLogger(t *testing.T) {
	for _, c := range []struct {
		config ops.LogConfig
		want   string // how the first line begins
		lines  int
	}{
		{ops.LogConfig{}, `{"time":`, 3},
		{ops.LogConfig{Format: "json", Level: "debug"}, `{"time":`, 4},
		{ops.LogConfig{Format: "text", Level: "error"}, `time=`, 1},
	} {
		var out bytes.Buffer
		log := ops.NewLogger(c.config, &out)
		log.Debug("m")
		log.Info("m")
		log.Warn("m")
		log.Error("m")
		if got := out.String(); !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") != c.lines {
			t.Errorf("%+v: got %s", c.config, got)
		}
	}
}

func TestLogConfig(t *testing.T) {
	for text, want := range map[string]string{
		"log: {}":                          "",
		"log: {level: warn, format: text}": "",
		"log: {level: loud}":               "log.yaml:1: log.level: must be debug, info, warn or error, not \"loud\"",
		"log: {format: xml}":               "log.yaml:1: log.format: must be json or text, not \"xml\"",
	} {
		var c struct {
			Log ops.LogConfig `yaml:"log"`
		}
		f, err := config.Parse("log.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := f.Decode(&c); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
