package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// sendAt emits a batch with a line for each age.
func (h *hand) sendAt(ages ...time.Duration) *pipeline.Batch {
	h.Helper()
	b := h.batch("")
	for _, age := range ages {
		r := b.Add()
		r.Origin = &pipeline.Origin{Account: h.account}
		if age != noTime {
			r.Time = b.Mem.Reserve(len(time.RFC3339Nano))[:0]
			r.Time = time.Now().Add(-age).AppendFormat(r.Time, time.RFC3339Nano)
		}
		r.Message = []byte{'x'}
	}
	b.Emitted()
	return b
}

// noTime is the age of a line that names no time.
const noTime = time.Duration(1<<63 - 1)

// The age of the oldest pending line is right whatever comes back when.
func TestOldestPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t, 10)
		step := 0
		expect := func(want time.Duration) {
			t.Helper()
			step++
			b := h.account.Balance()
			if want < 0 {
				if !b.Oldest.IsZero() || b.OldestAge != 0 || b.Pending != 0 {
					t.Errorf("step %d: nothing is pending, yet %+v", step, b)
				}
				return
			}
			if b.OldestAge != want.Seconds() || !b.Oldest.Equal(time.Now().Add(-want)) {
				t.Errorf("step %d: age %v since %v, want %v", step, b.OldestAge, b.Oldest, want)
			}
		}
		const never = -1
		expect(never)
		one := h.sendAt(10*time.Second, 8*time.Second)
		two := h.sendAt(7 * time.Second)
		three := h.sendAt(6*time.Second, 5*time.Second)
		expect(10 * time.Second)
		deliver(two) // out of order: the first is still the oldest
		expect(10 * time.Second)
		three.Done(pipeline.ErrAborted) // aborted lines stay pending and old
		deliver(one)
		expect(6 * time.Second)
		<-time.After(time.Minute)
		expect(66 * time.Second)
		fresh := h.sendAt(time.Second) // read before the source has heard of the abort
		expect(66 * time.Second)
		fresh.Done(pipeline.ErrAborted)
		h.account.Rewound()
		expect(66 * time.Second)
		one = h.sendAt(66*time.Second, 65*time.Second) // read again
		expect(66 * time.Second)
		deliver(one)
		expect(time.Second) // the fresh line is left
		deliver(h.sendAt(time.Second))
		expect(never)

		// A line of an earlier life of the process is as old as it is.
		deliver(h.sendAt(3 * time.Hour))
		one = h.sendAt(3 * time.Hour)
		expect(3 * time.Hour)
		one.Done(pipeline.ErrAborted)
		h.account.Rewound()
		h.account.Lost(1, pipeline.Truncated)
		expect(never)

		// Without a time of its own a line is as old as when it was read first,
		// and so is one from the future, where the clock was.
		for _, age := range []time.Duration{noTime, -time.Hour} {
			one = h.sendAt(age)
			expect(0)
			<-time.After(time.Second)
			one.Done(pipeline.ErrAborted)
			expect(time.Second)
			h.account.Rewound()
			one = h.sendAt(age)
			expect(time.Second)
			deliver(one)
			expect(never)
		}

		// A span with a position only waits for nothing.
		h.send("")
		expect(never)
		h.out.Release(nil)
		one = h.sendAt(time.Second)
		one.Done(pipeline.ErrAborted)
		h.account.HandOver()
		expect(never)
	})
}

// At the collector the time is in the record's JSON.
func TestOldestPendingAtTheCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for raw, want := range map[string]time.Duration{
			`{"time":"` + time.Now().Add(-time.Hour).Format(time.RFC3339Nano) + `","x":1}`: time.Hour,
			`{"x":1}`: 0, `{"time":7}`: 0, `{"time":"`: 0, ``: 0, `no json`: 0, `{"time":{"time":"2026-01-01T00:00:00Z"}}`: 0,
		} {
			h := newHand(t, 1)
			b := h.batch("")
			b.Add().Raw = []byte(raw)
			b.Emitted()
			if got := h.account.Balance(); got.OldestAge != want.Seconds() || got.Oldest.IsZero() {
				t.Errorf("%s: %+v", raw, got)
			}
			b.Done(pipeline.ErrAborted)
		}
	})
}

