package starrockstest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// backend is one BE's (or CN's) HTTP service.
type backend struct {
	server *Server
	id     int64
	http   *httpListener

	contexts txnContexts
	memory   atomic.Int64 // bytes of bodies and what was decompressed of them
	loads    atomic.Int64 // being read
}

func pathUnescape(p string) (string, error) { return url.PathUnescape(p) }

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i, p := range parts {
		if clean, err := pathUnescape(p); err == nil {
			parts[i] = clean
		}
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	write := r.Method == http.MethodPut || r.Method == http.MethodPost
	switch {
	case len(parts) == 4 && parts[0] == "api" && parts[3] == "_stream_load" && r.Method == http.MethodPut:
		b.streamLoad(w, r, parts[1], parts[2])
	case len(parts) == 3 && parts[0] == "api" && parts[1] == "transaction" && write:
		b.transaction(w, r, parts[2])
	case r.URL.Path == "/api/_load_error_log" && read:
		b.errorLog(w, r)
	case r.URL.Path == "/api/health" && read:
		answer(w, http.StatusOK, []byte(`{"status": "OK","msg": "To Be Added"}`))
	default:
		http.NotFound(w, r)
	}
}

// streamLoad runs one load. Everything the headers can tell is checked before
// the body is touched: reading it is what makes net/http send 100 Continue.
func (b *backend) streamLoad(w http.ResponseWriter, r *http.Request, db, table string) {
	s, result := b.server, &loadResult{TxnID: -1, Label: r.Header.Get("label"), began: time.Now()}
	if s.faults.take(BackendError500, table, result.Label) != nil {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	if result.Label == "" {
		result.Label = newUUID()
	}
	plan := &loadPlan{db: db, table: table, label: result.Label}
	defer b.release(plan)
	x, err := b.accept(r, plan, result)
	if err != nil {
		result.fail(err, !s.cfg.GenericLabelFailure)
		b.refuse(w, r, result)
		return
	}
	if s.faults.take(CrashBackend, table, plan.label) != nil {
		hangUp(w)
	}
	if f := s.faults.take(SlowContinue, table, plan.label); f != nil {
		pause(r, f.Delay)
	}
	b.loads.Add(1)
	defer b.loads.Add(-1)
	body, err := b.readBody(w, r, plan.timeout)
	result.readTime = time.Since(result.began) - result.beginTime - result.planTime
	result.LoadBytes = int64(body.Len())
	defer s.bodies.put(body)
	plan.body = body.Bytes()
	if err == nil {
		err = b.run(w, x, plan, result)
	}
	if err != nil {
		if aborted := s.abort(x, err.Error()); aborted != nil && !errors.Is(err, errStatusUnknown) {
			err = aborted // it had ended before: timeout, cancel, leader change
		}
		result.fail(err, true)
	}
	b.reply(w, r, result, x)
}

// accept checks the headers in the server's order and begins the transaction.
func (b *backend) accept(r *http.Request, plan *loadPlan, result *loadResult) (*txn, error) {
	s := b.server
	u, basic, denied := s.checkPassword(r)
	if !basic {
		return nil, errors.New("no valid Basic authorization")
	}
	if strings.EqualFold(r.Header.Get("enable_merge_commit"), "true") {
		return nil, errors.New("this stand-in has no merge commit")
	}
	if r.ContentLength < 0 && len(r.TransferEncoding) == 0 {
		return nil, errors.New("content-length and transfer-encoding are both missing")
	}
	if err := s.checkSize(r.ContentLength); err != nil {
		return nil, err
	}
	if limit := int64(s.limit(maxTxnsPerBackend)); limit >= 0 && b.loads.Load() >= limit {
		return nil, fmt.Errorf("streamload txn num per be exceeds limit, be: %d, current: %d, limit: %d", b.id, b.loads.Load(), limit)
	}
	if err := checkFormat(r.Header); err != nil {
		return nil, err
	}
	if err := s.checkJSONSize(r.ContentLength, r.Header); err != nil {
		return nil, err
	}
	timeout, err := s.parseTimeout(r.Header)
	if err != nil {
		return nil, err
	}
	plan.timeout = timeout
	if denied == nil {
		denied = u.mayInsert()
	}
	if denied != nil {
		return nil, denied
	}
	db, t, err := s.find(plan.db, plan.table)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	x, err := s.begin(db, t, plan.label, timeout)
	result.beginTime = time.Since(started)
	if err != nil {
		return nil, err
	}
	result.TxnID = x.ID
	if err := plan.options(r.Header); err != nil {
		_ = s.abort(x, err.Error()) // it has just begun; the answer tells why
		return nil, err
	}
	result.planTime = time.Since(started) - result.beginTime
	return x, nil
}

// refuse answers at header time. Without Expect the body is already on its
// way; the connection is closed behind the answer either way.
func (b *backend) refuse(w http.ResponseWriter, r *http.Request, result *loadResult) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	answer(w, http.StatusOK, result.json())
}

// readBody reads the whole body, as the backend buffers JSON. The buffer goes
// back to the pool when the load is over.
func (b *backend) readBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) (*bytes.Buffer, error) {
	buf := b.server.bodies.get(r.ContentLength)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout)) // without it the load waits for the client
	limit := int64(b.server.limit(maxBodyMB)) << 20
	_, err := buf.ReadFrom(io.LimitReader(r.Body, limit+1))
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return buf, fmt.Errorf("receive body don't equal with body bytes, body_bytes=%d, receive_bytes=%d", r.ContentLength, buf.Len())
	case err != nil:
		return buf, fmt.Errorf("cancelled: read body: %w", err)
	case int64(buf.Len()) > limit:
		return buf, fmt.Errorf("body size exceed limit: %d, Increase BE config streaming_load_max_mb", limit)
	}
	return buf, nil
}

