package collector

import (
	"context"
	"errors"
	"fmt"
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

// lags are the lags of the partitions that are assigned to us. It is a
// prometheus.Collector; safe for concurrent use.
type lags struct {
	mu     sync.Mutex
	topic  string
	parts  map[int32]*lag
	failAt time.Time // of the last fetch error
}

var lagDesc = prometheus.NewDesc("millrace_partition_lag_records",
	"Offsets between the end of a partition (high watermark) and the position up to which its records are in the table; transaction markers at the end are not counted.",
	[]string{"topic", "partition"}, nil)

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

// failed notes the moment of a fetch error.
func (l *lags) failed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failAt = time.Now()
}

// quiet says that there were fetch errors, but not lately.
func (l *lags) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.failAt.IsZero() && time.Since(l.failAt) > fetchQuiet
}

// Describe implements prometheus.Collector.
func (l *lags) Describe(out chan<- *prometheus.Desc) { out <- lagDesc }

// Collect implements prometheus.Collector.
func (l *lags) Collect(out chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(l.parts)) {
		out <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(l.parts[id].records()), l.topic, strconv.Itoa(int(id)))
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
			s.health.set("fetch", nil)
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

func rangePart(id int32) string { return "range " + strconv.Itoa(int(id)) }

// explainRange says which records of a partition are gone: the offset at which
// the group is, and what the partition still has.
func (s *source) explainRange(id int32) {
	ctx, cancel := context.WithTimeout(s.stop, lagInterval)
	defer cancel()
	admin := kadm.NewClient(s.client)
	at := "the group's offset"
	if committed, ok := s.client.CommittedOffsets()[s.config.Topic][id]; ok {
		at = fmt.Sprintf("the group's offset %d", committed.Offset)
	}
	have := "what the broker has"
	starts, err := admin.ListStartOffsets(ctx, s.config.Topic)
	ends, eerr := admin.ListEndOffsets(ctx, s.config.Topic)
	if err == nil && eerr == nil {
		start, _ := starts.Lookup(s.config.Topic, id)
		end, _ := ends.Lookup(s.config.Topic, id)
		have = fmt.Sprintf("the broker's offsets %d to %d", start.Offset, end.Offset)
	}
	s.health.set(rangePart(id), fmt.Errorf("topic %q, partition %d: %s is outside %s: records were deleted before they were loaded, or the topic was made anew; stop the group %q and set its offset (kafka-consumer-groups --reset-offsets)",
		s.config.Topic, id, at, have, s.config.Group))
}
