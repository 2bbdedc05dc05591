package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/chaos/check"
)

// rows is the summary of what became of lines in the table.
type rows struct {
	Rows       int64 `json:"rows"`
	Lost       int64 `json:"lost"`
	Repeated   int64 `json:"repeated"`
	Reordered  int64 `json:"reordered"`
	Unexpected int64 `json:"unexpected"`
	Unlike     int64 `json:"unlike"`

	// Lives of all collectors, and what these processes said of their loads,
	// those that answered before they were killed.
	Lives   int   `json:"lives"`
	Loads   loads `json:"loads"`
	Unclear int   `json:"unclear"` // ends by SIGTERM that left a load to their successor

	// Leaders is how often its frontend forgot the transactions that ran. What the stand-in counts over its lives: labels that it forgot, how often
	// it was asked for one of these, and how often one was loaded again.
	Leaders   int            `json:"leader_changes"`
	Evicted   int            `json:"evicted"`
	Forgotten int            `json:"forgotten"`
	Reused    int            `json:"reused"`
	Faults    map[string]int `json:"faults"`
	Slowest   float64        `json:"slowest_start"` // in seconds

	Differences differences `json:"differences,omitempty"`
}

// take enters a verdict and what the stand-in says.
func (t *rows) take(v *check.TableVerdict, s *warehouseState) {
	t.Rows, t.Lost, t.Repeated, t.Reordered, t.Unexpected, t.Unlike = v.Rows, v.Lost, v.Repeated, v.Reordered, v.Unexpected, v.Unlike
	t.Evicted, t.Forgotten, t.Reused = s.Stats.Evicted, s.Stats.Forgotten, s.Stats.Reused
	t.Faults = maps.Clone(s.Struck)
	maps.DeleteFunc(t.Faults, func(kind string, _ int) bool { return strings.Contains(kind, "label ") })
}

// wrong says what is not as it should be.
func (t *rows) wrong(o *options) error {
	var errs []error
	if !o.missing() && t.Lost > 0 {
		errs = append(errs, fmt.Errorf("%d lines are not in the table", t.Lost))
	}
	if o.exact() && t.Repeated+t.Reordered > 0 {
		errs = append(errs, fmt.Errorf("%d lines are repeated and %d are out of order in the table", t.Repeated, t.Reordered))
	}
	if t.Unexpected > 0 {
		errs = append(errs, fmt.Errorf("%d rows are not as their lines were written", t.Unexpected))
	}
	if t.Unlike > 0 {
		errs = append(errs, fmt.Errorf("table and topic differ in %d places", t.Unlike))
	}
	if n := len(t.Differences); n > 0 {
		errs = append(errs, fmt.Errorf("the collectors' ledger and the topic differ in %d things", n))
	}
	return errors.Join(errs...)
}

// String is the summary in one line.
func (t *rows) String() string {
	ledger := "equal"
	if len(t.Differences) > 0 {
		ledger = "DIFFERENT"
	}
	var faults []string
	for _, kind := range slices.Sorted(maps.Keys(t.Faults)) {
		faults = append(faults, fmt.Sprintf("%s=%d", strings.ReplaceAll(kind, " ", "-"), t.Faults[kind]))
	}
	return fmt.Sprintf("table: rows=%d lost=%d repeated=%d reordered=%d unexpected=%d unlike_topic=%d ledger=%s lives=%d claimed=%d taken_over=%d handed_over=%d "+
		"resolved=%d publish_timeouts=%d failed=%d unclear_ends=%d leader_changes=%d labels: evicted=%d asked_for=%d loaded_again=%d; slowest_start=%.1fs faults: %s;",
		t.Rows, t.Lost, t.Repeated, t.Reordered, t.Unexpected, t.Unlike, ledger, t.Lives, t.Loads.Delivered, t.Loads.TakenOver, t.Loads.HandedOver,
		t.Loads.Resolved, t.Loads.Late, t.Loads.Failed, t.Unclear, t.Leaders, t.Evicted, t.Forgotten, t.Reused, t.Slowest, strings.Join(faults, " "))
}

// plus adds another run.
func (t *rows) plus(o *rows) {
	t.Rows += o.Rows
	t.Lost += o.Lost
	t.Repeated += o.Repeated
	t.Reordered += o.Reordered
	t.Unexpected += o.Unexpected
	t.Unlike += o.Unlike
	t.Lives += o.Lives
	t.Loads = t.Loads.plus(o.Loads)
	t.Unclear += o.Unclear
	t.Leaders += o.Leaders
	t.Evicted += o.Evicted
	t.Forgotten += o.Forgotten
	t.Reused += o.Reused
	t.Slowest = max(t.Slowest, o.Slowest)
	if t.Faults == nil {
		t.Faults = map[string]int{}
	}
	for kind, n := range o.Faults {
		t.Faults[kind] += n
	}
	t.Differences.differ(o.Differences...)
}
