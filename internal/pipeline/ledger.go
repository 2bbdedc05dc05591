package pipeline

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
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
	// SpoolFull: the record's file was given up for want of room.
	SpoolFull
	reasonCount
)

var reasonNames = [reasonCount]string{"too_large", "refused", "truncated", "spool_full"}

// String is the reason as metrics and logs show it.
func (r Reason) String() string { return reasonNames[r] }

// Account counts what became of the records of one container (agent) or one
// partition (collector) in one pipeline. Each term is counted where it
// happens, none is a difference of others, and at any moment
//
//	read + taken over = delivered + filtered + dropped + pending + handed over
//
// where pending is what batches in flight hold and what is to be read again
// after an abort. Handed over is what another process has to read again because
// it has the partition now, taken over what another one has read and left to
// us; both are always 0 at the agent. The unit is a
// record: one line, after the runtime's pieces were joined. All methods may be
// called concurrently.
type Account struct {
	// Name is what the account is about, for people: namespace/pod/container
	// or topic[partition].
	Name string
	// Labels are the metric label values, in the order of the ledger's names.
	Labels []string
	owners int // guarded by the ledger

	// Marks are records that are delivered, but not as they were written.
	// Whoever changes a record counts it, again when it is read again.
	Unparsed atomic.Int64 // not a line of the container runtime's format
	Replaced atomic.Int64 // invalid UTF-8 was replaced
	Cut      atomic.Int64 // longer than allowed, delivered without the rest

	rewinds atomic.Int64

	mu                                            sync.Mutex // a leaf; taken once or twice a span
	read, reread, delivered, filtered, handedOver int64
	takenOver                                     int64
	dropped                                       [reasonCount]int64
	tickets                                       uint64
	inFlight                                      backlog // in batches that are not Done
	aborted                                       backlog // the source has not gone back yet
	again                                         backlog // what the source reads next, in that order
}

// emit enters the records of a span that leaves the source now; the first of
// them was written at since, zero if it does not say. What is to be read again
// comes first: the source has gone back.
func (a *Account) emit(s *Span, since, now time.Time) {
	n := int64(s.read)
	a.mu.Lock()
	defer a.mu.Unlock()
	again, first := a.again.take(n)
	a.reread += again
	a.read += n - again
	a.tickets++
	s.ticket = a.tickets
	if since.IsZero() {
		since = earlier(now, first) // it was as old when it was read before
	}
	a.inFlight.add(run{ticket: s.ticket, n: n, since: since})
}

// abort takes back the records of a span that was emitted.
func (a *Account) abort(s *Span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.aborted.add(a.inFlight.remove(s))
}

// settle enters the outcomes of a span's records.
func (a *Account) settle(s *Span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inFlight.remove(s)
	a.delivered += int64(s.delivered)
	a.filtered += int64(s.filtered)
	for why, n := range s.reasons {
		a.dropped[why] += int64(n)
	}
}

// Rewound says that the source has gone back to its last committed position:
// what was aborted until now is what it emits next, and is counted as reread
// then. The source calls it when the last batch of the container or partition
// is Done, before it reads on. What it emits between an abort and this is new.
func (a *Account) Rewound() {
	a.rewinds.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	// Whatever was still to be read again lies behind what was.
	a.again.pushFront(&a.aborted)
}

// Rewinds is how often the source has gone back: what keeps counts of records
// begins anew when it changes, or it would count some twice.
func (a *Account) Rewinds() int64 { return a.rewinds.Load() }

// Lost counts the next n records that were to be read again as dropped,
// because they cannot be read again; call it after Rewound. Records beyond
// those that wait are not counted: they were not aborted. It returns how many
// were.
func (a *Account) Lost(n int64, why Reason) (counted int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	counted, _ = a.again.take(n)
	a.dropped[why] += counted
	return counted
}

// GivenUp counts n records that were found in a file and will not be read, as
// read and dropped.
func (a *Account) GivenUp(n int64, why Reason) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.read += n
	a.dropped[why] += n
}

