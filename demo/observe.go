package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"millrace/internal/pipeline"
)

// status is what a process says about itself at /status.
type status struct {
	Pipelines []struct {
		Name     string           `json:"name"`
		Ledger   pipeline.Balance `json:"ledger"`
		Accounts []account        `json:"accounts"`
	} `json:"pipelines"`
}

// account is the ledger of one container or partition.
type account struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	pipeline.Balance
}

// probe asks the admin address of a process.
type probe struct {
	base   string // http://host:port
	client *http.Client
}

func newProbe(addr string) *probe {
	return &probe{base: "http://" + addr, client: &http.Client{Timeout: 2 * time.Second}}
}

func (p *probe) get(ctx context.Context, path string) (code int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", path, err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return 0, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return resp.StatusCode, body, nil
}

func (p *probe) status(ctx context.Context) (*status, error) {
	code, body, err := p.get(ctx, "/status")
	if err != nil {
		return nil, err
	}
	s := new(status)
	if err := json.Unmarshal(body, s); err != nil || code != http.StatusOK {
		return nil, fmt.Errorf("/status answers %d, not a status: %.100q", code, body)
	}
	return s, nil
}

// ledger is the sum over the pipelines.
func (s *status) ledger() (sum pipeline.Balance) {
	for _, p := range s.Pipelines {
		sum = sum.Plus(p.Ledger)
	}
	return sum
}

// ready is the answer of /readyz: nothing when ready, else the reason.
func (p *probe) ready(ctx context.Context) (reason string, err error) {
	code, body, err := p.get(ctx, "/readyz")
	if err != nil {
		return "", err
	}
	if code == http.StatusOK {
		return "", nil
	}
	if reason = strings.TrimSpace(string(body)); reason == "" {
		reason = fmt.Sprintf("/readyz answers %d", code)
	}
	return reason, nil
}

// visibleMetric is the time from a line's own timestamp to the row being
// visible, as the collector measures it.
const visibleMetric = "millrace_time_to_visible_seconds"

// visible reads the histogram from /metrics, over all pipelines.
func (p *probe) visible(ctx context.Context) (histogram, error) {
	code, body, err := p.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("/metrics answers %d", code)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		return nil, fmt.Errorf("read /metrics: %w", err)
	}
	h := histogram{}
	for _, m := range families[visibleMetric].GetMetric() {
		h.add(m.GetHistogram())
	}
	return h, nil
}

// histogram is cumulative counts by upper bound in seconds.
type histogram map[float64]uint64

func (h histogram) add(from *dto.Histogram) {
	for _, b := range from.GetBucket() {
		if !math.IsInf(b.GetUpperBound(), 1) {
			h[b.GetUpperBound()] += b.GetCumulativeCount()
		}
	}
	h[math.Inf(1)] += from.GetSampleCount()
}

func (h histogram) plus(o histogram) histogram {
	sum := histogram{}
	for _, m := range []histogram{h, o} {
		for bound, n := range m {
			sum[bound] += n
		}
	}
	return sum
}

// minus is what was counted since o, an earlier state of the same histogram.
func (h histogram) minus(o histogram) histogram {
	diff := histogram{}
	for bound, n := range h {
		diff[bound] = n - min(n, o[bound])
	}
	return diff
}

// quantile estimates as Prometheus does: evenly within a bucket. It is NaN of
// nothing, and +Inf when it lies beyond the largest bound.
func (h histogram) quantile(q float64) float64 {
	total := h[math.Inf(1)]
	if total == 0 {
		return math.NaN()
	}
	rank := q * float64(total)
	below, lower := 0.0, 0.0
	for _, bound := range sorted(h) {
		n := float64(h[bound])
		if n >= rank && !math.IsInf(bound, 1) {
			return lower + (bound-lower)*(rank-below)/(n-below)
		}
		below, lower = n, bound
	}
	return math.Inf(1)
}
