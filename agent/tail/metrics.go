package tail

import "github.com/prometheus/client_golang/prometheus"

// metrics count what happens to files; what happens to records is in the
// ledger.
type metrics struct {
	readBytes      prometheus.Counter
	errors         prometheus.Counter
	truncated      prometheus.Counter
	decompressions prometheus.Counter
	missed         *prometheus.CounterVec
	missedBytes    *prometheus.CounterVec
	openFiles      prometheus.Gauge
	heldBytes      prometheus.Gauge
	containers     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	byReason := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"reason"})
		r.MustRegister(c)
		for _, m := range allMissed {
			c.WithLabelValues(m.reason)
		}
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	return metrics{
		readBytes:      counter("millrace_agent_read_bytes_total", "Bytes of log files read, decompressed, without what was read again."),
		errors:         counter("millrace_agent_file_errors_total", "Troubles with log files, directories and the positions file; each kind is logged once per container."),
		truncated:      counter("millrace_agent_file_truncations_total", "Log files that became shorter than what was read of them."),
		decompressions: counter("millrace_agent_decompressions_total", "Times that a compressed log file was read from its beginning."),
		missed:         byReason("millrace_agent_missed_files_total", "Log files, or gaps between them, of which lines were lost before they were read."),
		missedBytes:    byReason("millrace_agent_missed_bytes_total", "Bytes lost before they were read, as far as their number is known; what is not known is in millrace_agent_missed_files_total alone."),
		openFiles:      gauge("millrace_agent_open_files", "Log files held open."),
		heldBytes:      gauge("millrace_agent_held_bytes", "Bytes of log files that are deleted and not delivered, and therefore kept."),
		containers:     gauge("millrace_agent_containers", "Containers being followed."),
	}
}
