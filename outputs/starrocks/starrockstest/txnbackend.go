package starrockstest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// txnError is a failure with the Thrift code name that is its Status.
type txnError struct {
	status string
	err    error
}

func (e *txnError) Error() string { return e.err.Error() }
func (e *txnError) Unwrap() error { return e.err }

func txnFailure(status, format string, args ...any) error {
	return &txnError{status, fmt.Errorf(format, args...)}
}

// transaction answers /api/transaction/{op} of a backend.
func (b *backend) transaction(w http.ResponseWriter, r *http.Request, op string) {
	label := r.Header.Get("label")
	if b.server.faults.take(BackendError500, r.Header.Get("table"), label) != nil {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	var out object
	var err error
	switch op {
	case "begin":
		err = b.txnBegin(r, label, &out)
	case "load":
		err = b.txnLoad(w, r, label, &out)
	case "prepare", "commit":
		err = b.txnPrepare(r, label, op == "commit", &out)
	case "rollback":
		err = b.txnRollback(r, label, &out)
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		out = txnAnswer(err, label)
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close")
		}
	} else if op == "commit" && b.server.spoil(w, r, r.Header.Get("table"), out.pretty()) {
		return
	}
	answer(w, http.StatusOK, out.pretty())
}

func txnAnswer(err error, label string) (o object) {
	status, text, existing := "INTERNAL_ERROR", err.Error(), ""
	var coded *txnError
	if errors.As(err, &coded) {
		status = coded.status
	}
	var used *labelUsedError
	if errors.As(err, &used) {
		existing = used.jobStatus()
		if used.txn.ID == 0 { // this backend still has the context
			existing, text = "", ""
		}
	}
	o.text("Status", status)
	o.text("Message", text)
	if status == "TXN_IN_PROCESSING" {
		o.text("Label", label)
	}
	if status == "LABEL_ALREADY_EXISTS" {
		o.text("ExistingJobStatus", existing)
	}
	var withURL *errorURL
	if errors.As(err, &withURL) {
		o.text("ErrorURL", withURL.url)
	}
	return o
}

// errorURL carries the address of an error log with the error.
type errorURL struct {
	error
	url string
}

func (b *backend) txnUser(r *http.Request) error {
	u, _, err := b.server.checkPassword(r)
	if err == nil {
		err = u.mayInsert()
	}
	if err != nil {
		return txnFailure("NOT_AUTHORIZED", "%w", err)
	}
	return nil
}

func (b *backend) txnBegin(r *http.Request, label string, out *object) error {
	s, started := b.server, time.Now()
	if err := b.txnUser(r); err != nil {
		return err
	}
	if b.contexts.get(label) != nil {
		return &txnError{"LABEL_ALREADY_EXISTS", &labelUsedError{label: label}}
	}
	timeout, err := s.parseTimeout(r.Header)
	if err != nil {
		return txnFailure("INVALID_ARGUMENT", "%w", err)
	}
	dbName, table := r.Header.Get("db"), r.Header.Get("table")
	db, t, err := s.find(dbName, table)
	if err != nil {
		return txnFailure("ANALYSIS_ERROR", "%w", err)
	}
	x, err := s.begin(db, t, label, timeout)
	if err != nil {
		var used *labelUsedError
		if errors.As(err, &used) && !s.cfg.GenericLabelFailure {
			return &txnError{"LABEL_ALREADY_EXISTS", err}
		}
		return txnFailure("INTERNAL_ERROR", "%s", err)
	}
	c := &txnContext{txn: x, db: dbName, table: table, began: time.Now()}
	c.batch = newRowBatch(t, t.snapshot().columns, x.ID, label)
	b.contexts.put(label, c)
	out.text("Status", "OK")
	out.text("Message", "")
	out.text("Label", label)
	out.number("TxnId", x.ID)
	out.number("BeginTxnTimeMs", time.Since(started).Milliseconds())
	return nil
}

// txnEnter finds a label's context and holds it; another request in flight is
// TXN_IN_PROCESSING.
func (b *backend) txnEnter(r *http.Request, label string) (*txnContext, error) {
	if err := b.txnUser(r); err != nil {
		return nil, err
	}
	c := b.contexts.get(label)
	if c == nil {
		return nil, txnFailure("TXN_NOT_EXISTS", "Transaction with label %s not exists", label)
	}
	if !c.busy.TryLock() {
		return nil, txnFailure("TXN_IN_PROCESSING", "Transaction in processing, please retry later")
	}
	if db, table := r.Header.Get("db"), r.Header.Get("table"); db != c.db || table != "" && table != c.table {
		c.busy.Unlock()
		return nil, txnFailure("INVALID_ARGUMENT", "request db %s, table %s not match transaction db %s, table %s", db, table, c.db, c.table)
	}
	return c, nil
}

