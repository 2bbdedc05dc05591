package starrockstest

import (
	"fmt"
	"net/http"
	"strconv"
)

// transaction answers /api/transaction/{op} of a frontend: begin, load and
// prepare go to the label's backend, commit and rollback too unless the
// transaction is PREPARED or over.
func (f *frontend) transaction(w http.ResponseWriter, r *http.Request, op string) {
	s := f.server
	db, table, label := r.Header.Get("db"), r.Header.Get("table"), r.Header.Get("label")
	if !f.leads() {
		redirect(w, r, s.leaderAddr())
		return
	}
	if !f.authorized(w, r, table, label) {
		return
	}
	switch {
	case op != "begin" && op != "load" && op != "prepare" && op != "commit" && op != "rollback":
		answer(w, http.StatusOK, restResult("Not implemented", "", ""))
		return
	case db == "":
		answer(w, http.StatusOK, userFailure("No database selected."))
		return
	case label == "":
		answer(w, http.StatusOK, userFailure("Empty label."))
		return
	}
	if s.faults.take(FrontendFailed, table, label) != nil {
		answer(w, http.StatusOK, userFailure("injected: the frontend refuses"))
		return
	}
	if op == "commit" || op == "rollback" {
		if body := s.decide(db, label, op == "commit"); body != nil {
			if op != "commit" || !s.spoil(w, r, table, body) {
				answer(w, http.StatusOK, body)
			}
			return
		}
	}
	host, ok := s.backendOf(label, op == "begin")
	if !ok {
		answer(w, http.StatusOK, userFailure("No backend alive."))
		return
	}
	redirect(w, r, f.mislead(r, host, table))
}

// spoil is what can happen to the answer of a load or commit that is over. It
// tells whether there has been an answer.
func (s *Server) spoil(w http.ResponseWriter, r *http.Request, table string, body []byte) (answered bool) {
	label := r.Header.Get("label")
	if s.faults.take(DropAfterCommit, table, label) != nil {
		hangUp(w)
	}
	if e := s.faults.take(SlowAnswer, table, label); e != nil {
		pause(r, e.Delay)
	}
	if s.faults.take(CutAnswer, table, label) != nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2]) // it is cut anyway
		_ = http.NewResponseController(w).Flush()
		hangUp(w)
	}
	if s.faults.take(GarbledAnswer, table, label) != nil {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html><body><h1>502 Bad Gateway</h1></body></html>")) // the client may be gone
		return true
	}
	return false
}

func userFailure(message string) []byte {
	var o object
	o.text("Status", "FAILED")
	o.text("Message", "class com.starrocks.common.UserException: "+message)
	return o.line()
}

// backendOf finds the backend that began a label, or picks one for begin.
func (s *Server) backendOf(label string, begin bool) (addr string, ok bool) {
	if begin {
		return s.nextBackend()
	}
	for _, b := range s.backends {
		if b.contexts.get(label) != nil {
			return b.http.addr(), true
		}
	}
	return s.nextBackend()
}

// decide commits or rolls back on the frontend; nil means that the backend
// has to (the transaction is in PREPARE).
func (s *Server) decide(dbName, label string, commit bool) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	db := s.databases[dbName]
	if db == nil {
		return userFailure("unknown database, database=" + dbName)
	}
	x := db.newest(label)
	if x == nil {
		return db.forgotten(label, commit)
	}
	if x.State == StatePrepare {
		return nil
	}
	message, err := "", error(nil)
	switch done := x.State == StateCommitted || x.State == StateVisible; {
	case done && commit:
		message = fmt.Sprintf("Transaction %d has already committed, label is %s", x.ID, label)
	case done:
		err = fmt.Errorf("Can not abort %s transaction %d, label is %s", x.State, x.ID, label)
	case x.State == StateAborted && commit:
		err = fmt.Errorf("Can not commit %s transaction %d, label is %s", x.State, x.ID, label)
	case x.State == StateAborted:
		message = fmt.Sprintf("Transaction %d has already aborted, label is %s", x.ID, label)
	case commit:
		return s.commitOnFrontendLocked(x)
	default:
		err = s.abortLocked(x, "User Abort")
	}
	if err != nil {
		return userFailure(err.Error())
	}
	return x.decided("OK", message)
}

// decided is the frontend's answer for a transaction.
func (x *txn) decided(status, message string) []byte {
	var o object
	o.number("TxnId", x.ID)
	o.text("Label", x.Label)
	o.text("Status", status)
	o.text("Message", message)
	return o.line()
}

// commitOnFrontendLocked commits a PREPARED transaction, with the faults that
// sit there.
func (s *Server) commitOnFrontendLocked(x *txn) []byte {
	if s.faults.take(UnknownAborted, x.Table, x.Label) != nil {
		_ = s.abortLocked(x, "injected: commit lost") // the answer is the same
		return userFailure("injected: the commit's outcome is unknown")
	}
	delayed := s.faults.take(PublishTimeout, x.Table, x.Label)
	if err := s.commitPreparedLocked(x, delayed == nil); err != nil {
		return userFailure(err.Error())
	}
	if s.faults.take(UnknownCommitted, x.Table, x.Label) != nil {
		return userFailure("injected: the commit's outcome is unknown")
	}
	if delayed != nil {
		s.afterLocked(delayed.Delay, func() { s.publish(x) })
		return x.decided("Publish Timeout", "publish timeout")
	}
	return x.decided("OK", "")
}

// forgotten answers for a label without a transaction, from the terminal cache
// where there is one.
func (db *database) forgotten(label string, commit bool) []byte {
	o, known := db.terminal[label]
	switch {
	case !known:
		return userFailure("No transaction found by label " + label)
	case (o.state == StateVisible) != commit:
		return userFailure(fmt.Sprintf("Can not %s %s transaction, label is %s", map[bool]string{true: "commit", false: "abort"}[commit], o.state, label))
	}
	var out object
	out.text("Label", label)
	out.text("Status", "OK")
	out.text("Message", "")
	return out.line()
}