// The total's oldest is the oldest of all accounts.
func TestOldestPendingOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t, 3)
		h.sendAt(time.Second)
		h.account = h.ledger.Open("m", "m")
		h.sendAt(time.Minute)
		h.account = h.ledger.Open("o", "o")
		h.sendAt(2 * time.Second)
		if b := h.ledger.Total(); b.OldestAge != 60 || !b.Oldest.Equal(time.Now().Add(-time.Minute)) {
			t.Errorf("%+v", b)
		}
	})
}

// Lines that a worker had read when another batch of their container was
// aborted are new, although they are emitted after the abort.
func TestLinesReadBeforeTheRewindAreNew(t *testing.T) {
	h := newHand(t, 5)
	h.send("a b c")
	late := h.batch("d e")
	h.out.Release(pipeline.ErrAborted)
	late.Emitted()
	h.emit(late)
	if b := h.account.Balance(); b.Read != 5 || b.Reread != 0 || b.Pending != 5 {
		t.Errorf("before the source went back: %+v", b)
	}
	h.out.Release(pipeline.ErrAborted)
	h.account.Rewound()
	h.send("a b")
	h.send("c")
	if b := h.account.Balance(); b.Read != 5 || b.Reread != 3 || b.Pending != 5 {
		t.Errorf("while it reads again: %+v", b)
	}
	// And once more before all was read again.
	h.out.Release(pipeline.ErrAborted)
	h.account.Rewound()
	h.send("a b c d e f")
	if b := h.account.Balance(); b.Read != 6 || b.Reread != 8 || b.Pending != 6 {
		t.Errorf("in the end: %+v", b)
	}
	h.out.Release(nil)
	pipelinetest.CheckBalance(t, h.ledger, h.pool, &h.out)
}

// Lost counts what was aborted, not what was delivered behind it.
func TestLostIsNoMoreThanWasAborted(t *testing.T) {
	h := newHand(t, 2)
	first, second := h.send("a b"), h.send("c d e")
	deliver(second)
	first.Done(pipeline.ErrAborted)
	h.account.Rewound()
	h.account.Lost(5, pipeline.Truncated)
	b := h.account.Balance()
	if b.Pending != 0 || b.Dropped["truncated"] != 2 || b.Delivered != 3 || b.Missing() != 0 {
		t.Errorf("%+v", b)
	}
}

// A container that is let go of while lines of it are on their way: the
// total follows what becomes of them.
func TestClosedAccountWithPending(t *testing.T) {
	h := newHand(t, 2)
	b := h.send("a b c")
	h.ledger.Close(h.account)
	for range 2 {
		if s := h.ledger.Status(); len(s.Accounts) != 0 || s.Ledger.Pending != 3 || s.Ledger.Oldest.IsZero() {
			t.Errorf("while they are on their way: %+v", s)
		}
	}
	// Its successor of the same name begins from nothing.
	if again := h.ledger.Open("n", "n"); again == h.account || again.Balance().Read != 0 {
		t.Errorf("the next account is %+v", again.Balance())
	}
	deliver(b)
	for range 2 {
		if s := h.ledger.Total(); s.Pending != 0 || s.Delivered != 3 || s.Read != 3 || !s.Oldest.IsZero() {
			t.Errorf("when they are delivered: %+v", s)
		}
	}
}

// FuzzLedger lets the sources of two containers emit, be delivered and aborted and go back, and compares the
// ledger after each step with what the output has counted.
func FuzzLedger(f *testing.F) {
	f.Add([]byte{0x01, 0x12, 0x01, 0x43, 0x52, 0x44, 0x70, 0x11, 0x42})
	f.Add([]byte{0x3f, 0x2f, 0x1f, 0x0f, 0x5f, 0x4f, 0x6f, 0x7f, 0x0f, 0x4f})
	f.Fuzz(func(t *testing.T, script []byte) {
		h := newHand(t, 1000, dropping('f'))
		h.out.Drop = func(r *pipeline.Record) (pipeline.Reason, bool) { return pipeline.Refused, r.Message[0] == 'd' }
		containers := []*line{
			{hand: h, account: h.account, name: "a"}, {hand: h, account: h.ledger.Open("m", "m"), name: "b"},
		}
		for _, op := range script[:min(len(script), 300)] {
			c, n := containers[int(op>>3)&1], int(op&7)
			switch op >> 5 {
			case 0, 1:
				c.read(n)
			case 2:
				c.settle(n, nil)
			case 3:
				c.settle(n, pipeline.ErrAborted)
			case 4:
				c.goBack(0)
			case 5:
				c.goBack(n)
			case 6:
				c.handOver()
			}
			for _, fault := range pipelinetest.Audit(h.ledger, &h.out) {
				t.Fatalf("after %#x: %s", op, fault)
			}
			for _, c := range containers {
				c.checkOldest()
			}
		}
	})
}

