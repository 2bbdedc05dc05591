package starrockstest

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// txnContext is the backend's side of a transaction between begin and prepare
// or commit. busy is held by one request at a time.
type txnContext struct {
	busy    sync.Mutex
	txn     *txn
	table   string
	db      string
	first   http.Header // of the first load: the others must be alike
	plan    *loadPlan
	batch   *rowBatch
	log     []byte
	err     error // of a load, told at prepare
	loaded  bool
	json    int64 // Content-Lengths so far
	began   time.Time
	read    time.Duration
	planned time.Duration
	result  loadResult
}

// txnContexts are a backend's contexts by label; they die with the backend.
type txnContexts struct {
	mu   sync.Mutex
	list map[string]*txnContext
}

func (c *txnContexts) get(label string) *txnContext {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list[label]
}

func (c *txnContexts) put(label string, x *txnContext) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list == nil {
		c.list = map[string]*txnContext{}
	}
	c.list[label] = x
}

func (c *txnContexts) remove(label string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.list, label)
}

func (c *txnContexts) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
}

// dataHeaders must be the same for all loads of a transaction.
var dataHeaders = []string{"format", "strip_outer_array", "strict_mode", "max_filter_ratio", "compression", "Content-Encoding", "timezone"}

// accept checks the headers of one load; its error rolls the transaction back.
func (c *txnContext) accept(s *Server, r *http.Request) error {
	c.json += max(r.ContentLength, 0)
	for _, check := range []error{checkFormat(r.Header), s.checkSize(r.ContentLength), s.checkJSONSize(c.json, r.Header)} {
		if check != nil {
			return check
		}
	}
	if c.first != nil {
		for _, name := range dataHeaders {
			if c.first.Get(name) != r.Header.Get(name) {
				return errors.New("load request not equal last.")
			}
		}
		return nil
	}
	c.first, c.plan = r.Header.Clone(), &loadPlan{label: c.txn.Label}
	return c.plan.options(r.Header)
}

// feed reads the rows of one body; trouble is told at prepare, when the
// scanner behind the pipe would have met it.
func (c *txnContext) feed(s *Server, body []byte) {
	if c.err != nil {
		return
	}
	if s.cfg.Discard {
		var one loadResult
		c.err = discard(c.plan, &one, body)
		c.result.Total += one.Total
		c.result.Loaded += one.Loaded
		return
	}
	text, err := decompress(c.plan.codec, body)
	if err == nil {
		var log []byte
		log, err = c.plan.scan(text, c.batch, &c.result)
		c.log = append(c.log, log...)
	}
	c.err = err
}
