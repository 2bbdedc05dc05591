package audit

import (
	"fmt"
	"time"
)

// Row is what one row of the table says about its line. The times are without
// a zone, as the table holds them.
type Row struct {
	Time, KST       time.Time
	Stream, Message string
}

// Audit holds rows against a book. It is for one goroutine; the book must not
// change meanwhile, and takes one audit only.
type Audit struct {
	book    *Book
	verdict Verdict
}

// Verdict is the outcome of an audit.
type Verdict struct {
	Lines int // that had to arrive
	Rows  int // that did
	// Lost lines have no row. Repeated rows are those beyond the first of
	// their line.
	Lost, Repeated int
	// Unexpected rows hold a line that nobody wrote, or that had to stay
	// behind: a message that was altered is lost and unexpected.
	Unexpected int
	// WrongTime rows have another time than their line, WrongKST rows a
	// kst_time that is not nine hours after their time.
	WrongTime, WrongKST int
	// Samples name a few lines or rows of each fault, by how they begin.
	Samples []string
}

// Clean says that there is no fault at all.
func (v Verdict) Clean() bool {
	return v.Lost+v.Repeated+v.Unexpected+v.WrongTime+v.WrongKST == 0
}

// String is the verdict in the form of the check's output.
func (v Verdict) String() string {
	return fmt.Sprintf("lines=%d rows=%d lost=%d repeated=%d", v.Lines, v.Rows, v.Lost, v.Repeated)
}

// maxSamples is per fault.
const maxSamples = 3

// Audit begins an audit of the lines entered so far.
func (b *Book) Audit() *Audit {
	return &Audit{book: b, verdict: Verdict{Lines: b.Lines()}}
}

// Row takes one row, in any order.
func (a *Audit) Row(r Row) {
	v := &a.verdict
	v.Rows++
	e := a.book.lines[keyOf(r.Stream, r.Message)]
	if e == nil {
		a.fault(&v.Unexpected, "unexpected row", r.Message)
		return
	}
	e.arrived++
	if e.arrived > e.written {
		a.fault(&v.Repeated, "repeated", r.Message)
	}
	if r.Time.UnixMicro() != e.at && e.written == 1 {
		a.fault(&v.WrongTime, "time "+r.Time.Format(time.StampMicro)+" instead of "+time.UnixMicro(e.at).UTC().Format(time.StampMicro), r.Message)
	}
	if r.KST.Sub(r.Time) != 9*time.Hour {
		a.fault(&v.WrongKST, "kst_time "+r.KST.Format(time.StampMicro)+" beside time "+r.Time.Format(time.StampMicro), r.Message)
	}
}

// Verdict ends the audit: what has no row by now is lost.
func (a *Audit) Verdict() Verdict {
	for _, e := range a.book.lines {
		for range e.written - min(e.written, e.arrived) {
			a.fault(&a.verdict.Lost, "lost", e.sample)
		}
	}
	return a.verdict
}

func (a *Audit) fault(count *int, what, text string) {
	*count++
	if *count <= maxSamples {
		a.verdict.Samples = append(a.verdict.Samples, fmt.Sprintf("%s: %.72s", what, text))
	}
}