func (b *backend) txnLoad(w http.ResponseWriter, r *http.Request, label string, out *object) error {
	s := b.server
	c, err := b.txnEnter(r, label)
	if err != nil {
		return err
	}
	defer c.busy.Unlock()
	started := time.Now()
	if err := c.accept(s, r); err != nil {
		b.txnDrop(c, err.Error())
		return err
	}
	c.planned += time.Since(started)
	body, err := b.txnBody(w, r, c)
	defer s.bodies.put(body)
	defer b.release(c.plan)
	if err != nil {
		b.txnDrop(c, err.Error())
		return err
	}
	c.loaded = true
	c.result.LoadBytes += int64(body.Len())
	c.feed(s, body.Bytes())
	out.text("Status", "OK")
	out.text("Message", "")
	out.text("Label", label)
	out.number("TxnId", c.txn.ID)
	out.number("LoadBytes", int64(body.Len()))
	out.number("StreamLoadPlanTimeMs", c.planned.Milliseconds())
	out.number("ReceivedDataTimeMs", c.read.Milliseconds())
	return nil
}

// txnBody reads the body of a load, with the faults that sit there.
func (b *backend) txnBody(w http.ResponseWriter, r *http.Request, c *txnContext) (*bytes.Buffer, error) {
	s, started := b.server, time.Now()
	if s.faults.take(CrashBackend, c.table, c.txn.Label) != nil {
		b.contexts.remove(c.txn.Label)
		hangUp(w)
	}
	if f := s.faults.take(SlowContinue, c.table, c.txn.Label); f != nil {
		pause(r, f.Delay)
	}
	body, err := b.readBody(w, r, time.Duration(s.limit(maxTimeout))*time.Second)
	c.read += time.Since(started)
	if err == nil && s.faults.take(DropBeforeCommit, c.table, c.txn.Label) != nil {
		b.txnDrop(c, "injected: connection dropped before commit")
		hangUp(w)
	}
	if err == nil {
		err = b.charge(c.plan, c.txn, int64(body.Len()))
	}
	return body, err
}

// txnDrop ends a transaction whose request went wrong.
func (b *backend) txnDrop(c *txnContext, reason string) {
	b.contexts.remove(c.txn.Label)
	_ = b.server.abort(c.txn, reason) // it may have ended before, by its timeout
}

// txnPrepare finishes the loads: PREPARED, or for a one-step commit VISIBLE.
func (b *backend) txnPrepare(r *http.Request, label string, commit bool, out *object) error {
	s := b.server
	c, err := b.txnEnter(r, label)
	if err != nil {
		return err
	}
	defer c.busy.Unlock()
	b.contexts.remove(label)
	if s.faults.take(LoseContext, c.table, label) != nil {
		return txnFailure("TXN_NOT_EXISTS", "Transaction with label %s not exists", label)
	}
	started := time.Now()
	if err := b.txnSettle(c, r, commit); err != nil {
		_ = s.abort(c.txn, err.Error()) // it may have ended before
		return err
	}
	res := &c.result
	out.text("Status", "OK")
	out.text("Message", "")
	out.text("Label", label)
	out.number("TxnId", c.txn.ID)
	out.number("NumberTotalRows", res.Total)
	out.number("NumberLoadedRows", res.Loaded)
	out.number("NumberFilteredRows", res.Filtered)
	out.number("NumberUnselectedRows", 0)
	out.number("LoadBytes", res.LoadBytes)
	out.number("LoadTimeMs", time.Since(c.began).Milliseconds())
	out.number("StreamLoadPlanTimeMs", c.planned.Milliseconds())
	out.number("ReceivedDataTimeMs", c.read.Milliseconds())
	out.number("WriteDataTimeMs", 0)
	out.number("CommitAndPublishTimeMs", time.Since(started).Milliseconds())
	s.count(res)
	return nil
}

func (b *backend) txnSettle(c *txnContext, r *http.Request, commit bool) error {
	s := b.server
	if !c.loaded {
		return fmt.Errorf("Transaction with label %s hasn't send any data yet", c.txn.Label)
	}
	if c.err != nil {
		return c.err
	}
	c.batch.cut()
	if s.faults.take(FilteredRows, c.table, c.txn.Label) != nil {
		c.log = c.result.refuseOne()
	}
	if err := s.verdict(c.plan, &c.result); err != nil {
		if len(c.log) > 0 {
			return &errorURL{err, b.keepErrorLog(c.log)}
		}
		return err
	}
	if !s.cfg.Discard {
		if err := s.addVersion(c.txn); err != nil {
			return err
		}
	}
	if commit {
		return s.commit(c.txn, c.batch.out, c.result.Loaded, true)
	}
	timeout := time.Duration(s.limit(preparedTimeout)) * time.Second
	if text := r.Header.Get("prepared_timeout"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return txnFailure("INVALID_ARGUMENT", "Invalid prepared_timeout: %s", text)
		}
		timeout = time.Duration(n) * time.Second
	}
	return s.prepare(c.txn, c.batch.out, c.result.Loaded, timeout)
}

func (b *backend) txnRollback(r *http.Request, label string, out *object) error {
	c, err := b.txnEnter(r, label)
	if err != nil {
		return err
	}
	defer c.busy.Unlock()
	b.txnDrop(c, "User Abort")
	out.text("Status", "OK")
	out.text("Message", "")
	out.text("Label", label)
	return nil
}
