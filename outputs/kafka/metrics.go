package kafka

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metrics are the output's counters; it is also the client's hook for what
// only the client knows.
type metrics struct {
	records, bytes, wire prometheus.Counter
	confirmed            prometheus.Histogram
	retries              prometheus.Counter
	errors               *prometheus.CounterVec

	committed                   prometheus.Counter
	aborted                     *prometheus.CounterVec
	transactionTime, commitTime prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, pipeline string) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_kafka_" + name, Help: help})
	}
	m := &metrics{
		records: counter("produced_records_total", "Records that Kafka has confirmed."),
		bytes:   counter("produced_bytes_total", "Bytes of the confirmed records, encoded and not compressed."),
		wire:    counter("produced_wire_bytes_total", "Bytes of the confirmed record batches as sent, compressed."),
		retries: counter("produce_retries_total", "Produce requests that got no answer and were sent again, and batches produced again after a refusal."),
		confirmed: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_kafka_confirm_duration_seconds",
			Help:    "Time from handing a batch to the client to the confirmation of its last record.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_kafka_errors_total",
			Help: "What kept records from being confirmed, by cause: Kafka's error name, connect or request.",
		}, []string{"cause"}),
		committed: counter("transactions_committed_total", "Transactions that were committed."),
		aborted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_kafka_transactions_aborted_total",
			Help: "Transactions that were not committed and whose records were read again, by reason.",
		}, []string{"reason"}),
		transactionTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_kafka_transaction_duration_seconds",
			Help:    "Time from the beginning of a transaction until it was committed.",
			Buckets: prometheus.ExponentialBuckets(0.016, 2, 12),
		}),
		commitTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_kafka_commit_duration_seconds",
			Help:    "Time from the last record of a transaction until it was committed, in which no other record is sent.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}),
	}
	if r == nil {
		return m, nil
	}
	r = prometheus.WrapRegistererWith(prometheus.Labels{"pipeline": pipeline}, r)
	for _, c := range []prometheus.Collector{
		m.records, m.bytes, m.wire, m.retries, m.confirmed, m.errors,
		m.committed, m.aborted, m.transactionTime, m.commitTime,
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of pipeline %q: %w", pipeline, err)
		}
	}
	return m, nil
}

// count counts what arrived.
func (m *metrics) count(t *tally) {
	m.records.Add(float64(t.records))
	m.bytes.Add(float64(t.bytes))
	for _, d := range t.marks {
		d.account.Cut.Add(int64(d.cut))
		d.account.Replaced.Add(int64(d.replaced))
	}
}

// refused counts a batch of which records came back, by the error's name in
// Kafka.
func (m *metrics) refused(err error) {
	var ke *kerr.Error
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
	case errors.As(err, &ke):
		m.errors.WithLabelValues(ke.Message).Inc()
	default:
		m.errors.WithLabelValues("other").Inc()
	}
}

// OnProduceBatchWritten implements kgo.HookProduceBatchWritten.
func (m *metrics) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.ProduceBatchMetrics) {
	m.wire.Add(float64(b.CompressedBytes))
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (m *metrics) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil && !errors.Is(err, kgo.ErrClientClosed) {
		m.errors.WithLabelValues("connect").Inc()
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (m *metrics) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if err := e2e.Err(); err != nil && kmsg.Key(key) == kmsg.Produce && !errors.Is(err, kgo.ErrClientClosed) {
		m.errors.WithLabelValues("request").Inc()
		m.retries.Inc()
	}
}