// run parses, checks and commits. After errStatusUnknown the transaction is
// settled already.
func (b *backend) run(w http.ResponseWriter, x *txn, plan *loadPlan, result *loadResult) error {
	s := b.server
	started := time.Now()
	if s.faults.take(DropBeforeCommit, x.Table, x.Label) != nil {
		_ = s.abort(x, "injected: connection dropped before commit")
		hangUp(w)
	}
	plan.skipLast = s.faults.take(RowCountMismatch, x.Table, x.Label) != nil
	if err := b.charge(plan, x, int64(len(plan.body))); err != nil {
		return err
	}
	segments, err := b.ingest(x, plan, result)
	if err != nil {
		return err
	}
	result.writeTime = time.Since(started)
	started = time.Now()
	defer func() { result.commitTime = time.Since(started) }()
	return b.finish(w, x, segments, result)
}

// ingest turns the body into segments of the transaction.
func (b *backend) ingest(x *txn, plan *loadPlan, result *loadResult) ([]*segment, error) {
	s := b.server
	if s.cfg.Discard {
		return nil, discard(plan, result, plan.body)
	}
	text, err := decompress(plan.codec, plan.body)
	if err == nil && plan.codec != "" {
		err = b.charge(plan, x, int64(len(text)))
	}
	if err != nil {
		return nil, err
	}
	batch := newRowBatch(x.table, x.table.snapshot().columns, x.ID, x.Label)
	log, err := plan.scan(text, batch, result)
	if err != nil {
		return nil, err
	}
	batch.cut()
	if s.faults.take(FilteredRows, x.Table, x.Label) != nil {
		log = result.refuseOne()
	}
	if len(log) > 0 {
		result.ErrorURL = b.keepErrorLog(log)
	}
	if err := s.verdict(plan, result); err != nil {
		return nil, err
	}
	return batch.out, s.addVersion(x)
}

var errStatusUnknown = errors.New("Commit transaction fail cause injected RPC failure, Transaction status unknown, you can retry with same label.")

// finish commits and publishes, with the faults that sit there.
func (b *backend) finish(w http.ResponseWriter, x *txn, segments []*segment, result *loadResult) error {
	s := b.server
	if f := s.faults.take(HoldTransaction, x.Table, x.Label); f != nil {
		s.hold(x, f, segments, result.Loaded)
		hangUp(w)
	}
	if s.faults.take(UnknownAborted, x.Table, x.Label) != nil {
		_ = s.abort(x, "injected: commit lost")
		return errStatusUnknown
	}
	delayed := s.faults.take(PublishTimeout, x.Table, x.Label)
	if err := s.commit(x, segments, result.Loaded, delayed == nil); err != nil {
		return err
	}
	result.Status, result.Message = "Success", "OK"
	if delayed != nil {
		result.Status, result.Message = "Publish Timeout", "publish timeout"
		s.after(delayed.Delay, func() { s.publish(x) })
	}
	if s.faults.take(UnknownCommitted, x.Table, x.Label) != nil {
		return errStatusUnknown
	}
	return nil
}

// reply sends the result of a load that was let in; faults of the answer
// strike when the rows are in.
func (b *backend) reply(w http.ResponseWriter, r *http.Request, result *loadResult, x *txn) {
	body := result.json()
	if result.Status != "Fail" && b.server.spoil(w, r, x.Table, body) {
		return
	}
	if result.Status == "Success" {
		b.server.count(result)
	}
	answer(w, http.StatusOK, body)
}

// hangUp closes the connection without (the rest of) an answer and ends the
// handler. The connection is taken from net/http first, which would otherwise
// wait for a body whose client waits for 100 Continue.
func hangUp(w http.ResponseWriter) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		c.Close()
	}
	panic(http.ErrAbortHandler)
}

const maxErrorLogs = 1000

// keepErrorLog stores the text behind an ErrorURL; the oldest go first.
func (b *backend) keepErrorLog(log []byte) string {
	name := "error_log_" + randomHex(8) + "_" + randomHex(8)
	s := b.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errorNames) >= maxErrorLogs {
		delete(s.errorLogs, s.errorNames[0])
		s.errorNames = s.errorNames[1:]
	}
	s.errorNames = append(s.errorNames, name)
	s.errorLogs[name] = log
	return "http://" + b.http.addr() + "/api/_load_error_log?file=" + name
}

// charge counts memory that a load takes; too much of it ends the load. The
// words are those of StarRocks' issues 3567 and 37179.
func (b *backend) charge(p *loadPlan, x *txn, n int64) error {
	s := b.server
	p.memory += n
	used, limit := b.memory.Add(n), int64(s.limit(maxLoadMemory))
	switch {
	case s.faults.take(MemoryLimit, x.Table, x.Label) != nil || used > limit:
		return fmt.Errorf("Memory of process exceed limit. Start execute plan fragment Used: %d, Limit: %d. Mem usage has exceed the limit of BE", max(used, limit+1), limit)
	case p.memory > p.memoryLimit:
		id := newUUID()
		return fmt.Errorf("Memory of Fragment %s exceed limit. QUERY Backend: %s, fragment: %s Used: %d, Limit: %d. Mem usage has exceed the limit of single query, You can change the limit by set session variable exec_mem_limit.",
			id, b.http.addr(), id, p.memory, p.memoryLimit)
	}
	return nil
}

func (b *backend) release(p *loadPlan) {
	b.memory.Add(-p.memory)
	p.memory = 0
}

func (b *backend) errorLog(w http.ResponseWriter, r *http.Request) {
	b.server.mu.Lock()
	log, ok := b.server.errorLogs[r.URL.Query().Get("file")]
	b.server.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(log)
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

func newUUID() string {
	h := randomHex(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
