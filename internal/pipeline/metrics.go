package pipeline

import "github.com/prometheus/client_golang/prometheus"

// terms are the ledger's metrics, in the order in which they are described.
var terms = []struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*Balance) float64
}{
	{"millrace_records_read_total", "Records read for the first time; always the sum of delivered, filtered, dropped, pending and handed over.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.Read) }},
	{"millrace_records_reread_total", "Records read again because they had not been delivered.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.Reread) }},
	{"millrace_records_delivered_total", "Records that the far end has confirmed.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.Delivered) }},
	{"millrace_records_filtered_total", "Records that a filter dropped.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.Filtered) }},
	{"millrace_records_pending", "Records read and not yet delivered, filtered or dropped.", prometheus.GaugeValue, func(b *Balance) float64 { return float64(b.Pending) }},
	{"millrace_records_oldest_pending_age_seconds", "How long ago the oldest pending line was written; 0 when nothing is pending.", prometheus.GaugeValue, func(b *Balance) float64 { return b.OldestAge }},
	{"millrace_records_taken_over_total", "Records that another process had read and planned to deliver, and that this one delivers; always 0 at the agent.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.TakenOver) }},
	{"millrace_records_handed_over_total", "Records of lost partitions that their new owner has to read again; always 0 at the agent.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.HandedOver) }},
	{"millrace_records_unparsed_total", "Lines that are not in the container runtime's format, sent as they are.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.Unparsed) }},
	{"millrace_records_replaced_total", "Records in which invalid UTF-8 was replaced.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.Replaced) }},
	{"millrace_records_cut_total", "Records that hold only the beginning of what was written.", prometheus.CounterValue, func(b *Balance) float64 { return float64(b.Cut) }},
}

const (
	droppedName = "millrace_records_dropped_total"
	droppedHelp = "Records given up, by reason."
)

// Describe implements prometheus.Collector.
func (l *Ledger) Describe(out chan<- *prometheus.Desc) {
	for _, t := range terms {
		out <- l.desc(t.name, t.help)
	}
	out <- l.desc(droppedName, droppedHelp, "reason")
}

// Collect implements prometheus.Collector: one series for each open account
// and term.
func (l *Ledger) Collect(out chan<- prometheus.Metric) {
	for _, a := range l.Accounts() {
		b := a.Balance()
		for _, t := range terms {
			out <- prometheus.MustNewConstMetric(l.desc(t.name, t.help), t.kind, t.value(&b), a.Labels...)
		}
		for why, n := range b.Dropped {
			labels := append([]string{}, a.Labels...)
			out <- prometheus.MustNewConstMetric(l.desc(droppedName, droppedHelp, "reason"), prometheus.CounterValue, float64(n), append(labels, why)...)
		}
	}
}

func (l *Ledger) desc(name, help string, more ...string) *prometheus.Desc {
	names := append(append([]string{}, l.LabelNames...), more...)
	return prometheus.NewDesc(name, help, names, prometheus.Labels{"pipeline": l.Pipeline})
}

// Status is a ledger as /status shows it.
type Status struct {
	Name     string          `json:"name"`
	Ledger   Balance         `json:"ledger"` // all accounts, those that are gone included
	Accounts []AccountStatus `json:"accounts"`
}

// AccountStatus is one account as /status shows it.
type AccountStatus struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Balance
}

// Status reads all accounts.
func (l *Ledger) Status() Status {
	s := Status{Name: l.Pipeline, Ledger: l.Total(), Accounts: []AccountStatus{}}
	for _, a := range l.Accounts() {
		labels := make(map[string]string, len(l.LabelNames))
		for i, name := range l.LabelNames {
			labels[name] = a.Labels[i]
		}
		s.Accounts = append(s.Accounts, AccountStatus{Name: a.Name, Labels: labels, Balance: a.Balance()})
	}
	return s
}
