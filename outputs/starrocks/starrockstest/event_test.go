package starrockstest

import (
	"fmt"
	"testing"
)

// TestChance: equal seeds strike the same loads, and about as many as asked.
func TestChance(t *testing.T) {
	struck := func(seed uint64) (which string) {
		s := start(t, Config{Seed: seed, Faults: []Fault{{Kind: UnknownCommitted, Times: -1, Chance: 0.3}}})
		for range 100 {
			if r := put(t, s, goodRow); r.Status == "Success" {
				which += "."
			} else {
				which += "x"
			}
		}
		if n := s.Struck(UnknownCommitted); n < 10 || n > 60 {
			t.Errorf("of 100 loads %d were struck", n)
		}
		return which
	}
	if a, b, c := struck(1), struck(1), struck(2); a != b || a == c {
		t.Errorf("seed 1 %s\nagain  %s\nseed 2 %s", a, b, c)
	}
}

// TestEventsAreCountedOverRestarts evicts labels at once and asks for one.
func TestEventsAreCountedOverRestarts(t *testing.T) {
	dir := t.TempDir()
	set := map[string]string{"label_keep_max_num": "2", "transaction_clean_interval_second": "0", "compaction_versions_per_second": "1000"}
	for life := 1; life <= 3; life++ {
		s := start(t, Config{Dir: dir, Set: set, Faults: []Fault{{Kind: UnknownCommitted}}})
		for i := range 5 {
			put(t, s, goodRow, "label", fmt.Sprintf("%d-%d", life, i))
		}
		if state := loadState(t, s.URL(), fmt.Sprintf("%d-0", life)); state != "UNKNOWN" {
			t.Errorf("an evicted label is %s", state)
		}
		put(t, s, goodRow, "label", fmt.Sprintf("%d-1", life))
		if got, want := s.Stats(), (Stats{Evicted: 5*life - 1, Forgotten: life, Reused: life}); got.Evicted != want.Evicted || got.Forgotten != want.Forgotten || got.Reused != want.Reused {
			t.Errorf("life %d: %+v", life, got)
		}
		if n := s.Struck(UnknownCommitted); n != life {
			t.Errorf("life %d: struck %d", life, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
