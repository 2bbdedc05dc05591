package starrockstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// view is what makes a table a materialized view. All of its rows are computed
// anew by each refresh; there are no partitions that could be refreshed alone.
type view struct {
	query    string
	every    time.Duration // 0: by REFRESH alone
	deferred bool          // empty until the first refresh
	due      time.Time     // guarded by Server.mu
}

// viewUser reads the tables of views; no account can have its name.
const viewUser = "\x00view"

// parseCreateView reads what follows CREATE MATERIALIZED VIEW. The columns are
// the query's: see viewColumns.
func parseCreateView(p *parser) (statement, error) {
	s := statement{verb: verbCreateView, soft: p.accept("if", "not", "exists"), create: &definition{view: &view{}}}
	s, err := s.tableName(p)
	if err != nil {
		return s, err
	}
	d, refreshes := s.create, false
	for !p.accept("as") {
		if p.accept("refresh") {
			refreshes, err = true, d.view.schedule(p)
		} else {
			err = d.clause(p)
		}
		if err != nil {
			return s, err
		}
	}
	if !refreshes {
		return s, errors.New("this stand-in has no synchronous materialized views: say REFRESH ASYNC EVERY(..) or MANUAL")
	}
	from := p.peek().from
	for t := p.peek(); t.kind != tokenEnd && (t.kind != tokenSymbol || !t.is(";")); t = p.peek() {
		p.next()
	}
	d.view.query = strings.TrimSpace(p.sql[from:p.peek().from])
	return s, nil
}

// schedule reads [IMMEDIATE | DEFERRED] MANUAL, or ASYNC [START(..)] EVERY(INTERVAL n unit).
func (v *view) schedule(p *parser) error {
	_ = p.accept("immediate")
	v.deferred = p.accept("deferred")
	if p.accept("manual") {
		return nil
	}
	if err := p.expect("async"); err != nil {
		return err
	}
	if p.accept("start") {
		if _, err := p.balanced(); err != nil {
			return err
		}
	}
	if !p.peek().is("every") {
		return errors.New("this stand-in does not refresh a view with each load: say EVERY(INTERVAL ..)")
	}
	if err := p.expect("every", "(", "interval"); err != nil {
		return err
	}
	n, err := p.number()
	if err != nil {
		return err
	}
	unit := p.next()
	step := unitMicros[strings.ToLower(unit.text)]
	if step == 0 || n <= 0 {
		return p.unexpected(unit)
	}
	v.every = time.Duration(int64(n)*step) * time.Microsecond
	return p.expect(")")
}

// viewContext is a context of the engine for one query, in a database.
func viewContext(ctx context.Context, db string) *sql.Context {
	session := sql.NewBaseSessionWithClientServer("", sql.Client{User: viewUser}, 0)
	session.SetCurrentDatabase(db)
	return sql.NewContext(ctx, sql.WithSession(session))
}

// viewColumns gives the columns of a view's query.
func (s *Server) viewColumns(db, query string) ([]column, error) {
	ctx := viewContext(context.Background(), db)
	node, err := s.engine.AnalyzeQuery(ctx, rewrite(query))
	if err != nil {
		return nil, err
	}
	var list []column
	for _, c := range node.Schema() {
		k, ok := kindOfSQL(c.Type)
		if !ok {
			return nil, fmt.Errorf("column %s of the view is %s, which this stand-in cannot keep", c.Name, c.Type)
		}
		typ := columnType{kind: k}
		if k == kindString {
			typ.length = maxVarchar
		}
		list = append(list, column{id: len(list), name: c.Name, typ: typ})
	}
	return list, nil
}

// kindOfSQL is the kind that holds what an expression of the engine's gives.
func kindOfSQL(t sql.Type) (kind, bool) {
	switch {
	case t == types.Boolean || types.IsInteger(t):
		return kindBigInt, true
	case types.IsDecimal(t):
		return kindDouble, true
	}
	return castKind(t)
}

