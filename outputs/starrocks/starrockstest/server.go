// Package starrockstest is a StarRocks cluster in one process, for tests and
// demonstrations: frontends and backends that speak Stream Load over HTTP, the
// transaction interface, label states, and the MySQL protocol over the rows
// that were loaded. It refuses what StarRocks refuses and answers in its words,
// as far as its sources and documentation tell; what it does not implement it
// refuses by name rather than ignore.
//
// A Server owns its goroutines and listeners; Close ends them all. All methods
// are safe for concurrent use. Time comes from package time, so a test may run
// the package inside testing/synctest.
package starrockstest

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	sqle "github.com/dolthub/go-mysql-server"
)

// Config says what New starts. The zero value is one leader frontend, one
// backend and a MySQL port on free ports of 127.0.0.1, in memory, with the user
// root who has no password.
type Config struct {
	// Addresses to listen on; a missing one is 127.0.0.1:0.
	FrontendAddr string
	BackendAddrs []string
	MySQLAddr    string
	Frontends    int // how many, at least 1; the first is the leader, the others redirect to it
	Backends     int // how many, at least len(BackendAddrs) and 1

	Users []User   // accounts; none means root without a password
	DDL   []string // scripts for Exec, run at start when the database log is empty

	// Dir keeps an edit log of definitions, labels and rows: written and synced before a load is
	// answered, replayed by New. Beside it lies a log of the faults that struck, so that they are counted over
	// restarts. Empty means memory only.
	Dir string
	// Discard makes loads run the whole protocol and count their rows, but parse and store nothing.
	Discard bool
	// GenericLabelFailure answers a used label as frontends of 3.3 and later do (StarRocks issue 57982): Fail,
	// no ExistingJobStatus, TxnId -1. Without it the answer is "Label Already Exists".
	GenericLabelFailure bool
	// Set holds configuration items by the server's names, see Server.Set.
	Set map[string]string
	// Faults are injected before anything listens.
	Faults []Fault
	// Seed rules the dice of faults with a Chance: equal seeds and requests, equal faults.
	Seed uint64
}

// Server is a running stand-in.
type Server struct {
	cfg       Config
	users     map[string]User
	limits    sync.Map
	faults    faults
	bodies    bodyPool
	journal   *journal
	frontends []*frontend
	backends  []*backend
	engine    *sqle.Engine
	mysql     *mysqlServer
	leader    atomic.Int64 // index in frontends
	turn      atomic.Uint64
	loads     atomic.Int64
	rows      atomic.Int64
	bytes     atomic.Int64

	mu         sync.Mutex
	changed    *sync.Cond // a transaction changed its state
	databases  map[string]*database
	nextTxn    int64
	nextID     int64
	errorLogs  map[string][]byte
	errorNames []string

	timers []*time.Timer // of faults that come later

	retime chan struct{} // the interval of eviction has changed
	viewed chan struct{} // there is a new view
	stop   chan struct{}
	done   sync.WaitGroup
}

// New opens the directory, if there is one, and starts all listeners. Its
// error names the listener, file or DDL statement at fault.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, users: map[string]User{}, databases: map[string]*database{}, nextTxn: 1000, nextID: 10000,
		errorLogs: map[string][]byte{}, retime: make(chan struct{}, 1), viewed: make(chan struct{}, 1), stop: make(chan struct{})}
	s.faults.dice, s.faults.struck = rand.New(rand.NewPCG(cfg.Seed, 0)), map[FaultKind]int{}
	s.faults.evicted = map[string]bool{}
	s.changed, s.engine = sync.NewCond(&s.mu), newEngine(s)
	for _, l := range defaultLimits {
		s.limits.Store(l.name, l.value)
	}
	for name, val := range cfg.Set {
		if err := s.Set(name, val); err != nil {
			return nil, err
		}
	}
	if len(cfg.Users) == 0 {
		cfg.Users = []User{{Name: "root", Insert: true, Select: true, Admin: true}}
	}
	for _, u := range cfg.Users {
		s.users[u.Name] = u
	}
	for _, f := range cfg.Faults {
		s.Inject(f)
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.done.Add(2)
	go s.cleanLoop()
	go s.refreshLoop()
	return s, nil
}

