package main

import (
	"math"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	h := histogram{0.5: 50, 1: 90, 2: 100, inf: 100}
	for q, want := range map[float64]float64{0.5: 0.5, 0.25: 0.25, 0.9: 1, 0.95: 1.5, 0.99: 1.9} {
		if got := h.quantile(q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := (histogram{1: 10, inf: 100}).quantile(0.99); !math.IsInf(got, 1) {
		t.Errorf("beyond the largest bound: %v", got)
	}
	if got := (histogram{1: 0, inf: 0}).quantile(0.99); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestVisibleGoesOnOverARestart(t *testing.T) {
	inf := math.Inf(1)
	var v visible
	v.take(1, histogram{1: 10, inf: 10})
	v.take(1, histogram{1: 80, inf: 80})
	v.take(2, histogram{1: 0, 5: 20, inf: 20})
	if total := v.total(); total[inf] != 100 || total[1] != 80 || total[5] != 20 {
		t.Errorf("total %v", total)
	}
	if lately := v.total().minus(v.recent[1]); lately[inf] != 20 {
		t.Errorf("lately %v", lately)
	}
}

func TestRatesAreUnknownOverARestart(t *testing.T) {
	at := time.Now()
	before := sample{At: at, Written: 100, Read: new(int64(90)), Kafka: new(int64(80)), Loaded: new(int64(70)), agentLife: 1, collectorLife: 1}
	now := sample{At: at.Add(2 * time.Second), Written: 300, Read: new(int64(190)), Loaded: new(int64(500)), agentLife: 1, collectorLife: 2}
	now.rate(&before)
	if r := now.Rates; r.Written == nil || *r.Written != 100 || r.Read == nil || *r.Read != 50 || r.Kafka != nil || r.Loaded != nil {
		t.Errorf("%+v", r)
	}
	now.agentLife, now.Read = 1, new(int64(20)) // it counts anew, unnoticed
	if now.rate(&before); now.Rates.Read != nil {
		t.Error("a counter that went back has a rate")
	}
}
