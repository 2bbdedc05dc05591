package starrockstest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// State is the state of a label's transaction, in the words of get_load_state.
type State string

// The states of a transaction. UNKNOWN means that the server knows no
// transaction of the label: never begun, lost with the leader, or evicted.
const (
	StateUnknown   State = "UNKNOWN"
	StatePrepare   State = "PREPARE"
	StatePrepared  State = "PREPARED"
	StateCommitted State = "COMMITTED"
	StateVisible   State = "VISIBLE"
	StateAborted   State = "ABORTED"
)

// Transaction is a copy of what the server knows of one transaction.
type Transaction struct {
	ID       int64
	Label    string
	DB       string
	Table    string
	State    State
	Reason   string // why it was aborted
	Rows     int64  // rows loaded
	Begun    time.Time
	Finished time.Time // zero while it runs
}

type txn struct {
	Transaction
	table    *table
	timer    *time.Timer
	segments []*segment
	expires  time.Time         // of PREPARED
	held     func(State) error // set while HoldTransaction holds it
}

// database is one database with its labels.
type database struct {
	id       int64
	name     string
	tables   map[string]*table
	labels   map[string][]*txn // in order of id
	running  int               // PREPARE, PREPARED, COMMITTED
	finished []*txn            // in order of finishing
	terminal map[string]outcome
	evicted  []string         // labels in terminal, oldest first
	gone     map[string]State // all that were ever evicted, to count who asks for them
}

// outcome is what the terminal cache keeps of an evicted transaction.
type outcome struct {
	state  State
	reason string
}

func newDatabase(id int64, name string) *database {
	return &database{id: id, name: name, tables: map[string]*table{}, labels: map[string][]*txn{},
		terminal: map[string]outcome{}, gone: map[string]State{}}
}

var labelRegex = regexp.MustCompile(`^[-\w]{1,128}$`)

// labelUsedError is LabelAlreadyUsedException.
type labelUsedError struct {
	label string
	txn   Transaction
}

func (e *labelUsedError) Error() string {
	return fmt.Sprintf("Label [%s] has already been used.", e.label)
}

// jobStatus is the ExistingJobStatus of the answer.
func (e *labelUsedError) jobStatus() string {
	if e.txn.State == StateCommitted || e.txn.State == StateVisible {
		return "FINISHED"
	}
	return "RUNNING"
}

var (
	errTxnNotFound = errors.New("transaction not found")
	abortTimeout   = "timeout by txn manager"
)

// begin opens a transaction. The live labels decide alone: what was evicted
// may be used again.
func (s *Server) begin(db *database, t *table, label string, timeout time.Duration) (*txn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.def.view != nil {
		return nil, fmt.Errorf("The data of '%s' cannot be inserted because it is a materialized view, and the data of materialized view must be consistent with the base table.", t.name)
	}
	if !labelRegex.MatchString(label) {
		return nil, fmt.Errorf("Label format error. regex: %s, label: %s", labelRegex, label)
	}
	for _, o := range db.labels[label] {
		if o.State != StateAborted {
			return nil, &labelUsedError{label, o.Transaction}
		}
	}
	if f := s.faults.take(TxnLimit, t.name, label); f != nil || db.running >= s.limit(maxRunningTxns) {
		n := s.limit(maxRunningTxns)
		return nil, fmt.Errorf("current running txns on db %d is %d, larger than limit %d", db.id, n, n)
	}
	if db.gone[label] == StateVisible && len(db.labels[label]) == 0 {
		s.faults.note(eventReused, label)
	}
	s.nextTxn++
	x := &txn{table: t, Transaction: Transaction{ID: s.nextTxn, Label: label, DB: db.name, Table: t.name, State: StatePrepare, Begun: time.Now()}}
	db.labels[label] = append(db.labels[label], x)
	db.running++
	x.timer = time.AfterFunc(timeout, func() { _ = s.abort(x, abortTimeout) }) // it may have ended before
	return x, nil
}

// commit makes the rows of a transaction in PREPARE durable and, unless publish
// is false, visible.
func (s *Server) commit(x *txn, segments []*segment, rows int64, publish bool) error {
	s.mu.Lock()
	done := x.Transaction
	s.mu.Unlock()
	done.State, done.Rows, done.Finished = StateVisible, rows, time.Now()
	record := s.encodeLoad(x, segments, done) // the long part, outside the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.State != StatePrepare {
		return x.refusal()
	}
	if err := s.journal.append(record); err != nil {
		return fmt.Errorf("write edit log: %w", err)
	}
	x.timer.Stop()
	x.State, x.Rows, x.segments = StateCommitted, rows, segments
	if publish {
		s.publishLocked(x)
	}
	return nil
}

