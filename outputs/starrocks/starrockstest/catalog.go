package starrockstest

import (
	"context"
	"fmt"
	"slices"
)

// database gives a database, nil when unknown.
func (s *Server) database(name string) *database {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.databases[name]
}

// find gives a table in the words of a load's errors.
func (s *Server) find(db, name string) (*database, *table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.databases[db]
	if d == nil {
		return nil, nil, fmt.Errorf("unknown database, database=%s", db)
	}
	t := d.tables[name]
	if t == nil {
		return nil, nil, fmt.Errorf("unknown table \"%s.%s\"", db, name)
	}
	return d, t, nil
}

// Exec runs definition statements separated by semicolons: CREATE and DROP
// DATABASE, USE, CREATE, DROP and TRUNCATE TABLE, ALTER TABLE ADD and DROP
// COLUMN, CREATE, DROP and REFRESH MATERIALIZED VIEW. db is the database of unqualified names until USE changes it. The
// error is the server's message for the first statement that fails; those
// before it stay done.
func (s *Server) Exec(db, script string) error {
	p, err := newParser(script)
	if err != nil {
		return err
	}
	p.columnsOf = func(of, name string) []column {
		if of == "" {
			of = db
		}
		if _, t, err := s.find(of, name); err == nil {
			return t.snapshot().columns
		}
		return nil
	}
	for {
		for p.accept(";") {
		}
		from := p.peek().from
		if p.peek().kind == tokenEnd {
			return nil
		}
		st, err := parseStatement(p)
		if err != nil {
			return err
		}
		if t := p.peek(); t.kind != tokenEnd && !t.is(";") {
			return p.unexpected(t)
		}
		if st.db == "" {
			st.db = db
		}
		if st.verb == verbUse {
			if s.database(st.db) == nil {
				return fmt.Errorf("Unknown database '%s'", st.db)
			}
			db = st.db
			continue
		}
		if err := s.run(st, p.sql[from:p.peek().from]); err != nil {
			return err
		}
	}
}

// run does one statement; text is how it was written.
func (s *Server) run(st statement, text string) error {
	switch st.verb {
	case verbCreateView:
		return s.createView(st, text)
	case verbRefresh:
		return s.refreshNow(st.db, st.table)
	}
	return s.execute(st, text)
}

// execute applies one statement and then writes it to the edit log; replay
// runs the same text again.
func (s *Server) execute(st statement, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, err := s.applyLocked(st)
	if err != nil || !changed {
		return err
	}
	return s.journal.append(encodeDefinition(st.db, text))
}

func (s *Server) applyLocked(st statement) (changed bool, err error) {
	d := s.databases[st.db]
	switch {
	case st.db == "":
		return false, fmt.Errorf("No database selected")
	case st.verb == verbCreateDatabase:
		return s.createDatabaseLocked(st)
	case d == nil && st.verb == verbDropDatabase && st.soft:
		return false, nil
	case d == nil:
		return false, fmt.Errorf("Unknown database '%s'", st.db)
	case st.verb == verbDropDatabase:
		for _, list := range d.labels {
			for _, x := range list {
				x.stopTimer()
			}
		}
		delete(s.databases, st.db)
		return true, nil
	}
	return s.applyTableLocked(d, st)
}

func (s *Server) createDatabaseLocked(st statement) (bool, error) {
	if s.databases[st.db] != nil {
		if st.soft {
			return false, nil
		}
		return false, fmt.Errorf("Can't create database '%s'; database exists", st.db)
	}
	s.nextID++
	s.databases[st.db] = newDatabase(s.nextID, st.db)
	return true, nil
}

func (s *Server) applyTableLocked(d *database, st statement) (bool, error) {
	t := d.tables[st.table]
	creates, drops := st.verb == verbCreateTable || st.verb == verbCreateView, st.verb == verbDropTable || st.verb == verbDropView
	switch {
	case creates && t != nil && st.soft, drops && t == nil && st.soft:
		return false, nil
	case creates && t != nil:
		return false, fmt.Errorf("Table '%s' already exists", st.table)
	case !creates && t == nil:
		return false, fmt.Errorf("Unknown table '%s.%s'", st.db, st.table)
	case !creates && (st.verb == verbDropView) != (t.def.view != nil):
		return false, fmt.Errorf("'%s.%s' is %s", st.db, st.table, yesNo(t.def.view != nil, "a materialized view, not a table", "a table, not a materialized view"))
	}
	switch st.verb {
	case verbCreateTable, verbCreateView:
		s.nextID += 10
		d.tables[st.table] = newTable(s.nextID, d.name, st.table, st.create)
	case verbDropTable, verbDropView:
		delete(d.tables, st.table)
	case verbTruncate:
		t.truncate()
	case verbAlter:
		return true, t.alter(st.alter)
	}
	return true, nil
}

// Label returns what the server knows of a label's newest transaction; its
// State is UNKNOWN when there is none.
func (s *Server) Label(db, label string) Transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.databases[db]; d != nil {
		if x := d.newest(label); x != nil {
			return x.Transaction
		}
	}
	return Transaction{Label: label, DB: db, State: StateUnknown}
}

// Transactions lists the transactions of a database that are not evicted, in
// the order they began.
func (s *Server) Transactions(db string) []Transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Transaction
	if d := s.databases[db]; d != nil {
		for _, xs := range d.labels {
			for _, x := range xs {
				list = append(list, x.Transaction)
			}
		}
	}
	slices.SortFunc(list, func(a, b Transaction) int { return int(a.ID - b.ID) })
	return list
}

// WaitLabel waits until a label is in one of the states, or ctx is done.
func (s *Server) WaitLabel(ctx context.Context, db, label string, states ...State) error {
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		now := StateUnknown
		if d := s.databases[db]; d != nil {
			if x := d.newest(label); x != nil {
				now = x.State
			}
		}
		if slices.Contains(states, now) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for label %s, now %s: %w", label, now, context.Cause(ctx))
		}
		s.changed.Wait()
	}
}

// hold leaves a transaction in PREPARE until its fault's delay is over or
// Finish is called.
func (s *Server) hold(x *txn, f *Fault, segments []*segment, rows int64) {
	then := f.Then
	if then == "" {
		then = StateVisible
	}
	end := func(state State) error {
		if state == StateAborted {
			return s.abort(x, "injected: aborted while held")
		}
		return s.commit(x, segments, rows, true)
	}
	s.mu.Lock()
	x.held = end
	s.changed.Broadcast()
	s.mu.Unlock()
	if f.Delay > 0 {
		s.after(f.Delay, func() { _ = end(then) }) // it may have timed out before
	}
}

// Finish ends a transaction that HoldTransaction holds, as VISIBLE or ABORTED.
// It is an error when the label has no such transaction.
func (s *Server) Finish(db, label string, state State) error {
	s.mu.Lock()
	var held func(State) error
	if d := s.databases[db]; d != nil {
		if x := d.newest(label); x != nil {
			held = x.held
		}
	}
	s.mu.Unlock()
	if held == nil {
		return fmt.Errorf("finish label %s: it is not held", label)
	}
	return held(state)
}

func (x *txn) stopTimer() {
	if x.timer != nil {
		x.timer.Stop()
	}
}
