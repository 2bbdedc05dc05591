package starrockstest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestQueriesSeeWholeLoads loads and queries at once: every count is a
// multiple of a load's rows, by SQL and by the method alike.
func TestQueriesSeeWholeLoads(t *testing.T) {
	s := start(t, Config{Backends: 2})
	c := open(t, s, "quickstart")
	var wg sync.WaitGroup
	for n := range 2 {
		wg.Go(func() {
			for i := range 10 {
				if r := put(t, s, strings.Repeat(goodRow, 5), "label", fmt.Sprintf("l%d-%d", n, i)); r.Status != "Success" {
					t.Error(r.raw)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				var a, b int
				if err := c.QueryRow("SELECT COUNT(*), COUNT(stream) FROM kong_log_events WHERE stream = 'stdout'").Scan(&a, &b); err != nil || a%5 != 0 || a != b {
					t.Errorf("counts %d and %d, %v", a, b, err)
				}
				if n := s.Count("quickstart", "kong_log_events"); n%5 != 0 {
					t.Errorf("count %d", n)
				}
				s.CleanLabels()
			}
		})
	}
	wg.Wait()
	byLabel := map[string]int{}
	for row := range s.Rows("quickstart", "kong_log_events") {
		byLabel[row.Label]++
	}
	for label, n := range byLabel {
		if n != 5 {
			t.Errorf("label %s brought %d rows", label, n)
		}
	}
	if len(byLabel) != 20 {
		t.Errorf("%d labels", len(byLabel))
	}
}

func TestDiscard(t *testing.T) {
	s := start(t, Config{Discard: true})
	if r := put(t, s, goodRow+"\n"+goodRow, "label", "d"); r.Status != "Success" || r.NumberTotalRows != 2 {
		t.Error(r.raw)
	}
	if r := put(t, s, `[{"a":1},{"b":[{}]}]`, "strip_outer_array", "true"); r.NumberLoadedRows != 2 {
		t.Error(r.raw)
	}
	if r := put(t, s, goodRow, "label", "d"); r.ExistingJobStatus != "FINISHED" {
		t.Error(r.raw)
	}
	if n := s.Count("quickstart", "kong_log_events"); n != 0 || s.Stats().Rows != 4 || s.Stats().Loads != 2 {
		t.Errorf("%d rows stored, %+v", n, s.Stats())
	}
}
