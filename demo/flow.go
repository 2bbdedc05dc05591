package main

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

func sorted(h histogram) []float64 { return slices.Sorted(maps.Keys(h)) }

// sample is the state of the flow at one moment. A pointer that is nil is a
// figure that is not known, because whoever counts it does not answer.
type sample struct {
	At        time.Time `json:"at"`
	Written   int64     `json:"written"`   // lines of selected containers
	Due       int64     `json:"due"`       // of these, lines that have to arrive
	Read      *int64    `json:"read"`      // lines the agent's present process has read
	Kafka     *int64    `json:"kafka"`     // records on the topic
	Committed *int64    `json:"committed"` // of these, by the collector's group
	Loaded    *int64    `json:"loaded"`    // rows the collector's present process has delivered
	Rows      int64     `json:"rows"`      // rows in the table, and those given up
	P50       *float64  `json:"p50"`       // seconds to visible, of the last ten seconds
	P99       *float64  `json:"p99"`

	// Rates are lines a second since the sample before.
	Rates struct {
		Written *float64 `json:"written"`
		Read    *float64 `json:"read"`
		Kafka   *float64 `json:"kafka"`
		Loaded  *float64 `json:"loaded"`
	} `json:"rates"`

	agentLife, collectorLife int
}

// history is how many samples are kept, one a second.
const history = 300

// flow watches all steps of the way, from its own goroutine (run), which a
// caller may wait for by the end of its context.
type flow struct {
	node      *node
	cluster   *cluster
	warehouse *warehouse
	agent     *end
	collector *end
	base      base

	mu      sync.Mutex
	samples []sample
	visible visible
}

// base is what earlier runs in the same work folder left behind, to be
// subtracted where figures of different owners are compared. It is nil for
// what is not known.
type base struct {
	Kafka *int64 `json:"kafka"`
	Rows  int64  `json:"rows"`
}

// visible is the time-to-visible histogram through the collector's restarts.
// What a process counted after it was last asked is not in it.
type visible struct {
	past, last histogram // of ended lives, and of the present one
	life       int
	recent     []histogram // the last ten totals
}

func (v *visible) take(life int, h histogram) {
	if life != v.life {
		v.past, v.last, v.life = v.past.plus(v.last), histogram{}, life
	}
	v.last = h
	v.recent = append(v.recent, v.total())
	v.recent = v.recent[max(0, len(v.recent)-11):]
}

func (v *visible) total() histogram { return v.past.plus(v.last) }

// run takes a sample a second until the context ends.
func (f *flow) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.observe(ctx)
		}
	}
}

// observe takes one sample.
func (f *flow) observe(ctx context.Context) {
	s := sample{At: time.Now(), Written: f.node.counts.selected.Load(), Due: f.node.counts.due()}
	s.agentLife, s.collectorLife = f.agent.child.state().Lives, f.collector.child.state().Lives
	if st, err := f.agent.probe.status(ctx); err == nil {
		s.Read = new(st.ledger().Read)
	}
	if f.cluster.running() {
		bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
		if end, committed, err := f.cluster.offsets(bounded); err == nil {
			s.Kafka, s.Committed = new(end), new(committed)
		}
		cancel()
	}
	if st, err := f.collector.probe.status(ctx); err == nil {
		s.Loaded = new(st.ledger().Delivered)
	}
	s.Rows = f.warehouse.Count(database, table) + f.warehouse.truncated.Load()
	h, err := f.collector.probe.visible(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.visible.take(s.collectorLife, h)
		lately := f.visible.total().minus(f.visible.recent[0])
		s.P50, s.P99 = known(lately.quantile(0.50)), known(lately.quantile(0.99))
	}
	if n := len(f.samples); n > 0 {
		s.rate(&f.samples[n-1])
	}
	f.samples = append(f.samples, s)
	f.samples = f.samples[max(0, len(f.samples)-history):]
}

// known is nil for a number that JSON and people have no use for.
func known(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// rate fills in the rates. Counters of another process do not continue those
// of the one before, so the rate is not known over a restart.
func (s *sample) rate(before *sample) {
	seconds := s.At.Sub(before.At).Seconds()
	per := func(now, then *int64, same bool) *float64 {
		if now == nil || then == nil || !same || *now < *then || seconds <= 0 {
			return nil
		}
		return new(float64(*now-*then) / seconds)
	}
	s.Rates.Written = per(&s.Written, &before.Written, true)
	s.Rates.Read = per(s.Read, before.Read, s.agentLife == before.agentLife)
	s.Rates.Kafka = per(s.Kafka, before.Kafka, true)
	s.Rates.Loaded = per(s.Loaded, before.Loaded, s.collectorLife == before.collectorLife)
}

// latest is the newest sample, if there is one.
func (f *flow) latest() (sample, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.samples) == 0 {
		return sample{}, false
	}
	return f.samples[len(f.samples)-1], true
}

// since lists the samples after a moment, oldest first.
func (f *flow) since(t time.Time) []sample {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.samples, func(s sample) bool { return s.At.After(t) })
	if i < 0 {
		return []sample{}
	}
	return slices.Clone(f.samples[i:])
}

// p99 is the time to visible that 99 of 100 rows kept to, of all rows so far.
func (f *flow) p99() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.visible.total().quantile(0.99)
}
