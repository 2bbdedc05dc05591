package pipeline

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Reason says why a record was given up. Each has a counter of its own.
type Reason uint8

// The reasons for which a record is dropped.
const (
	// TooLarge: the record does not fit the topic even without its message.
	TooLarge Reason = iota
	// Refused: the far end refuses this very record, whatever is done.
	Refused
	// Truncated: the record's file was truncated before it was delivered.
	Truncated
	reasonCount
)

var reasonNames = [reasonCount]string{"too_large", "refused", "truncated"}

// String is the reason as metrics and logs show it.
func (r Reason) String() string { return reasonNames[r] }

// Account counts what became of the records of one container (agent) or one
// partition (collector) in one pipeline. Each term is counted where it
// happens, none is a difference of others, and at any moment
//
//	read = delivered + filtered + dropped + pending + handed over
//
// where pending is what batches in flight hold and what is to be read again
// after an abort, and handed over, always 0 at the agent, is what another
// process has to read again because it has the partition now. All methods may be called concurrently.
type Account struct {
	// Name is what the account is about, for people: namespace/pod/container
	// or topic[partition].
	Name string
	// Labels are the metric label values, in the order of the ledger's names.
	Labels []string
	owners int // guarded by the ledger

	read, reread, handedOver               atomic.Int64
	delivered, filtered, inFlight, aborted atomic.Int64
	dropped                                [reasonCount]atomic.Int64

	// Marks are records that are delivered, but not as they were written.
	// Whoever changes a record counts it, again when it is read again.
	Unparsed atomic.Int64 // not a line of the container runtime's format
	Replaced atomic.Int64 // invalid UTF-8 was replaced
	Cut      atomic.Int64 // longer than allowed, delivered without the rest
}

// emit enters n records that leave the source. What was aborted before is
// read again first: it is counted as reread.
func (a *Account) emit(n int64) {
	again := int64(0)
	for {
		open := a.aborted.Load()
		again = min(open, n)
		if a.aborted.CompareAndSwap(open, open-again) {
			break
		}
	}
	a.reread.Add(again)
	a.inFlight.Add(n)
	a.read.Add(n - again)
}

func (a *Account) abort(n int64) {
	a.aborted.Add(n)
	a.inFlight.Add(-n)
}

// Lost counts n records of aborted batches as dropped, because they cannot be
// read again.
func (a *Account) Lost(n int64, why Reason) {
	a.aborted.Add(-n)
	a.dropped[why].Add(n)
}

// HandOver says that what is to be read again will be read by somebody else.
func (a *Account) HandOver() {
	a.handedOver.Add(a.aborted.Swap(0))
}

func (a *Account) settle(s *Span) {
	a.delivered.Add(int64(s.delivered))
	a.filtered.Add(int64(s.filtered))
	for why, n := range s.reasons {
		if n > 0 {
			a.dropped[why].Add(int64(n))
		}
	}
	a.inFlight.Add(-int64(s.read))
}

// Balance is an account's counts at one moment. The terms are read one after
// another, so only an account at rest adds up exactly.
type Balance struct {
	Read      int64            `json:"read"`
	Reread    int64            `json:"reread"`
	Delivered int64            `json:"delivered"`
	Filtered  int64            `json:"filtered"`
	Dropped   map[string]int64 `json:"dropped"` // by reason, without zeros
	Pending   int64            `json:"pending"`
	// HandedOver are records that another process has to read again.
	HandedOver int64 `json:"handed_over"`
	Unparsed   int64 `json:"unparsed"`
	Replaced   int64 `json:"replaced"`
	Cut        int64 `json:"cut"`
}

// Missing is read less all other terms: 0, or the ledger is wrong.
func (b Balance) Missing() int64 {
	n := b.Read - b.Delivered - b.Filtered - b.Pending - b.HandedOver
	for _, d := range b.Dropped {
		n -= d
	}
	return n
}

// Plus adds up two balances term by term.
func (b Balance) Plus(c Balance) Balance {
	b.Read += c.Read
	b.Reread += c.Reread
	b.Delivered += c.Delivered
	b.Filtered += c.Filtered
	b.Pending += c.Pending
	b.HandedOver += c.HandedOver
	b.Unparsed += c.Unparsed
	b.Replaced += c.Replaced
	b.Cut += c.Cut
	sum := make(map[string]int64, len(b.Dropped)+len(c.Dropped))
	for _, m := range []map[string]int64{b.Dropped, c.Dropped} {
		for why, n := range m {
			sum[why] += n
		}
	}
	b.Dropped = sum
	return b
}

// Balance reads the account.
func (a *Account) Balance() Balance {
	b := Balance{
		Read:       a.read.Load(),
		Reread:     a.reread.Load(),
		Delivered:  a.delivered.Load(),
		Filtered:   a.filtered.Load(),
		Dropped:    map[string]int64{},
		Pending:    a.inFlight.Load() + a.aborted.Load(),
		HandedOver: a.handedOver.Load(),
		Unparsed:   a.Unparsed.Load(),
		Replaced:   a.Replaced.Load(),
		Cut:        a.Cut.Load(),
	}
	for why := range a.dropped {
		if n := a.dropped[why].Load(); n > 0 {
			b.Dropped[Reason(why).String()] = n
		}
	}
	return b
}

// Ledger is the set of a pipeline's accounts. Safe for concurrent use.
type Ledger struct {
	// Pipeline is the pipeline's name.
	Pipeline string
	// LabelNames name the values in Account.Labels.
	LabelNames []string

	mu     sync.Mutex
	open   map[string]*Account // by label values
	closed Balance             // the sum of accounts that are gone
}

// NewLedger returns an empty ledger whose accounts carry one label value for
// each of labelNames.
func NewLedger(pipeline string, labelNames ...string) *Ledger {
	return &Ledger{Pipeline: pipeline, LabelNames: labelNames, open: map[string]*Account{}}
}

// Open adds an account with the given name and label values. Two containers
// that have the same, because a pod was replaced by one of its name while its
// own lines are still on their way, share an account.
func (l *Ledger) Open(name string, labels ...string) *Account {
	if len(labels) != len(l.LabelNames) {
		panic("BUG: account with the wrong number of labels")
	}
	key := strings.Join(labels, "\x00")
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.open[key]
	if a == nil {
		a = &Account{Name: name, Labels: labels}
		l.open[key] = a
	}
	a.owners++
	return a
}

// Close removes an account whose containers or partition are gone, once it was
// called for each Open; its counts stay in the pipeline's total.
func (l *Ledger) Close(a *Account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.owners--; a.owners > 0 {
		return
	}
	delete(l.open, strings.Join(a.Labels, "\x00"))
	l.closed = l.closed.Plus(a.Balance())
}

// Accounts lists the open accounts, sorted by name.
func (l *Ledger) Accounts() []*Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accounts()
}

func (l *Ledger) accounts() []*Account {
	as := make([]*Account, 0, len(l.open))
	for _, a := range l.open {
		as = append(as, a)
	}
	slices.SortFunc(as, func(x, y *Account) int { return cmp.Compare(x.Name, y.Name) })
	return as
}

// Total is the sum over all accounts, open and closed.
func (l *Ledger) Total() Balance {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := l.closed.Plus(Balance{})
	for _, a := range l.accounts() {
		total = total.Plus(a.Balance())
	}
	return total
}
