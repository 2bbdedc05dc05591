package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// numbers is a source of the numbers from 0 to its limit, a few in a batch. It
// goes back to the lowest undelivered one when a batch fails.
type numbers struct {
	pool     *pipeline.Pool
	account  *pipeline.Account
	limit    int
	acks     pipeline.Acks[int]
	outcomes chan error
	closed   bool
}

func (s *numbers) Run(ctx context.Context, emit func(*pipeline.Batch)) error {
	for next := 0; ; {
		b, err := s.pool.Get(ctx)
		if err != nil {
			return err
		}
		failed := false
		for len(s.outcomes) > 0 {
			failed = <-s.outcomes != nil || failed
		}
		if failed || next == s.limit {
			s.pool.Put(b)
			for s.acks.Open() > 0 || next == s.limit && !failed {
				select {
				case err := <-s.outcomes:
					failed = failed || err != nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			next = s.acks.Rewind()
			s.account.Rewound()
			continue
		}
		span := b.Begin(s.account)
		for range min(3, s.limit-next) {
			r := b.Add()
			r.Origin = &pipeline.Origin{Account: s.account}
			r.Message = b.Mem.Copy([]byte{byte('a' + next)})
			next++
		}
		span.Seq = s.acks.Add(next)
		b.OnDone(s.done)
		b.Emitted()
		emit(b)
	}
}

func (s *numbers) done(b *pipeline.Batch, err error) {
	if err == nil {
		s.acks.Done(b.Spans[0].Seq)
	} else {
		s.acks.Fail(b.Spans[0].Seq)
	}
	s.outcomes <- err
}

func (s *numbers) Close() error {
	s.closed = true
	return nil
}

type dropping byte

func (d dropping) Apply(r *pipeline.Record, _ *pipeline.Arena) bool { return r.Message[0] != byte(d) }

func start(t *testing.T, out *pipelinetest.Recorder, filters ...pipeline.Filter) (src *numbers, ledger *pipeline.Ledger, stop func()) {
	ledger = pipeline.NewLedger("test", "name")
	src = &numbers{pool: pipeline.NewPool(2, 1<<20), account: ledger.Open("n", "n"), limit: 7, outcomes: make(chan error, 100)}
	out.Encode = func(r *pipeline.Record) string { return string(r.Message) }
	p := pipeline.Pipeline{Source: src, Filters: filters, Output: out, Drain: time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	synctest.Wait()
	return src, ledger, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !src.closed {
			t.Error("the source was not closed")
		}
		pipelinetest.CheckBalance(t, ledger, src.pool)
	}
}

func TestRunDeliversInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out pipelinetest.Recorder
		src, ledger, stop := start(t, &out, dropping('b'), dropping('g'))
		if got := strings.Join(out.Take(), ""); got != "acdef" {
			t.Errorf("got %s", got)
		}
		stop()
		if b := ledger.Total(); b.Read != 7 || b.Filtered != 2 || b.Delivered != 5 || src.acks.Low() != 7 {
			t.Errorf("%+v, low %d", b, src.acks.Low())
		}
	})
}

// An output that aborts makes the source read again, and the ledger tells what
// was read for the first time from what was read again.
func TestAbortMakesTheSourceReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out pipelinetest.Recorder
		out.SetMode(pipelinetest.Hold)
		_, ledger, stop := start(t, &out, dropping('b'))
		if b := ledger.Total(); b.Read != 6 || b.Pending != 6 || b.Missing() != 0 {
			t.Errorf("with two batches out: %+v", b)
		}
		out.Release(pipeline.ErrAborted)
		synctest.Wait()
		out.SetMode(pipelinetest.Deliver)
		out.Release(nil)
		synctest.Wait()
		got := out.Take()
		slices.Sort(got)
		if s := strings.Join(got, ""); s != "acdefg" {
			t.Errorf("got %s", s)
		}
		stop()
		if b := ledger.Total(); b.Read != 7 || b.Reread != 6 || b.Filtered != 1 || b.Delivered != 6 {
			t.Errorf("%+v", b)
		}
	})
}

// What the output does not deliver within the drain is given back, and the
// pool is whole again.
func TestStopWithABatchOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out pipelinetest.Recorder
		out.SetMode(pipelinetest.Hold)
		src, ledger, stop := start(t, &out)
		stop()
		if b := ledger.Total(); b.Pending != 6 || b.Delivered != 0 || src.acks.Low() != 0 {
			t.Errorf("%+v, low %d", b, src.acks.Low())
		}
	})
}

func TestPoolIsALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := pipeline.NewPool(1, 1<<20)
		b, _ := pool.Get(t.Context())
		got := make(chan *pipeline.Batch)
		go func() {
			b, _ := pool.Get(t.Context())
			got <- b
		}()
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("a second batch from a pool of one")
		default:
		}
		pool.Put(b)
		pool.Put(<-got)
		ctx, cancel := context.WithCancel(t.Context())
		b, _ = pool.Get(ctx)
		cancel()
		if _, err := pool.Get(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		pool.Put(b)
		defer func() {
			if recover() == nil {
				t.Error("a batch was put twice")
			}
		}()
		pool.Put(b)
	})
}
