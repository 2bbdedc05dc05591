package filters_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/filters"
	"millrace/internal/pipeline"
)

// Of each second of a container's lines the first ones are kept, in whatever
// zone and however long after.
func TestLimit(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := loadWith(t, "- limit: {lines_per_second: 2}", registry)[0]
	accounts := map[string]*pipeline.Account{"a": {}, "b": {}}
	dropped := 0
	for i, line := range strings.Split(strings.TrimSpace(`
a 10:00:00.1Z keep
a 10:00:00.2Z keep
b 10:00:00.2Z keep
a 10:00:00.999999999Z drop
b 19:00:00.3+09:00 keep
b 10:00:00.4Z drop
a 10:00:01Z keep
a 10:00:01Z keep
a 10:00:00.9Z drop the other stream is a little late
a 10:00:01.5Z drop
a 11:00:00Z keep
a 10:59:59Z keep a second that was passed over
a 10:59:59Z keep
a 10:59:59Z drop
a 11:00:00Z keep
a 11:00:00Z drop
a 09:00:00Z keep the clock was set back
a 09:00:00Z keep
a 09:00:00Z drop
a nonsense keep
a nonsense keep
a nonsense drop`), "\n") {
		words := strings.Fields(line)
		r := pipeline.Record{Origin: &pipeline.Origin{Account: accounts[words[0]]}, Time: []byte("2026-01-01T" + words[1])}
		keep := f.Apply(&r, nil)
		if keep != (words[2] == "keep") {
			t.Errorf("line %d, %s: kept %v", i+1, line, keep)
		}
		if !keep {
			dropped++
		}
	}
	if got := value(t, registry, "millrace_limit_exceeded_records_total"); got != float64(dropped) {
		t.Errorf("%v records are counted, want %d", got, dropped)
	}
}

// After the source has gone back, lines that are read again are not counted
// twice: a container that keeps to its limit loses none of them.
func TestLimitCountsAnewAfterARewind(t *testing.T) {
	f := loadWith(t, "- limit: {lines_per_second: 10}", prometheus.NewRegistry())[0]
	account, other := &pipeline.Account{}, &pipeline.Account{}
	read := func(a *pipeline.Account, lines int) (kept int) {
		for range lines {
			if f.Apply(&pipeline.Record{Origin: &pipeline.Origin{Account: a}, Time: []byte("2026-01-01T00:00:00Z")}, nil) {
				kept++
			}
		}
		return kept
	}
	if kept := read(account, 8) + read(other, 8); kept != 16 {
		t.Errorf("%d of 16 lines are kept", kept)
	}
	account.Rewound()
	if kept := read(account, 12); kept != 10 {
		t.Errorf("%d of 12 lines are kept after a rewind, want 10", kept)
	}
	if kept := read(other, 8); kept != 2 {
		t.Errorf("%d of 8 lines of the other container are kept, want 2", kept)
	}
}

// Containers come and go; those that go are forgotten, and the others go on
// counting.
func TestLimitForgetsContainers(t *testing.T) {
	f := loadWith(t, "- limit: {lines_per_second: 3}", prometheus.NewRegistry())[0]
	apply := func(a *pipeline.Account, at int) bool {
		return f.Apply(&pipeline.Record{Origin: &pipeline.Origin{Account: a}, Time: fmt.Appendf(nil, "2026-01-01T00:00:%02dZ", at)}, nil)
	}
	stays := &pipeline.Account{}
	for i := range 5000 {
		comes := new(pipeline.Account)
		for j := range 4 {
			if keep := apply(comes, 1); keep != (j < 3) {
				t.Fatalf("line %d of container %d: kept %v", j, i, keep)
			}
		}
		if keep := apply(stays, 2); keep != (i < 3) {
			t.Fatalf("line %d of the container that stays: kept %v", i, keep)
		}
	}
	known := filters.Known(f)
	if known > 1000 {
		t.Errorf("%d containers are remembered", known)
	}
}
