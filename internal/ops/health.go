package ops

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Health knows whether the process works and whether it is ready, and if not, why. All methods may be called concurrently.
// It is a prometheus.Collector too: millrace_condition_ready{condition="kong/output"} is 1 or 0.
type Health struct {
	log *slog.Logger

	mu         sync.Mutex
	conditions map[string]condition
	live       map[string]func() error
}

// condition is one thing that must be fine for the process to be ready.
type condition struct {
	Name   string    `json:"name"`
	Ready  bool      `json:"ready"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"` // of Ready; the reason may have changed since
}

var (
	errStarting   = errors.New("still starting")
	conditionDesc = prometheus.NewDesc("millrace_condition_ready",
		"Whether a condition that /readyz asks for is met (1) or not (0).", []string{"condition"}, nil)
)

// NewHealth makes a Health without conditions, which is ready. Changes are logged to log.
func NewHealth(log *slog.Logger) *Health {
	return &Health{log: log, conditions: map[string]condition{}, live: map[string]func() error{}}
}

// Expect adds conditions that somebody will Set: until then they are not met, because the process is still starting. That
// alone is not worth a line in the log.
func (h *Health) Expect(names ...string) {
	for _, name := range names {
		h.change(name, errStarting)
	}
}

// Set says how a condition is: nil is fine, an error is the reason why not, in one sentence for the operator. Names are
// PIPELINE/PART, as in "kong/output". A change is logged once, by the goroutine that calls; saying the same again costs a
// lock and nothing else, so the sentence should not hold what changes from try to try.
func (h *Health) Set(name string, err error) {
	was, is, changed := h.change(name, err)
	switch {
	case !changed:
	case !is.Ready:
		h.log.Warn("not ready", "condition", name, "reason", is.Reason)
	case was.Name != "": // a new condition that is fine is no news
		h.log.Info("ready", "condition", name, "after", is.Since.Sub(was.Since).Round(time.Millisecond).String())
	}
}

func (h *Health) change(name string, err error) (was, is condition, changed bool) {
	is = condition{Name: name, Ready: err == nil, Since: time.Now()}
	if err != nil {
		is.Reason = err.Error()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	was, known := h.conditions[name]
	if known && was.Ready == is.Ready && was.Reason == is.Reason {
		return was, was, false
	}
	if known && was.Ready == is.Ready {
		is.Since = was.Since
	}
	h.conditions[name] = is
	return was, is, true
}

// Live adds a check that decides, at each request, whether the process works at all: an error means that it should be
// killed and started anew. The check must not block. Trouble at the far end is a condition, never a Live check.
func (h *Health) Live(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live[name] = check
}

// readiness lists all conditions by name, and whether all are met.
func (h *Health) readiness() (all []condition, ready bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ready = true
	for _, name := range slices.Sorted(maps.Keys(h.conditions)) {
		all = append(all, h.conditions[name])
		ready = ready && h.conditions[name].Ready
	}
	return all, ready
}

// liveness lists what the failing checks say.
func (h *Health) liveness() (failing []string) {
	h.mu.Lock()
	checks := maps.Clone(h.live)
	h.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if err := checks[name](); err != nil {
			failing = append(failing, name+": "+err.Error())
		}
	}
	return failing
}

// Describe implements prometheus.Collector.
func (h *Health) Describe(out chan<- *prometheus.Desc) { out <- conditionDesc }

// Collect implements prometheus.Collector.
func (h *Health) Collect(out chan<- prometheus.Metric) {
	all, _ := h.readiness()
	for _, c := range all {
		value := 0.0
		if c.Ready {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(conditionDesc, prometheus.GaugeValue, value, c.Name)
	}
}
