package ops

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry makes a registry with what every Go process tells of itself, and millrace_build_info.
func NewRegistry() *prometheus.Registry {
	v := ReadVersion()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "millrace_build_info",
		Help:        "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": v.Version, "commit": v.Commit, "goversion": v.Go},
	})
	info.Set(1)
	reg := prometheus.NewRegistry()
	reg.MustRegister(info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// Admin answers what operators and probes ask: /metrics, /healthz, /readyz, /status, /debug/pprof/, and a page at / that
// lists them. It is an http.Handler; there is no password, so it belongs on an address that only the cluster reaches.
type Admin struct {
	health  *Health
	started time.Time
	mux     *http.ServeMux

	mu      sync.Mutex
	reports map[string]func() any
}

// NewAdmin makes an Admin that serves the metrics of reg, to which it adds those of health, and logs to log what goes wrong
// when they are gathered.
func NewAdmin(reg *prometheus.Registry, health *Health, log *slog.Logger) *Admin {
	reg.MustRegister(health)
	a := &Admin{health: health, started: time.Now(), mux: http.NewServeMux(), reports: map[string]func() any{}}
	a.mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: 4,
	}))
	a.mux.HandleFunc("GET /healthz", a.healthz)
	a.mux.HandleFunc("GET /readyz", a.readyz)
	a.mux.HandleFunc("GET /status", a.status)
	a.mux.HandleFunc("GET /{$}", index)
	a.mux.HandleFunc("/debug/pprof/", pprof.Index) // no method: go tool pprof asks with POST, too
	a.mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	a.mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	a.mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	a.mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	return a
}

// Status adds a part to /status: what report returns is written as JSON under name. It is called at each request, from many
// goroutines, and must not block. It may be added while requests are served.
func (a *Admin) Status(name string, report func() any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reports[name] = report
}

// ServeHTTP implements http.Handler.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

func (a *Admin) healthz(w http.ResponseWriter, _ *http.Request) {
	if failing := a.health.liveness(); len(failing) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, strings.Join(failing, "\n")+"\n") // an error is the reader's
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

func (a *Admin) readyz(w http.ResponseWriter, r *http.Request) {
	all, ready := a.health.readiness()
	code := http.StatusOK
	if !ready {
		code = http.StatusServiceUnavailable
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, code, map[string]any{"ready": ready, "conditions": all})
		return
	}
	w.WriteHeader(code)
	if ready {
		_, _ = io.WriteString(w, "ready\n")
	}
	for _, c := range all {
		if !c.Ready {
			_, _ = fmt.Fprintf(w, "%s: %s (since %s)\n", c.Name, c.Reason, c.Since.UTC().Format(time.RFC3339))
		}
	}
}

func (a *Admin) status(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	reports := maps.Clone(a.reports)
	a.mu.Unlock()
	all, ready := a.health.readiness()
	page := map[string]any{"build": ReadVersion(), "started": a.started, "ready": ready, "conditions": all}
	for name, report := range reports {
		part, err := json.Marshal(report())
		if err != nil { // NaN, say; the rest of the page is still worth reading
			part, _ = json.Marshal(fmt.Sprintf("cannot be shown: %s", err))
		}
		page[name] = json.RawMessage(part)
	}
	writeJSON(w, http.StatusOK, page)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // only the reader's connection can fail
}

func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, indexPage, ReadVersion())
}

const indexPage = `<!doctype html>
<title>Millrace</title>
<p>%s</p>
<ul>
<li><a href="readyz">/readyz</a>: whether all pipelines can do their work, and if not, why
<li><a href="healthz">/healthz</a>: whether the process works
<li><a href="status">/status</a>: what it is doing, as JSON
<li><a href="metrics">/metrics</a>: for Prometheus
<li><a href="debug/pprof/">/debug/pprof/</a>: profiles
</ul>
`
