package check

import (
	"encoding/json"
	"fmt"

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
	Miscounted Fault = "miscounted" // a term of the ledger is one too high
)

// Faults are all of them, for usage and tests.
var Faults = []Fault{Lost, Repeated, Reordered, Miscounted}

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
	if p.n++; p.Fault == NoFault || p.Fault == Miscounted || p.n < after {
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
	case NoFault, Miscounted:
	}
}

// Found says whether a verdict and the differences of ledgers show the fault,
// and nothing else: an error says what they show instead.
func (f Fault) Found(v *Verdict, differences []string) error {
	want := map[Fault]int64{f: 1}
	miscounted := int64(0)
	if len(differences) > 0 {
		miscounted = 1
	}
	if v.Lost != want[Lost] || v.Repeated != want[Repeated] || v.Reordered != want[Reordered] || v.Unexpected != 0 || miscounted != want[Miscounted] {
		return fmt.Errorf("planted one %s line or term, found %v and these differences of ledgers: %q", f, v, differences)
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
