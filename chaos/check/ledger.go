package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"millrace/internal/pipeline"
)

// Ledger is what an agent or a collector says at /status about the records of
// one process: by container or partition, and all together, containers that
// are gone included.
type Ledger struct {
	Total    pipeline.Balance
	Accounts map[string]pipeline.Balance // by namespace/pod/container or topic[partition]
}

// ReadLedger reads the answer of /status.
func ReadLedger(body []byte) (*Ledger, error) {
	var s struct {
		Pipelines []pipeline.Status `json:"pipelines"`
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("read /status: %w", err)
	}
	l := &Ledger{Accounts: map[string]pipeline.Balance{}}
	for _, p := range s.Pipelines {
		l.Total = l.Total.Plus(p.Ledger)
		for _, a := range p.Accounts {
			l.Accounts[a.Name] = l.Accounts[a.Name].Plus(a.Balance)
		}
	}
	return l, nil
}

// Plus adds up the ledgers of two processes.
func (l *Ledger) Plus(o *Ledger) *Ledger {
	sum := &Ledger{Total: l.Total.Plus(o.Total), Accounts: maps.Clone(l.Accounts)}
	for name, b := range o.Accounts {
		sum.Accounts[name] = sum.Accounts[name].Plus(b)
	}
	return sum
}

// Unbalanced lists the accounts of which what was read or taken over is not
// the sum of the other terms. It may be asked at any time.
func (l *Ledger) Unbalanced() (differences []string) {
	for _, name := range slices.Sorted(maps.Keys(l.Accounts)) {
		if n := missing(l.Accounts[name]); n != 0 {
			differences = append(differences, fmt.Sprintf("%s: read is %d more than the sum of the other terms", name, n))
		}
	}
	if n := missing(l.Total); n != 0 {
		differences = append(differences, fmt.Sprintf("total: read is %d more than the sum of the other terms", n))
	}
	return differences
}

// missing is Balance.Missing, added up here once more: the checker does not
// take the agent's code for it.
func missing(b pipeline.Balance) int64 {
	return b.Read + b.TakenOver - b.Delivered - b.Filtered - b.Pending - b.HandedOver - given(b)
}

func given(b pipeline.Balance) (n int64) {
	for _, d := range b.Dropped {
		n += d
	}
	return n
}

// Count is what the writers count of a container: lines, and how many of
// these a filter drops.
type Count struct{ Lines, Filtered int64 }

// Differences compares the ledger of processes at rest with what was written
// while they ran: everything was read once, filtered or delivered, and nothing
// was given up.
func (l *Ledger) Differences(written map[string]Count) (differences []string) {
	total := Count{}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		w := written[name]
		total.Lines += w.Lines
		total.Filtered += w.Filtered
		differences = append(differences, compare(name, l.Accounts[name], w)...)
	}
	differences = append(differences, compare("total", l.Total, total)...)
	return append(differences, l.Unbalanced()...)
}

func compare(name string, got pipeline.Balance, want Count) (differences []string) {
	for _, term := range []struct {
		name      string
		got, want int64
	}{
		{"read", got.Read, want.Lines},
		{"delivered", got.Delivered, want.Lines - want.Filtered},
		{"filtered", got.Filtered, want.Filtered},
		{"dropped", given(got), 0},
		{"pending", got.Pending, 0},
		{"handed over", got.HandedOver, 0},
		{"taken over", got.TakenOver, 0},
	} {
		if term.got != term.want {
			differences = append(differences, fmt.Sprintf("%s: %s is %d, the writers say %d", name, term.name, term.got, term.want))
		}
	}
	return differences
}

// Terms are those of a ledger that can be planted wrong.
var Terms = []string{"read", "delivered", "filtered", "dropped", "pending", "handed_over", "taken_over"}

// Miscount makes one term of the ledger, of the account with the most lines,
// one too high.
func (l *Ledger) Miscount(term string) {
	names := slices.SortedFunc(maps.Keys(l.Accounts), func(a, b string) int {
		return cmp.Or(cmp.Compare(l.Accounts[b].Read, l.Accounts[a].Read), cmp.Compare(a, b))
	})
	if len(names) == 0 {
		return
	}
	one := pipeline.Balance{}
	switch term {
	case "read":
		one.Read = 1
	case "delivered":
		one.Delivered = 1
	case "filtered":
		one.Filtered = 1
	case "dropped":
		one.Dropped = map[string]int64{"planted": 1}
	case "pending":
		one.Pending = 1
	case "handed_over":
		one.HandedOver = 1
	case "taken_over":
		one.TakenOver = 1
	}
	l.Accounts[names[0]] = l.Accounts[names[0]].Plus(one)
}
