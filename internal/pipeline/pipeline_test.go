package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

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

// A planted miscount of any term is found.
func TestDoneRefusesWhatDoesNotBalance(t *testing.T) {
	for name, outcome := range map[string]func(*pipeline.Batch){
		"nothing counted":  func(b *pipeline.Batch) {},
		"one too few":      func(b *pipeline.Batch) { b.Delivered(0, 1) },
		"one too many":     func(b *pipeline.Batch) { b.Delivered(0, 3) },
		"counted two ways": func(b *pipeline.Batch) { b.Delivered(0, 2); b.Dropped(0, 1, pipeline.TooLarge) },
	} {
		t.Run(name, func(t *testing.T) {
			ledger := pipeline.NewLedger("test")
			b, err := pipeline.NewPool(1, 1<<20).Get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b.Begin(ledger.Open("a"))
			b.Add()
			b.Add()
			b.Emitted()
			outcome(b)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			b.Done(nil)
		})
	}
}

func TestBalanceFindsMiscounts(t *testing.T) {
	good := pipeline.Balance{Read: 10, Delivered: 4, Filtered: 3, Dropped: map[string]int64{"too_large": 1}, Pending: 2}
	if good.Missing() != 0 {
		t.Fatalf("%+v: missing %d", good, good.Missing())
	}
	for name, plant := range map[string]func(*pipeline.Balance){
		"read":      func(b *pipeline.Balance) { b.Read++ },
		"delivered": func(b *pipeline.Balance) { b.Delivered++ },
		"filtered":  func(b *pipeline.Balance) { b.Filtered-- },
		"dropped":   func(b *pipeline.Balance) { b.Dropped["refused"]++ },
		"pending":   func(b *pipeline.Balance) { b.Pending-- },
		"handed":    func(b *pipeline.Balance) { b.HandedOver++ },
	} {
		bad := good.Plus(pipeline.Balance{})
		plant(&bad)
		if bad.Missing() == 0 {
			t.Errorf("a miscount of %s is not found", name)
		}
	}
}

func TestLedgerKeepsWhatIsGone(t *testing.T) {
	ledger := pipeline.NewLedger("test", "pod")
	pool := pipeline.NewPool(1, 1<<20)
	account := ledger.Open("pod-1", "pod-1")
	b, _ := pool.Get(t.Context())
	b.Begin(account)
	b.Add()
	b.Add()
	b.Emitted()
	b.Delivered(0, 1)
	b.Dropped(0, 1, pipeline.TooLarge)
	b.Done(nil)
	ledger.Close(account)
	if s := ledger.Status(); len(s.Accounts) != 0 || s.Ledger.Read != 2 || s.Ledger.Dropped["too_large"] != 1 {
		t.Errorf("%+v", s)
	}
	pipelinetest.CheckBalance(t, ledger, pool)
}

// A pod was replaced by one of its name: one account, as long as either is there.
func TestLedgerSharesAccountsOfOneName(t *testing.T) {
	ledger := pipeline.NewLedger("test", "pod")
	first, second := ledger.Open("pod-1", "pod-1"), ledger.Open("pod-1", "pod-1")
	if first != second || len(ledger.Accounts()) != 1 {
		t.Fatal("two accounts of one name")
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(ledger)
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
	ledger.Close(first)
	if len(ledger.Accounts()) != 1 {
		t.Error("the account went with the first of two")
	}
	ledger.Close(second)
	if len(ledger.Accounts()) != 0 {
		t.Error("the account is still there")
	}
}

func TestDoneTwice(t *testing.T) {
	pool := pipeline.NewPool(1, 1<<20)
	b, _ := pool.Get(t.Context())
	b.Done(nil)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	b.Done(nil)
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

// FuzzAcks compares with the obvious model: all positions in a list.
func FuzzAcks(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 1, 3, 0, 9, 5})
	f.Fuzz(func(t *testing.T, script []byte) {
		var acks pipeline.Acks[int]
		acks.Begin(-1)
		type entry struct {
			seq     uint64
			settled bool
			ok      bool
		}
		var model []entry
		low := -1
		modelLow := func() int {
			for i := low + 1; i < len(model) && model[i].ok; i++ {
				low = i
			}
			return low
		}
		for _, op := range script {
			open := slices.DeleteFunc(slices.Collect(func(yield func(int) bool) {
				for i := range model {
					if !yield(i) {
						return
					}
				}
			}), func(i int) bool { return model[i].settled })
			switch {
			case op%4 == 0:
				model = append(model, entry{seq: acks.Add(len(model))})
			case op%4 < 3 && len(open) > 0:
				i := open[int(op/4)%len(open)]
				model[i].settled, model[i].ok = true, true
				before := low
				got, moved := acks.Done(model[i].seq)
				if want := modelLow(); got != want || moved != (want != before) {
					t.Fatalf("low %d moved %v, want %d", got, moved, want)
				}
			case op%4 == 3 && len(open) > 0:
				i := open[int(op/4)%len(open)]
				model[i].settled = true
				acks.Fail(model[i].seq)
			case op%4 == 3 && len(open) == 0:
				if got := acks.Rewind(); got != modelLow() {
					t.Fatalf("rewound to %d, want %d", got, low)
				}
				// What was after the low position is read again.
				for i := low + 1; i < len(model); i++ {
					model[i] = entry{settled: true}
				}
				model = model[:low+1]
			}
		}
		if acks.Low() != modelLow() {
			t.Fatalf("low %d, want %d", acks.Low(), low)
		}
	})
}

