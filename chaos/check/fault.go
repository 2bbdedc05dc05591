package check

import (
	"encoding/json"
	"fmt"
	"strings"

	"millrace/chaos/generator"
	"millrace/chaos/line"
)

// Fault is what can be planted to see that it is found.
type Fault string

// The faults.
const (
	NoFault    Fault = ""
	Lost       Fault = "lost"       // a record is not passed on
	Repeated   Fault = "repeated"   // a record is passed on twice
	Reordered  Fault = "reordered"  // a record is passed on after the next one of its stream
	Miscounted Fault = "miscounted" // a term of the agent's ledger is one too high

	RowLost       Fault = "row-lost"       // a row is not passed on
	RowRepeated   Fault = "row-repeated"   // a row is passed on twice
	RowReordered  Fault = "row-reordered"  // a row has the offset of the next one of its stream, and that one its
	RowForeign    Fault = "row-foreign"    // there is a row that nobody wrote
	RowMiscounted Fault = "row-miscounted" // a term of the collector's ledger is one too high
)

// Faults are all of them, for usage and tests.
var Faults = []Fault{Lost, Repeated, Reordered, Miscounted, RowLost, RowRepeated, RowReordered, RowForeign, RowMiscounted}

// OfTable says that a fault needs a table.
func (f Fault) OfTable() bool { return strings.HasPrefix(string(f), "row-") }

// after is how many records pass before a fault is planted.
const after = 500

// Planter stands between the topic and a checker and plants one fault. It is
// for one goroutine.
type Planter struct {
	Checker *Checker
	Fault   Fault

	n       int
	planted bool
	held    []byte // the record that is held back
	from    line.Source
	at      int32
}

// Read passes a record on.
func (p *Planter) Read(partition int32, value []byte) {
	if p.n++; p.Fault == NoFault || p.Fault == Miscounted || p.Fault.OfTable() || p.n < after {
		p.Checker.Read(partition, value)
		return
	}
	if p.held != nil {
		p.Checker.Read(partition, value)
		if src, ok := sourceOf(value); ok && src == p.from && partition == p.at {
			p.Checker.Read(partition, p.held)
			p.held = nil
		}
		return
	}
	src, ok := sourceOf(value)
	if p.planted || !ok {
		p.Checker.Read(partition, value)
		return
	}
	p.planted = true
	switch p.Fault {
	case Lost:
	case Repeated:
		p.Checker.Read(partition, value)
		p.Checker.Read(partition, value)
	case Reordered:
		p.held, p.from, p.at = append([]byte{}, value...), src, partition
	default:
	}
}

// RowPlanter stands between the table and its checker and plants one fault. It
// is for one goroutine.
type RowPlanter struct {
	Table *Table
	Fault Fault

	n       int
	planted bool
	held    *Row // the row that waits for the next one of its stream and partition
	from    line.Source
}

// Read passes a row on.
func (p *RowPlanter) Read(r *Row) {
	src, _, ok := line.Parse(r.Message)
	switch p.n++; {
	case p.held != nil && ok && src == p.from && r.Partition == p.held.Partition:
		r.Offset, p.held.Offset = p.held.Offset, r.Offset
		p.Table.Read(p.held)
		p.held = nil
	case p.planted || !ok || p.n < after:
	case p.Fault == RowLost:
		p.planted = true
		return
	case p.Fault == RowRepeated:
		p.planted = true
		p.Table.Read(r)
	case p.Fault == RowReordered:
		p.planted = true
		held := *r
		p.held, p.from = &held, src
		return
	case p.Fault == RowForeign:
		p.planted = true
		p.Table.Read(p.Table.foreignRow(r))
	}
	p.Table.Read(r)
}

// foreignRow is a row like r of a line that nobody wrote, far behind the end of
// the topic.
func (t *Table) foreignRow(r *Row) *Row {
	const container = 1 << 30
	src, n := line.Source{Container: container}, int64(0)
	for line.Dropped(t.lines.seed, src, n) {
		n++
	}
	pod, name := generator.PodOf(container)
	f := &Row{TopicID: r.TopicID, Partition: r.Partition, Offset: r.Offset + 1<<40, Stream: src.Stream(), Message: line.Text(t.lines.seed, src, n)}
	f.Kubernetes = fmt.Sprintf(`{"pod_id":%q,"container_name":%q}`, generator.UID(t.lines.seed, pod), name)
	return f
}

// Findings are what a run found.
type Findings struct {
	Topic *Verdict
	Table *TableVerdict // nil: there is none
	// Differences are those of the agent's ledger, RowDifferences those of the
	// collector's.
	Differences, RowDifferences []string
}

// numbers are the findings of which a fault makes some one, and of which all
// others have to be 0.
func (f *Findings) numbers() map[Fault]int64 {
	t := f.Table
	if t == nil {
		t = &TableVerdict{}
	}
	return map[Fault]int64{
		Lost: f.Topic.Lost, Repeated: f.Topic.Repeated, Reordered: f.Topic.Reordered, Miscounted: int64(min(len(f.Differences), 1)),
		RowLost: t.Lost, RowRepeated: t.Repeated, RowReordered: t.Reordered, RowForeign: t.Unexpected, RowMiscounted: int64(min(len(f.RowDifferences), 1)),
		"unexpected": f.Topic.Unexpected, "unlike": t.Unlike,
	}
}

// unlike is how many places of a table differ from the topic by a fault.
var unlike = map[Fault]int64{RowLost: 1, RowRepeated: 1, RowReordered: 2, RowForeign: 1}

// Found says whether findings show the fault, and nothing else: an error says
// what they show instead.
func (f Fault) Found(all *Findings) error {
	want, got := map[Fault]int64{f: 1, "unlike": unlike[f]}, all.numbers()
	if f == RowLost {
		want[RowMiscounted] = got[RowMiscounted] // collectors may rightly claim more rows than there are
	}
	for what, n := range got {
		if n != want[what] {
			return fmt.Errorf("planted one %s line, row or term, found %v; %v, and these differences of ledgers: %q %q", f, all.Topic, all.Table, all.Differences, all.RowDifferences)
		}
	}
	return nil
}

// sourceOf is the source of a record that is to arrive.
func sourceOf(value []byte) (line.Source, bool) {
	var r record
	if json.Unmarshal(value, &r) != nil {
		return line.Source{}, false
	}
	src, _, ok := line.Parse(r.Message)
	return src, ok
}