// prepare makes the rows durable and waits for a decision, at most until
// timeout.
func (s *Server) prepare(x *txn, segments []*segment, rows int64, timeout time.Duration) error {
	s.mu.Lock()
	done := x.Transaction
	s.mu.Unlock()
	done.State, done.Rows = StatePrepared, rows
	x.expires = time.Now().Add(timeout) // only prepare sets it, and once
	record := s.encodeLoad(x, segments, done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.State != StatePrepare {
		return x.refusal()
	}
	if err := s.journal.append(record); err != nil {
		return fmt.Errorf("write edit log: %w", err)
	}
	x.timer.Stop()
	x.timer = time.AfterFunc(timeout, func() { _ = s.abort(x, abortTimeout) }) // it may have ended before
	x.State, x.Rows, x.segments = StatePrepared, rows, segments
	s.changed.Broadcast()
	return nil
}

// commitPreparedLocked makes a PREPARED transaction durable and, unless publish
// is false, visible.
func (s *Server) commitPreparedLocked(x *txn, publish bool) error {
	done := x.Transaction
	done.State, done.Finished = StateVisible, time.Now()
	if err := s.journal.append(encodeOutcome(&done)); err != nil {
		return fmt.Errorf("write edit log: %w", err)
	}
	x.timer.Stop()
	x.State = StateCommitted
	if publish {
		s.publishLocked(x)
	}
	return nil
}

// refusal is why a transaction that no longer runs cannot go on.
func (x *txn) refusal() error {
	if x.State == StateAborted {
		return fmt.Errorf("transaction %d is already aborted. abort reason: %s", x.ID, x.Reason)
	}
	if x.State == StateUnknown {
		return errTxnNotFound
	}
	return fmt.Errorf("transaction %d is already %s", x.ID, x.State)
}

func (s *Server) publish(x *txn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.State == StateCommitted {
		s.publishLocked(x)
	}
}

func (s *Server) publishLocked(x *txn) {
	x.table.publish(x.segments)
	x.segments = nil
	s.finishLocked(x, StateVisible, "")
}

func (s *Server) finishLocked(x *txn, state State, reason string) {
	x.State, x.Reason, x.Finished = state, reason, time.Now()
	if x.timer != nil {
		x.timer.Stop()
	}
	if db := s.databases[x.DB]; db != nil {
		db.running--
		db.finished = append(db.finished, x)
		if s.limit(cleanSeconds) == 0 {
			s.cleanLocked(db)
		}
	}
	s.changed.Broadcast()
}

// abort ends a running transaction without its rows; one that has ended stays
// as it is.
func (s *Server) abort(x *txn, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.abortLocked(x, reason)
}

func (s *Server) abortLocked(x *txn, reason string) error {
	if x.State != StatePrepare && x.State != StatePrepared {
		return x.refusal()
	}
	done := x.Transaction
	done.State, done.Reason, done.Finished = StateAborted, reason, time.Now()
	if err := s.journal.append(encodeOutcome(&done)); err != nil {
		return fmt.Errorf("write edit log: %w", err)
	}
	x.segments = nil
	s.finishLocked(x, StateAborted, reason)
	return nil
}

// newest gives the transaction of a label with the largest id, nil for none.
func (db *database) newest(label string) *txn {
	if list := db.labels[label]; len(list) > 0 {
		return list[len(list)-1]
	}
	return nil
}

// labelState is what get_load_state answers.
func (s *Server) labelState(db *database, label string) (State, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := db.newest(label); x != nil {
		return x.State, x.Reason
	}
	if o, ok := db.terminal[label]; ok {
		return o.state, o.reason
	}
	if _, evicted := db.gone[label]; evicted {
		s.faults.note(eventForgotten, label)
	}
	return StateUnknown, ""
}

// cancel is _cancel: it finds only a PREPARE transaction.
func (s *Server) cancel(db *database, label string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := db.newest(label)
	if x == nil {
		return fmt.Errorf("transaction not found, label=%s", label)
	}
	if x.State != StatePrepare {
		return fmt.Errorf("running transaction not found, label=%s", label)
	}
	return s.abortLocked(x, "user cancel")
}

// CleanLabels runs the eviction that otherwise runs every
// transaction_clean_interval_second: per database, the oldest finished
// transactions go while running + finished exceed label_keep_max_num, and all
// older than label_keep_max_second. It returns how many went.
func (s *Server) CleanLabels() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := 0
	for _, db := range s.databases {
		gone += s.cleanLocked(db)
	}
	return gone
}

func (s *Server) cleanLocked(db *database) (gone int) {
	oldest := time.Now().Add(-time.Duration(s.limit(labelKeepSeconds)) * time.Second)
	for gone < len(db.finished) {
		over := db.running+len(db.finished)-gone > s.limit(labelKeepNum)
		if !over && db.finished[gone].Finished.After(oldest) {
			break
		}
		s.evict(db, db.finished[gone])
		gone++
	}
	db.finished = slices.Clone(db.finished[gone:])
	return gone
}

func (s *Server) evict(db *database, x *txn) {
	db.gone[x.Label] = x.State
	s.faults.note(eventEvicted, x.Label)
	db.labels[x.Label] = slices.DeleteFunc(db.labels[x.Label], func(o *txn) bool { return o == x })
	if len(db.labels[x.Label]) == 0 {
		delete(db.labels, x.Label)
	}
	keep := s.limit(terminalCache)
	if keep == 0 {
		return
	}
	if _, known := db.terminal[x.Label]; !known {
		db.evicted = append(db.evicted, x.Label)
	}
	db.terminal[x.Label] = outcome{x.State, x.Reason}
	for len(db.evicted) > keep {
		delete(db.terminal, db.evicted[0])
		db.evicted = db.evicted[1:]
	}
}
