package starrockstest

import (
	"math/rand/v2"
	"sync"
	"time"
)

// FaultKind names one way the server can misbehave; each is something a real
// cluster or the network before it does.
type FaultKind string

// The kinds of fault. "Load" below is one PUT of a Stream Load that reached a
// backend; "request" is one HTTP request at a frontend. Of a load through the
// transaction interface, what happens to the body strikes at its load, what
// concerns versions at prepare, and the rest at commit.
const (
	// DropAfterCommit closes the connection once the load is visible, before any byte of the answer.
	DropAfterCommit FaultKind = "drop after commit"
	// DropBeforeCommit closes the connection when the body is in; the transaction is aborted.
	DropBeforeCommit FaultKind = "drop before commit"
	// CutAnswer sends only the first half of the answer of a finished load and closes.
	CutAnswer FaultKind = "cut answer"
	// HoldTransaction closes the connection when the body is in and leaves the transaction in PREPARE with all
	// its rows. After Delay, or when Server.Finish is called, it becomes Then (VISIBLE or ABORTED).
	HoldTransaction FaultKind = "hold transaction"
	// CrashBackend closes the connection when the headers are in and leaves an orphan in PREPARE until its timeout.
	CrashBackend FaultKind = "crash backend"
	// PublishTimeout commits, answers "Publish Timeout" and makes the rows visible Delay after the answer.
	PublishTimeout FaultKind = "publish timeout"
	// UnknownCommitted commits but answers Fail with "Transaction status unknown, you can retry with same label."
	UnknownCommitted FaultKind = "status unknown then committed"
	// UnknownAborted gives the same answer and aborts.
	UnknownAborted FaultKind = "status unknown then aborted"
	// TooManyVersions fails the load as a tablet with tablet_max_versions versions does.
	TooManyVersions FaultKind = "too many versions"
	// TxnLimit refuses the load at begin: current running txns on db.
	TxnLimit FaultKind = "txn limit"
	// RowCountMismatch stores and reports all rows but the last, with Success.
	RowCountMismatch FaultKind = "row count mismatch"
	// SlowContinue waits Delay before the backend sends 100 Continue.
	SlowContinue FaultKind = "slow continue"
	// SlowAnswer waits Delay between the end of a load and its answer.
	SlowAnswer FaultKind = "slow answer"
	// GarbledAnswer answers a finished load with 200 and a page of HTML, as a proxy in between does.
	GarbledAnswer FaultKind = "garbled answer"
	// FilteredRows fails the load with "too many filtered rows" and an ErrorURL, though its rows are good.
	FilteredRows FaultKind = "filtered rows"
	// MemoryLimit fails the load as a backend without memory does.
	MemoryLimit FaultKind = "memory limit"
	// LoseContext makes the backend forget a transaction of the transaction interface when it is to be prepared:
	// TXN_NOT_EXISTS, and the label stays in PREPARE.
	LoseContext FaultKind = "lose context"
	// BackendError500 answers a load with 500 and a page of text.
	BackendError500 FaultKind = "backend 500"

	// Unauthorized answers a request with 401.
	Unauthorized FaultKind = "unauthorized"
	// FrontendError500 answers a request with 500.
	FrontendError500 FaultKind = "frontend 500"
	// FrontendFailed answers a load request with 200 and "Status": "FAILED".
	FrontendFailed FaultKind = "frontend failed"
	// RedirectDead redirects a load to a port where nothing listens.
	RedirectDead FaultKind = "redirect to a dead port"
	// RedirectTo redirects a load to Addr (host:port).
	RedirectTo FaultKind = "redirect elsewhere"
	// RedirectLoop redirects a load to the frontend itself.
	RedirectLoop FaultKind = "redirect loop"
	// SlowRedirect waits Delay before it redirects a load.
	SlowRedirect FaultKind = "slow redirect"
	// LoadStateFailed answers get_load_state with FAILED and no state.
	LoadStateFailed FaultKind = "load state failed"
	// LoadStateHang answers get_load_state only after Delay, or when the client is gone.
	LoadStateHang FaultKind = "load state hang"
)

// faultKinds are all of them, for those who name one from outside.
var faultKinds = []FaultKind{DropAfterCommit, DropBeforeCommit, CutAnswer, HoldTransaction, CrashBackend, PublishTimeout, UnknownCommitted, UnknownAborted, TooManyVersions,
	TxnLimit, RowCountMismatch, SlowContinue, SlowAnswer, GarbledAnswer, FilteredRows, MemoryLimit, LoseContext, BackendError500,
	Unauthorized, FrontendError500, FrontendFailed, RedirectDead, RedirectTo, RedirectLoop, SlowRedirect, LoadStateFailed, LoadStateHang}

// Fault is one planned misbehaviour.
type Fault struct {
	Kind  FaultKind
	Times int           // how often it strikes: 0 means once, negative for ever
	Skip  int           // matching requests to leave alone first
	Table string        // only loads of this table, all when empty
	Label string        // only loads of this label, all when empty
	Delay time.Duration // see the kinds
	Then  State         // HoldTransaction: VISIBLE or ABORTED
	Addr  string        // RedirectTo

	// Chance strikes each matching request with this probability, drawn by Config.Seed; 0 strikes every one.
	Chance float64
}

// faults is the list of planned ones, in the order they were given.
type faults struct {
	mu     sync.Mutex
	list   []*Fault
	struck map[FaultKind]int
	dice   *rand.Rand
	events *eventLog

	evicted map[string]bool // labels, in all lives
}

// take returns the first planned fault of the kind that fits, and uses it up
// by one; nil is the normal case.
func (f *faults) take(k FaultKind, table, label string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.list {
		if p.Kind != k || p.Table != "" && p.Table != table || p.Label != "" && p.Label != label {
			continue
		}
		if p.Skip > 0 {
			p.Skip--
			continue
		}
		if p.Chance > 0 && f.dice.Float64() >= p.Chance {
			continue
		}
		struck := *p
		if p.Times == 1 {
			f.list = append(f.list[:i:i], f.list[i+1:]...)
		} else if p.Times > 1 {
			p.Times--
		}
		if f.struck == nil {
			f.struck = map[FaultKind]int{}
		}
		f.struck[k]++
		f.events.add(string(k), label)
		return &struck
	}
	return nil
}

// Inject plans a fault. Faults of one kind strike in the order they were
// injected. Safe for concurrent use.
func (s *Server) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = append(s.faults.list, &f)
}

// ClearFaults forgets the faults that have not struck yet.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = nil
}

// Struck tells how often faults of a kind have struck, in all lives of the
// server's directory.
func (s *Server) Struck(k FaultKind) int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.struck[k]
}
