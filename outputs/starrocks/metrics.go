package starrocks

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what an output counts. Names are registered once per pipeline,
// told apart by the label pipeline.
type metrics struct {
	loads                                            *prometheus.CounterVec
	visible, publishTimeout, resolved, failed, split prometheus.Counter
	duration                                         prometheus.Histogram
	bytes, rows                                      prometheus.Counter
	unreadable                                       *prometheus.CounterVec
	timeToVisible                                    *ageHistogram
}

func newMetrics(pipeline string, reg prometheus.Registerer) *metrics {
	labels := prometheus.Labels{"pipeline": pipeline}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name:        "millrace_loads_total",
			Help:        "Tries to load a batch into StarRocks by result: visible, publish_timeout (committed, not yet visible), resolved (the answer was lost, the label's state told that it is in), failed (tried again), split (rows or the size are refused: sent again in halves).",
			ConstLabels: labels,
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:        "millrace_load_duration_seconds",
			Help:        "Time from the first try of a load until it was in.",
			ConstLabels: labels,
			Buckets:     []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		bytes: counter("millrace_load_bytes_total", "Bytes of bodies that are in, as sent."),
		rows:  counter("millrace_load_rows_total", "Rows that are in."),
		unreadable: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_load_unreadable_datetimes_total",
			Help: "Values that are NULL in the table because they are no certain moment, by DATETIME column. Certain are RFC 3339 with an offset, and, stored as written, YYYY-MM-DD hh:mm:ss with or without decimals, with a space or T between, and YYYY-MM-DD." +
				" Not so numbers and other texts, which StarRocks would reject or take for another moment.",
			ConstLabels: labels,
		}, []string{"column"}),
		timeToVisible: newAgeHistogram(labels),
	}
	m.visible = m.loads.WithLabelValues("visible")
	m.publishTimeout = m.loads.WithLabelValues("publish_timeout")
	m.resolved = m.loads.WithLabelValues("resolved")
	m.split = m.loads.WithLabelValues("split")
	m.failed = m.loads.WithLabelValues("failed")
	if reg != nil {
		reg.MustRegister(m.loads, m.duration, m.bytes, m.rows, m.unreadable, m.timeToVisible)
	}
	return m
}

// ageBounds are the buckets of the time to visible, in seconds.
var ageBounds = []float64{.1, .25, .5, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 30, 60, 120, 300, 900, 3600, 6 * 3600, 24 * 3600}

// ageHistogram is a histogram that takes a load's rows in one go, which
// client_golang's own cannot. Safe for concurrent use.
type ageHistogram struct {
	desc *prometheus.Desc

	mu     sync.Mutex
	counts []uint64 // by bound, the last for what is older
	sum    float64
}

func newAgeHistogram(labels prometheus.Labels) *ageHistogram {
	return &ageHistogram{
		desc: prometheus.NewDesc("millrace_time_to_visible_seconds",
			"Time from the moment a line was written, by its own time, until its row was in the table.", nil, labels),
		counts: make([]uint64, len(ageBounds)+1),
	}
}

// observe takes the moments at which lines were written that are visible now.
func (h *ageHistogram) observe(now time.Time, written []instant) {
	var counts [64]uint64
	sum := 0.0
	for _, at := range written {
		age := now.Sub(at.time()).Seconds()
		sum += age
		i := 0
		for i < len(ageBounds) && age > ageBounds[i] {
			i++
		}
		counts[i]++
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.counts {
		h.counts[i] += counts[i]
	}
	h.sum += sum
}

// Describe implements prometheus.Collector.
func (h *ageHistogram) Describe(out chan<- *prometheus.Desc) { out <- h.desc }

// Collect implements prometheus.Collector.
func (h *ageHistogram) Collect(out chan<- prometheus.Metric) {
	h.mu.Lock()
	defer h.mu.Unlock()
	buckets := make(map[float64]uint64, len(ageBounds))
	total := uint64(0)
	for i, n := range h.counts {
		total += n
		if i < len(ageBounds) {
			buckets[ageBounds[i]] = total
		}
	}
	out <- prometheus.MustNewConstHistogram(h.desc, total, h.sum, buckets)
}
