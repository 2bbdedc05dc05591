package pipelinetest

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"millrace/internal/pipeline"
)

// count is what a Recorder has seen of one account's records, counted from the
// records themselves: what was read again is told by what it says.
type count struct {
	read, reread, delivered, filtered, inFlight, handedOver int64

	dropped map[string]int64
	// aborted are the records that the source has to read again, by identity.
	aborted map[string]int64
	lost    int64 // of aborted
}

// waiting is how many records the source has to read again.
func (c *count) waiting() int64 {
	n := -c.lost
	for _, k := range c.aborted {
		n += k
	}
	return n
}

// identity tells a record from all others of its account, and is the same
// when it is read again.
func identity(r *pipeline.Record) string {
	at := r.Time
	if r.Tag == nil {
		at = nil // of a line without a time: when it was read
	}
	stream := ""
	if r.Origin != nil {
		stream = string(r.Origin.Stream)
	}
	return fmt.Sprintf("%s %s %q %q %d", stream, at, r.Message, r.Raw, r.Offset)
}

// whole is a batch with the records that filters took out: they are behind
// the others.
func whole(b *pipeline.Batch) *pipeline.Batch {
	n := 0
	for i := range b.Spans {
		n += b.Spans[i].Records()
	}
	return &pipeline.Batch{Records: b.Records[:n], Spans: b.Spans}
}

func (o *Recorder) count(a *pipeline.Account) *count {
	c := o.counts[a]
	if c == nil {
		if o.counts == nil {
			o.counts = map[*pipeline.Account]*count{}
		}
		c = &count{dropped: map[string]int64{}, aborted: map[string]int64{}}
		o.counts[a] = c
	}
	return c
}

// came enters a batch that was written.
func (o *Recorder) came(b *pipeline.Batch) {
	w := whole(b)
	for i := range w.Records {
		c := o.count(w.Spans[w.SpanOf(i)].Account)
		c.inFlight++
		if id := identity(&w.Records[i]); c.aborted[id] > 0 {
			c.aborted[id]--
			c.reread++
		} else {
			c.read++
		}
	}
}

// went enters the outcome of a batch, before it is Done.
func (o *Recorder) went(b *pipeline.Batch, err error) {
	w := whole(b)
	for i := range w.Records {
		r := &w.Records[i]
		c := o.count(w.Spans[w.SpanOf(i)].Account)
		c.inFlight--
		switch {
		case err != nil:
			c.aborted[identity(r)]++
		case i >= len(b.Records):
			c.filtered++
		default:
			if why, drop := o.drops(r); drop {
				c.dropped[why.String()]++
			} else {
				c.delivered++
			}
		}
	}
}

// Lost tells the recorder that the source cannot read n aborted records of an
// account again and counts them as dropped.
func (o *Recorder) Lost(a *pipeline.Account, n int, why pipeline.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.count(a)
	if n > 0 {
		c.lost += int64(n)
		c.dropped[why.String()] += int64(n)
	}
}

// GivenUp tells the recorder that the source counts n records as read and
// dropped that it has never emitted.
func (o *Recorder) GivenUp(a *pipeline.Account, n int, why pipeline.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n > 0 {
		c := o.count(a)
		c.read += int64(n)
		c.dropped[why.String()] += int64(n)
	}
}

// HandedOver tells the recorder that another process reads an account's
// aborted records again.
func (o *Recorder) HandedOver(a *pipeline.Account) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.count(a)
	c.handedOver += c.waiting()
	clear(c.aborted)
	c.lost = 0
}

// sum adds up what the recorders know about an account; of all accounts with
// a nil one.
func sum(outs []*Recorder, of *pipeline.Account) pipeline.Balance {
	total := pipeline.Balance{Dropped: map[string]int64{}}
	for _, o := range outs {
		o.mu.Lock()
		for a, c := range o.counts {
			if of == nil || a == of {
				total = total.Plus(pipeline.Balance{Read: c.read, Reread: c.reread, Delivered: c.delivered, Filtered: c.filtered,
					Dropped: c.dropped, Pending: c.inFlight + c.waiting(), HandedOver: c.handedOver})
			}
		}
		o.mu.Unlock()
	}
	return total
}

// CheckBalance fails the test unless every account adds up and no batch is
// out. With the recorders that were the output, every term must also be what
// they have counted since the last CheckBalance that they were in; that has to
// be all of the ledger's life, and no other ledger's. Call it at the end of
// every test that runs a pipeline.
func CheckBalance(t testing.TB, l *pipeline.Ledger, p *pipeline.Pool, outs ...*Recorder) {
	t.Helper()
	if n := p.Out(); n != 0 {
		t.Errorf("%d batches are still out", n)
	}
	for _, fault := range Audit(l, outs...) {
		t.Error(fault)
	}
	for _, o := range outs {
		o.mu.Lock()
		o.counts = nil
		o.mu.Unlock()
	}
}

// Audit is what is wrong with a ledger, as sentences: what does not add up
// and, if there are recorders, what they counted otherwise.
func Audit(l *pipeline.Ledger, outs ...*Recorder) (faults []string) {
	compare := func(name string, got, want pipeline.Balance) {
		if got.Missing() != 0 {
			faults = append(faults, fmt.Sprintf("%s does not balance: %+v", name, got))
		}
		if got.Pending == 0 != got.Oldest.IsZero() {
			faults = append(faults, fmt.Sprintf("%s: the oldest of %d pending records is of %v", name, got.Pending, got.Oldest))
		}
		// Marks are set by whoever changes a record, and time is no count.
		got.Unparsed, got.Replaced, got.Cut, got.Oldest, got.OldestAge = 0, 0, 0, time.Time{}, 0
		if len(outs) > 0 && !same(got, want) {
			faults = append(faults, fmt.Sprintf("%s says %+v, the output counted %+v", name, got, want))
		}
	}
	for _, a := range l.Accounts() {
		compare("account "+a.Name, a.Balance(), sum(outs, a))
	}
	compare("the ledger's total", l.Total(), sum(outs, nil))
	return faults
}

func same(x, y pipeline.Balance) bool {
	return x.Read == y.Read && x.Reread == y.Reread && x.Delivered == y.Delivered && x.Filtered == y.Filtered &&
		x.Pending == y.Pending && x.HandedOver == y.HandedOver && x.TakenOver == y.TakenOver && maps.Equal(x.Dropped, y.Dropped)
}