// refresh computes the rows of a view and puts them in the place of those
// it has; readers see the former ones until then.
func (s *Server) refresh(ctx context.Context, t *table) error {
	sqlCtx := viewContext(ctx, t.db)
	_, rows, _, err := s.engine.Query(sqlCtx, rewrite(t.def.view.query))
	if err != nil {
		return err
	}
	columns := t.snapshot().columns
	builders := make([]*colBuilder, len(columns))
	for i, c := range columns {
		builders[i] = newColBuilder(c.typ.kind, &t.shared)
	}
	seg := &segment{cols: map[int]*colData{}}
	for ; ; seg.rows++ {
		row, err := rows.Next(sqlCtx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return errors.Join(err, rows.Close(sqlCtx))
		}
		for i, c := range columns {
			builders[i].appendValue(fromSQL(sqlCtx, row[i]).cast(c.typ.kind))
		}
	}
	for i, c := range columns {
		seg.cols[c.id] = builders[i].done()
	}
	t.replace(seg)
	return rows.Close(sqlCtx)
}

// replace puts one segment in the place of all.
func (t *table) replace(seg *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.segments, t.rows = []*segment{seg}, int64(seg.rows)
}

// refreshNow refreshes one view: REFRESH MATERIALIZED VIEW, always WITH SYNC MODE.
func (s *Server) refreshNow(db, name string) error {
	_, t, err := s.find(db, name)
	if err != nil || t.def.view == nil {
		return fmt.Errorf("Materialized view '%s' not found", name)
	}
	return s.refresh(context.Background(), t)
}

// dueViews lists the views whose time has come, notes their next time, and
// says how long to wait for the first of them.
func (s *Server) dueViews(now time.Time) (due []*table, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = time.Hour
	for _, d := range s.databases {
		for _, t := range d.tables {
			v := t.def.view
			if v == nil || v.every == 0 {
				continue
			}
			if !now.Before(v.due) {
				due, v.due = append(due, t), now.Add(v.every)
			}
			wait = min(wait, v.due.Sub(now))
		}
	}
	return due, wait
}

// refreshLoop refreshes views when their time comes. A view whose query fails
// keeps its rows, as in the server.
func (s *Server) refreshLoop() {
	defer s.done.Done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		due, wait := s.dueViews(time.Now())
		for _, t := range due {
			_ = s.refresh(ctx, t) // see above
		}
		t := time.NewTimer(wait)
		select {
		case <-s.stop:
			t.Stop()
			return
		case <-s.viewed:
			t.Stop()
		case <-t.C:
		}
	}
}

// createView plans the query of a new view before, and fills it after, it is
// in the catalog.
func (s *Server) createView(st statement, text string) (err error) {
	if err := s.completeView(st); err != nil {
		return err
	}
	if err := s.execute(st, text); err != nil {
		return err
	}
	if _, t, err := s.find(st.db, st.table); err == nil && t.def == st.create && !st.create.view.deferred {
		if err := s.refresh(context.Background(), t); err != nil {
			return err
		}
	}
	select {
	case s.viewed <- struct{}{}:
	default:
	}
	return nil
}

// completeView adds what a statement leaves to its query.
func (s *Server) completeView(st statement) (err error) {
	v := st.create.view
	if st.create.columns, err = s.viewColumns(st.db, v.query); err != nil {
		return err
	}
	if !v.deferred || v.every > 0 {
		v.due = time.Now().Add(v.every)
	}
	return st.create.check()
}

// refreshAll fills the views that an edit log brought back.
func (s *Server) refreshAll() error {
	for _, d := range s.allDatabases() {
		for _, t := range s.allTables(d) {
			if v := t.def.view; v != nil && !v.deferred {
				if err := s.refresh(context.Background(), t); err != nil {
					return fmt.Errorf("refresh view %s.%s: %w", d.name, t.name, err)
				}
			}
		}
	}
	return nil
}