// HandOver says that what is to be read again will be read by somebody else.
func (a *Account) HandOver() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handedOver += a.aborted.n + a.again.n
	a.aborted.clear()
	a.again.clear()
}

// Balance is an account's counts at one moment.
type Balance struct {
	Read      int64            `json:"read"`
	Reread    int64            `json:"reread"`
	Delivered int64            `json:"delivered"`
	Filtered  int64            `json:"filtered"`
	Dropped   map[string]int64 `json:"dropped"` // by reason, without zeros
	Pending   int64            `json:"pending"`
	// HandedOver are records that another process has to read again.
	HandedOver int64 `json:"handed_over"`
	// TakenOver are records that another process has read, and that are this
	// one's to deliver.
	TakenOver int64 `json:"taken_over"`
	Unparsed  int64 `json:"unparsed"`
	Replaced  int64 `json:"replaced"`
	Cut       int64 `json:"cut"`
	// Oldest is when the oldest pending line was written: the time that the
	// container runtime gave the first record of its span, or when that was
	// read, if it names no time or a later one. So it says how far delivery
	// is behind, also for lines from before the process began and for those
	// that are read again. Zero when nothing is pending.
	Oldest time.Time `json:"oldest_pending,omitzero"`
	// OldestAge is how long ago that was, in seconds; 0 when nothing is.
	OldestAge float64 `json:"oldest_pending_age_seconds"`
}

// Missing is read and taken over less all other terms: 0, or the ledger is
// wrong.
func (b Balance) Missing() int64 {
	n := b.Read + b.TakenOver - b.Delivered - b.Filtered - b.Pending - b.HandedOver
	for _, d := range b.Dropped {
		n -= d
	}
	return n
}

// Plus adds up two balances term by term, and takes the older of the oldest.
func (b Balance) Plus(c Balance) Balance {
	b.Read += c.Read
	b.Reread += c.Reread
	b.Delivered += c.Delivered
	b.Filtered += c.Filtered
	b.Pending += c.Pending
	b.HandedOver += c.HandedOver
	b.TakenOver += c.TakenOver
	b.Unparsed += c.Unparsed
	b.Replaced += c.Replaced
	b.Cut += c.Cut
	b.Oldest = earlier(b.Oldest, c.Oldest)
	b.OldestAge = max(b.OldestAge, c.OldestAge)
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
	a.mu.Lock()
	defer a.mu.Unlock()
	b := Balance{
		Read:       a.read,
		Reread:     a.reread,
		Delivered:  a.delivered,
		Filtered:   a.filtered,
		Dropped:    map[string]int64{},
		Pending:    a.inFlight.n + a.aborted.n + a.again.n,
		HandedOver: a.handedOver,
		TakenOver:  a.takenOver,
		Unparsed:   a.Unparsed.Load(),
		Replaced:   a.Replaced.Load(),
		Cut:        a.Cut.Load(),
		Oldest:     earlier(a.inFlight.oldest(), earlier(a.aborted.oldest(), a.again.oldest())),
	}
	if !b.Oldest.IsZero() {
		// Not below 0, though the clock may have been put back since.
		b.OldestAge = max(0, time.Since(b.Oldest).Seconds())
	}
	for why, n := range a.dropped {
		if n > 0 {
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
	ending []*Account          // closed, with records pending
	closed Balance             // the sum of those that are gone
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
// called for each Open; its counts stay in the pipeline's total, and what
// becomes of records that are pending is still counted there.
func (l *Ledger) Close(a *Account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.owners--; a.owners > 0 {
		return
	}
	delete(l.open, strings.Join(a.Labels, "\x00"))
	l.ending = append(l.ending, a)
	l.end()
}

// end adds up closed accounts with nothing pending, and forgets them.
func (l *Ledger) end() {
	l.ending = slices.DeleteFunc(l.ending, func(a *Account) bool {
		b := a.Balance()
		if b.Pending == 0 {
			l.closed = l.closed.Plus(b)
		}
		return b.Pending == 0
	})
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
	l.end()
	total := l.closed.Plus(Balance{})
	for _, a := range append(l.accounts(), l.ending...) {
		total = total.Plus(a.Balance())
	}
	return total
}
