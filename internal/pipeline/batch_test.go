package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// hand is a source that is moved by hand: a test emits through a pipeline what
// it likes, when it likes.
type hand struct {
	*testing.T
	pool    *pipeline.Pool
	ledger  *pipeline.Ledger
	account *pipeline.Account
	out     pipelinetest.Recorder
	emit    func(*pipeline.Batch)
}

// Run implements pipeline.Source for the moment in which emit is got.
func (h *hand) Run(_ context.Context, emit func(*pipeline.Batch)) error {
	h.emit = emit
	return nil
}

func (h *hand) Close() error { return nil }

func newHand(t *testing.T, batches int, filters ...pipeline.Filter) *hand {
	h := &hand{T: t, pool: pipeline.NewPool(batches, 1<<20), ledger: pipeline.NewLedger("test", "name")}
	h.account = h.ledger.Open("n", "n")
	h.out.Encode = func(r *pipeline.Record) string { return string(r.Message) }
	h.out.SetMode(pipelinetest.Hold)
	p := pipeline.Pipeline{Source: h, Filters: filters, Output: &h.out, Drain: time.Second}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// batch is one with a span for each text, and a record for each of its words.
func (h *hand) batch(texts ...string) *pipeline.Batch {
	h.Helper()
	if h.pool.Out() == h.pool.Size() {
		h.Fatal("the pool is out")
	}
	b, err := h.pool.Get(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	for _, text := range texts {
		b.Begin(h.account).Position = text
		for word := range strings.FieldsSeq(text) {
			r := b.Add()
			r.Origin = &pipeline.Origin{Account: h.account}
			r.Message = b.Mem.Copy([]byte(word))
		}
	}
	return b
}

// send emits a batch.
func (h *hand) send(texts ...string) *pipeline.Batch {
	h.Helper()
	b := h.batch(texts...)
	b.Emitted()
	h.emit(b)
	return b
}

// deliver ends a batch as an output does that has no records to go by.
func deliver(b *pipeline.Batch) {
	for i := range b.Spans {
		b.Delivered(i, b.Spans[i].Records())
	}
	b.Done(nil)
}

// A released batch lets its memory be used for the next one, while its lines
// stay pending and its spans what they were.
func TestReleasedBatchKeepsItsSpans(t *testing.T) {
	for _, outcome := range []error{nil, pipeline.ErrAborted} {
		h := newHand(t, 1)
		first := h.batch("one two", "", "three")
		first.ID = "label"
		var seen []any
		var got error
		first.OnDone(func(b *pipeline.Batch, err error) {
			got = err
			for i := range b.Spans {
				seen = append(seen, b.Spans[i].Position, b.Spans[i].Records())
			}
		})
		first.Emitted()
		for i := range first.Spans {
			first.Delivered(i, first.Spans[i].Records())
		}
		first.Out = append(first.Out, "encoded"...)
		first.Release()
		if h.pool.Out() != 0 || len(first.Records) != 0 {
			t.Fatalf("%d batches are out, %d records left", h.pool.Out(), len(first.Records))
		}
		second := h.batch("overwritten by what comes next")
		if second == first || second.ID != "" || len(second.Out) != 0 || len(second.Spans) != 1 || len(second.Records) != 5 {
			t.Fatalf("the next batch begins with %+v", second)
		}
		second.Emitted()
		if n := h.account.Balance().Pending; n != 8 {
			t.Errorf("%d pending, want 8", n)
		}
		first.Done(outcome)
		if want := []any{"one two", 2, "", 0, "three", 1}; !errors.Is(got, outcome) || !slices.Equal(seen, want) {
			t.Errorf("done with %v, %v, want %v", got, seen, want)
		}
		if h.pool.Out() != 1 {
			t.Errorf("%d batches are out, want the second", h.pool.Out())
		}
		deliver(second)
		b := h.account.Balance()
		if want := int64(3); outcome == nil && b.Delivered != 5+want || outcome != nil && b.Pending != want || b.Missing() != 0 {
			t.Errorf("after %v: %+v", outcome, b)
		}
		pipelinetest.CheckBalance(t, h.ledger, h.pool)
	}
}

// Memory of a batch that has grown is let go of by Release, too.
func TestReleaseLetsGiantsGo(t *testing.T) {
	pool := pipeline.NewPool(1, 1<<10)
	b, _ := pool.Get(t.Context())
	b.Mem.Grow(1 << 20)
	b.Out = make([]byte, 0, 1<<20)
	b.Release()
	next, _ := pool.Get(t.Context())
	if cap(next.Out) > 1<<10 || len(next.Mem.Free()) > 1<<10 {
		t.Errorf("the next batch has %d and %d bytes", cap(next.Out), len(next.Mem.Free()))
	}
	b.Done(nil)
	pool.Put(next)
}

// What would acknowledge lines that are not delivered, or forget them, stops
// the process: nothing of it may ever reach a position.
func TestMisuseOfABatchPanics(t *testing.T) {
	for name, misuse := range map[string]func(h *hand){
		"done twice":                           func(h *hand) { b := h.send("a"); deliver(b); b.Done(nil) },
		"aborted after it was done":            func(h *hand) { b := h.send("a"); deliver(b); b.Done(pipeline.ErrAborted) },
		"aborted after done, memory in use":    func(h *hand) { b := h.send("a"); deliver(b); h.send("b"); b.Done(pipeline.ErrAborted) },
		"released twice":                       func(h *hand) { b := h.send("a"); b.Release(); b.Release() },
		"released twice, memory in use again":  func(h *hand) { b := h.send("a"); b.Release(); h.send("b"); b.Release() },
		"released after it was done":           func(h *hand) { b := h.send("a"); deliver(b); b.Release() },
		"released after done, memory in use":   func(h *hand) { b := h.send("a"); deliver(b); h.send("b"); b.Release() },
		"released, done twice":                 func(h *hand) { b := h.send("a"); b.Release(); deliver(b); b.Done(nil) },
		"released after released and done":     func(h *hand) { b := h.send("a"); b.Release(); deliver(b); b.Release() },
		"released without outcomes, then done": func(h *hand) { b := h.send("a"); b.Release(); b.Done(nil) },
		"done without outcomes":                func(h *hand) { h.send("a").Done(nil) },
		"one outcome too few":                  func(h *hand) { b := h.send("a b"); b.Delivered(0, 1); b.Done(nil) },
		"one outcome too many":                 func(h *hand) { b := h.send("a b"); b.Delivered(0, 3); b.Done(nil) },
		"two outcomes for one record":          func(h *hand) { b := h.send("a"); b.Dropped(0, 1, pipeline.TooLarge); deliver(b) },
		"outcome in the wrong span":            func(h *hand) { b := h.send("a", "b"); b.Delivered(0, 2); b.Done(nil) },
		"emitted twice":                        func(h *hand) { h.send("a").Emitted() },
		"done but never emitted":               func(h *hand) { deliver(h.batch("a")) },
		"aborted but never emitted":            func(h *hand) { h.batch("a").Done(pipeline.ErrAborted) },
		"put back with lines":                  func(h *hand) { h.pool.Put(h.send("a")) },
		"put back twice":                       func(h *hand) { b := h.batch(); h.pool.Put(b); h.pool.Put(b) },
		"put back after it was done":           func(h *hand) { b := h.batch(); b.Done(nil); h.pool.Put(b) },
		"put into another pool":                func(h *hand) { pipeline.NewPool(1, 0).Put(h.batch()) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHand(t, 2)
			defer func() {
				if said, _ := recover().(string); !strings.HasPrefix(said, "BUG: ") {
					t.Errorf("no panic but %q", said)
				}
			}()
			misuse(h)
		})
	}
}

// A batch that filters have emptied, and one that has nothing but a position,
// reach the output in their order: positions are its business.
func TestBatchWithoutRecordsReachesTheOutput(t *testing.T) {
	h := newHand(t, 5, dropping('x'))
	var done []any
	for _, text := range []string{"a", "x x", "", "b x"} {
		b := h.batch(text)
		b.OnDone(func(b *pipeline.Batch, err error) { done = append(done, b.Spans[0].Position, err) })
		b.Emitted()
		h.emit(b)
	}
	if h.out.Held() != 4 || len(done) != 0 {
		t.Fatalf("%d batches reached the output, %v are done", h.out.Held(), done)
	}
	if b := h.account.Balance(); b.Pending != 5 || b.Filtered != 0 {
		t.Errorf("before the outcome: %+v", b)
	}
	h.out.Resume()
	if want := []any{"a", nil, "x x", nil, "", nil, "b x", nil}; !slices.Equal(done, want) {
		t.Errorf("done are %v, want %v", done, want)
	}
	if got := strings.Join(h.out.Take(), ""); got != "ab" {
		t.Errorf("got %q", got)
	}
	pipelinetest.CheckBalance(t, h.ledger, h.pool, &h.out)
}
