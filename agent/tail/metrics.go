package tail

import "github.com/prometheus/client_golang/prometheus"

// metrics count what happens to files; what happens to records is in the
// ledger.
type metrics struct {
	readBytes  prometheus.Counter
	errors     prometheus.Counter
	truncated  prometheus.Counter
	missed     prometheus.Counter
	openFiles  prometheus.Gauge
	containers prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	return metrics{
		readBytes:  counter("millrace_agent_read_bytes_total", "Bytes of log files read, decompressed, without what was read again."),
		errors:     counter("millrace_agent_file_errors_total", "Troubles with log files, directories and the positions file; each kind is logged once per container."),
		truncated:  counter("millrace_agent_file_truncations_total", "Log files that became shorter than what was read of them."),
		missed:     counter("millrace_agent_missed_files_total", "Log files that were deleted before they were read to their end."),
		openFiles:  gauge("millrace_agent_open_files", "Log files held open."),
		containers: gauge("millrace_agent_containers", "Containers being followed."),
	}
}