// line is a container of numbered lines, and the model of what is pending.
type line struct {
	*hand
	account *pipeline.Account
	name    string
	next    int // to be read
	low     int // everything before it is delivered
	high    int // before it lines were read once, and not handed over
	flights []flight
	failed  bool
}

type flight struct {
	*pipeline.Batch
	from, to int
	state    int // 0 open, 1 delivered, 2 failed
}

var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *line) read(n int) {
	// As sources do: nothing is read between a failure and going back.
	if c.failed {
		return
	}
	b, _ := c.pool.Get(c.Context())
	b.Begin(c.account)
	for i := range n {
		r := b.Add()
		r.Origin, r.Tag = &pipeline.Origin{Account: c.account}, []byte("F")
		r.Time = epoch.Add(time.Duration(c.next+i)*time.Second).AppendFormat(nil, time.RFC3339)
		r.Message = fmt.Appendf(nil, "%c %s %d", "kfkd"[(c.next+i)%4], c.name, c.next+i)
	}
	b.Emitted()
	c.emit(b)
	c.flights = append(c.flights, flight{Batch: b, from: c.next, to: c.next + n})
	c.next += n
	c.high = max(c.high, c.next)
}

func (c *line) settle(n int, err error) {
	open := slices.Collect(func(yield func(int) bool) {
		for i := range c.flights {
			if c.flights[i].state == 0 && !yield(i) {
				return
			}
		}
	})
	if len(open) == 0 {
		return
	}
	f := &c.flights[open[n%len(open)]]
	f.state = 1
	if err != nil {
		f.state, c.failed = 2, true
	}
	c.out.ReleaseOne(f.Batch, err)
	for len(c.flights) > 0 && c.flights[0].state == 1 {
		c.low, c.flights = c.flights[0].to, c.flights[1:]
	}
}

// goBack rewinds when nothing is open; the next lost lines cannot be read
// again.
func (c *line) goBack(lost int) {
	if !c.failed || slices.ContainsFunc(c.flights, func(f flight) bool { return f.state < 2 }) {
		return // with others delivered behind it, lines would be repeated
	}
	c.next, c.flights, c.failed = c.low, nil, false
	c.account.Rewound()
	before := c.account.Balance().Pending
	lost = min(lost, int(before))
	c.account.Lost(int64(lost), pipeline.Truncated)
	c.out.Lost(c.account, lost, pipeline.Truncated)
	c.next, c.low = c.next+lost, c.low+lost
}

// handOver says that others read again what was not delivered, and then we do,
// from the same place.
func (c *line) handOver() {
	if slices.ContainsFunc(c.flights, func(f flight) bool { return f.state == 0 }) {
		return
	}
	c.account.HandOver()
	c.out.HandedOver(c.account)
	c.next, c.high, c.flights, c.failed = c.low, c.low, nil, false
}

// checkOldest: the age is that of the oldest line, or of one before it that
// was emitted together with it.
func (c *line) checkOldest() {
	oldest := c.next
	for _, f := range c.flights {
		if f.from < f.to && f.state != 1 {
			oldest = f.from
			break
		}
	}
	b := c.account.Balance()
	if oldest >= c.high {
		if b.Pending != 0 || !b.Oldest.IsZero() {
			c.Fatalf("%s: nothing is pending, but %+v", c.name, b)
		}
		return
	}
	at := epoch.Add(time.Duration(oldest) * time.Second)
	if b.Oldest.After(at) || b.Oldest.Before(at.Add(-7*time.Second)) {
		c.Fatalf("%s: the oldest is line %d of %v, not one of %v", c.name, oldest, at, b.Oldest)
	}
}