// FuzzAppendString takes encoding/json as the referee.
func FuzzAppendString(f *testing.F) {
	f.Add([]byte("plain \"quoted\" back\\slash\n\t\x00\x1f\x7f/ ä € \U0001F600 \xff\xc3"), 30)
	f.Fuzz(func(t *testing.T, s []byte, room int) {
		out, replaced := pipeline.AppendString([]byte{'"'}, s, -1)
		var text string
		if err := json.Unmarshal(append(out, '"'), &text); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if want := strings.ToValidUTF8(string(s), ""); !replaced && text != want || replaced == utf8.Valid(s) {
			t.Fatalf("%q became %q, replaced %v", s, text, replaced)
		}
		if room < 0 {
			return
		}
		short, _ := pipeline.AppendString(nil, s, room)
		if len(short) > room || !strings.HasPrefix(string(out[1:]), string(short)) {
			t.Fatalf("room %d: %q of %q", room, short, out[1:])
		}
		if err := json.Unmarshal([]byte(`"`+string(short)+`"`), &text); err != nil {
			t.Fatalf("cut to %q: %v", short, err)
		}
		// It stops only where one more character would not fit.
		if len(short) < len(out)-1 && len(short)+12 <= room {
			t.Fatalf("room %d: only %d bytes used of %q", room, len(short), out[1:])
		}
	})
}

func TestAppendJSONFits(t *testing.T) {
	origin := &pipeline.Origin{Stream: []byte("stdout"), Tail: []byte(`,"kubernetes":{"pod_name":"p"}`)}
	for _, message := range []string{strings.Repeat("a", 1000), strings.Repeat("\x01", 1000), strings.Repeat("ä", 500), strings.Repeat("\"", 999)} {
		for limit := range 1400 {
			r := pipeline.Record{Origin: origin, Time: []byte("2026-01-01T00:00:00Z"), Tag: []byte("F"), Message: []byte(message)}
			out, marks, fits := r.AppendJSON([]byte("x"), limit)
			if !fits {
				if limit > 200 || string(out) != "x" {
					t.Fatalf("limit %d: does not fit, %q", limit, out)
				}
				continue
			}
			var doc map[string]any
			if err := json.Unmarshal(out[1:], &doc); err != nil || len(out)-1 > limit {
				t.Fatalf("limit %d: %d bytes, %v", limit, len(out)-1, err)
			}
			whole := doc["message"] == message
			if whole == marks.Cut || whole == (doc["truncated"] == true) || r.Cut {
				t.Fatalf("limit %d: whole %v, marks %+v, truncated %v", limit, whole, marks, doc["truncated"])
			}
			// No room is wasted, apart from a character that did not fit.
			if marks.Cut && limit-(len(out)-1) > 5 {
				t.Fatalf("limit %d: %d bytes", limit, len(out)-1)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	for s, want := range map[string]string{
		"message":             "message",
		"kubernetes.pod_name": "kubernetes|pod_name",
		`kubernetes.labels."app.kubernetes.io/name"`: "kubernetes|labels|app.kubernetes.io/name",
		`"a.b".c`: "a.b|c",
	} {
		p, err := pipeline.ParsePath(s)
		if err != nil || strings.Join(p.Names, "|") != want || p.Key != pipeline.PathKey(p.Names...) {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	for _, s := range []string{"", ".", "a.", ".a", "a..b", `"a`, `"a"b`, `""`} {
		if p, err := pipeline.ParsePath(s); err == nil {
			t.Errorf("%q: accepted as %v", s, p)
		}
	}
}
