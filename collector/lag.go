package collector

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/internal/kafkaconn"
)

const (
	// lagInterval is how often the ends of the partitions are asked for: what
	// fetches tell stands still while partitions are paused.
	lagInterval = 10 * time.Second
	// fetchQuiet is after how long without the same error a fetch counts as
	// working again; the client repeats them every few seconds.
	fetchQuiet = 20 * time.Second
)

// lags are the lags of the partitions that are assigned to us. One whose
// position is not known yet has none. It is a prometheus.Collector; safe for
// concurrent use.
type lags struct {
	mu     sync.Mutex
	topic  string
	parts  map[int32]*lag
	failAt time.Time // of the last error that was about the whole topic
	missed map[int32]*missing
}

// missing is what was deleted of a partition before it was loaded: up to where
// it is counted, so that it is counted once.
type missing struct {
	offsets, upTo int64
}

var lagDesc = prometheus.NewDesc("millrace_partition_lag_records",
	"Offsets between the end of a partition (high watermark) and the position up to which its records are in the table; transaction markers at the end are not counted.",
	[]string{"topic", "partition"}, nil)

var missedDesc = prometheus.NewDesc("millrace_missed_offsets_total",
	"Offsets of a partition that were deleted before their records were in the table; their partition stands still until somebody decides.",
	[]string{"topic", "partition", "reason"}, nil)

// miss counts offsets that retention has deleted: from start to before end.
func (l *lags) miss(topic string, id int32, start, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topic = topic
	if l.missed == nil {
		l.missed = map[int32]*missing{}
	}
	m := l.missed[id]
	if m == nil {
		m = &missing{}
		l.missed[id] = m
	}
	m.offsets += max(0, end-max(start, m.upTo))
	m.upTo = max(m.upTo, end)
}

func (l *lags) open(topic string, id int32) *lag {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parts == nil {
		l.parts = map[int32]*lag{}
	}
	l.topic = topic
	g := &lag{}
	g.end.Store(-1)
	g.position.Store(-1)
	l.parts[id] = g
	return g
}

func (l *lags) close(id int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.parts, id)
}

func (l *lags) get(id int32) *lag {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parts[id]
}

// failed notes the moment of an error that was about the whole topic.
func (l *lags) failed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failAt = time.Now()
}

// quiet says that there were such errors, but not lately.
func (l *lags) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.failAt.IsZero() && time.Since(l.failAt) > fetchQuiet
}

// idle are the partitions that had an error, but not lately, and have nothing
// more to read: their next record may be long in coming.
func (l *lags) idle() (ids []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, g := range l.parts {
		at := g.failed.Load()
		if n, known := g.records(); at != 0 && known && n == 0 && time.Since(time.Unix(0, at)) > fetchQuiet {
			ids = append(ids, id)
		}
	}
	return ids
}

// Describe implements prometheus.Collector.
func (l *lags) Describe(out chan<- *prometheus.Desc) {
	out <- lagDesc
	out <- missedDesc
}

// Collect implements prometheus.Collector.
func (l *lags) Collect(out chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(l.parts)) {
		if n, known := l.parts[id].records(); known {
			out <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(n), l.topic, strconv.Itoa(int(id)))
		}
	}
	for id, m := range l.missed {
		out <- prometheus.MustNewConstMetric(missedDesc, prometheus.CounterValue, float64(m.offsets), l.topic, strconv.Itoa(int(id)), "retention")
	}
}

// watchLag asks for the ends of the partitions now and then.
func (s *source) watchLag() {
	admin := kadm.NewClient(s.client)
	tick := time.NewTicker(lagInterval)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(s.stop, lagInterval)
		ends, err := admin.ListEndOffsets(ctx, s.config.Topic)
		cancel()
		// What is wrong with the connection, the watch reports.
		if err == nil {
			s.health.set("topic", s.noteEnds(ends))
		}
		if s.lags.quiet() {
			s.health.set(fetchPart, nil)
		}
		for _, id := range s.lags.idle() {
			s.health.set(partitionPart(id), nil)
		}
		select {
		case <-tick.C:
		case <-s.stop.Done():
			return
		}
	}
}

// noteEnds takes the ends of the partitions; the error says why there are
// none. The client itself waits in silence for a topic to appear.
func (s *source) noteEnds(ends kadm.ListedOffsets) error {
	var failed error
	ends.Each(func(o kadm.ListedOffset) {
		if g := s.lags.get(o.Partition); g != nil && o.Err == nil {
			g.end.Store(o.Offset)
		}
		if errors.Is(o.Err, kerr.UnknownTopicOrPartition) || errors.Is(o.Err, kerr.TopicAuthorizationFailed) {
			failed = kafkaconn.Explain(o.Err, s.subject)
		}
	})
	return failed
}