func (s *Server) open() (err error) {
	if s.journal, err = openJournal(s.cfg.Dir, s.replay); err != nil {
		return err
	}
	if err := s.openEvents(); err != nil {
		return err
	}
	if err := s.refreshAll(); err != nil {
		return err
	}
	s.startTimers()
	s.CleanLabels()
	if len(s.databases) == 0 {
		for _, script := range s.cfg.DDL {
			if err := s.Exec("", script); err != nil {
				return err
			}
		}
	}
	for i := range max(s.cfg.Frontends, 1) {
		f := &frontend{server: s, index: int64(i)}
		if f.http, err = listenHTTP(addrOr(s.cfg.FrontendAddr, i), f); err != nil {
			return err
		}
		s.frontends = append(s.frontends, f)
	}
	for i := range max(s.cfg.Backends, len(s.cfg.BackendAddrs), 1) {
		addr := ""
		if i < len(s.cfg.BackendAddrs) {
			addr = s.cfg.BackendAddrs[i]
		}
		b := &backend{server: s, id: int64(10001 + i)}
		if b.http, err = listenHTTP(addrOr(addr, 0), b); err != nil {
			return err
		}
		s.backends = append(s.backends, b)
	}
	s.mysql, err = listenMySQL(addrOr(s.cfg.MySQLAddr, 0), s)
	return err
}

func addrOr(addr string, i int) string {
	if addr == "" || i > 0 {
		return "127.0.0.1:0"
	}
	return addr
}

// Close stops every listener, drops their connections and closes the edit log.
// Nothing is flushed that an answer did not already vouch for, so it is also
// what a crash leaves behind.
func (s *Server) Close() error {
	select {
	case <-s.stop:
		return nil
	default:
		close(s.stop)
	}
	for _, f := range s.frontends {
		f.http.stop()
	}
	for _, b := range s.backends {
		b.http.stop()
	}
	if s.mysql != nil {
		s.mysql.close()
	}
	s.done.Wait()
	s.stopTimers()
	_ = s.engine.Close() // tells that its own threads were told to end
	return errors.Join(s.journal.close(), s.faults.events.close())
}

// after runs f later, unless the server is closed first.
func (s *Server) after(d time.Duration, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.afterLocked(d, f)
}

func (s *Server) afterLocked(d time.Duration, f func()) {
	s.timers = append(s.timers, time.AfterFunc(d, f))
}

func (s *Server) stopTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.timers {
		t.Stop()
	}
	for _, db := range s.databases {
		for _, list := range db.labels {
			for _, x := range list {
				x.stopTimer()
			}
		}
	}
}

func (s *Server) cleanLoop() {
	defer s.done.Done()
	for {
		t := time.NewTimer(time.Duration(max(s.limit(cleanSeconds), 1)) * time.Second)
		select {
		case <-s.stop:
			t.Stop()
			return
		case <-s.retime:
			t.Stop()
		case <-t.C:
			s.CleanLabels()
		}
	}
}

// URL is the base address of the leader frontend, http://host:port.
func (s *Server) URL() string { return "http://" + s.leaderAddr() }

// FrontendURLs are the base addresses of all frontends, the leader of now
// first.
func (s *Server) FrontendURLs() []string {
	urls := []string{s.URL()}
	for _, f := range s.frontends {
		if !f.leads() {
			urls = append(urls, "http://"+f.http.addr())
		}
	}
	return urls
}

// BackendURLs are the base addresses of the backends.
func (s *Server) BackendURLs() []string {
	var urls []string
	for _, b := range s.backends {
		urls = append(urls, "http://"+b.http.addr())
	}
	return urls
}

// MySQLAddr is the host:port of the MySQL protocol.
func (s *Server) MySQLAddr() string { return s.mysql.addr() }

// DSN is the data source name for github.com/go-sql-driver/mysql.
func (s *Server) DSN(user, password, db string) string {
	return fmt.Sprintf("%s:%s@tcp(%s)/%s", user, password, s.MySQLAddr(), db)
}

// StopBackend drops backend i, counted from 0, with all its connections; loads
// it was reading are aborted, transactions it had begun stay in PREPARE. StartBackend brings it back on the same address.
// (A backend that dies in the middle of a load and leaves it in PREPARE: CrashBackend.)
func (s *Server) StopBackend(i int) {
	s.backends[i].http.stop()
	s.backends[i].contexts.clear()
}

// StartBackend is the counterpart of StopBackend; its error is a port that has
// been taken meanwhile.
func (s *Server) StartBackend(i int) error { return s.backends[i].http.start() }

func (s *Server) nextBackend() (addr string, ok bool) {
	for range s.backends {
		b := s.backends[s.turn.Add(1)%uint64(len(s.backends))]
		if b.http.alive() {
			return b.http.addr(), true
		}
	}
	return "", false
}

// Count returns the number of visible rows of a table, 0 when it is unknown.
func (s *Server) Count(db, table string) int64 {
	if _, t, err := s.find(db, table); err == nil {
		return t.snapshot().rows
	}
	return 0
}

// Rows iterates over the rows of a table that were visible at the call, in the
// order of their loads; none when the table is unknown.
func (s *Server) Rows(db, table string) iter.Seq[Row] {
	_, t, err := s.find(db, table)
	if err != nil {
		return func(func(Row) bool) {}
	}
	return t.snapshot().all()
}
