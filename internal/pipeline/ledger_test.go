package pipeline_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// everyTerm is a ledger in which no term is zero.
func everyTerm(t *testing.T) *hand {
	h := newHand(t, 10, dropping('f'))
	reasons := pipeline.Reasons()
	h.out.Drop = func(r *pipeline.Record) (pipeline.Reason, bool) {
		if r.Message[0] != 'd' {
			return 0, false
		}
		return reasons[int(r.Message[1]-'0')], true
	}
	const first = "a1 a2 f1 d0 d1 d2 d3 d4 d5"
	other := h.ledger.Open("other", "other") // which had nothing but good luck
	if len(reasons) > 6 {
		t.Fatal("first needs a record for each reason")
	}
	words := strings.Fields(first)[:3+len(reasons)]
	h.send(strings.Join(words, " "))
	h.send("b1 f2 b2")
	h.out.Release(pipeline.ErrAborted)
	h.account.HandOver()
	h.out.HandedOver(h.account)
	h.send(strings.Join(words[:2], " "), strings.Join(words[2:], " "))
	h.out.Release(nil)
	h.send("c1 c2 f3 c3")
	h.send("e1")
	h.out.Release(pipeline.ErrAborted)
	h.account.Rewound()
	h.account.Lost(1, pipeline.Truncated)
	h.out.Lost(h.account, 1, pipeline.Truncated)
	h.account.GivenUp(2, pipeline.SpoolFull)
	h.out.GivenUp(h.account, 2, pipeline.SpoolFull)
	h.send("c2") // c3 and e1 are still to be read again
	h.out.Release(nil)
	h.send("f3 c3")
	account := h.account
	h.account = other
	h.send("good luck")
	h.account = account
	return h
}

// A miscount of any term is found, also if another makes up for it.
func TestEachMiscountIsFound(t *testing.T) {
	if faults := pipelinetest.Audit(everyTerm(t).ledger); len(faults) > 0 {
		t.Fatalf("without a miscount: %q", faults)
	}
	h := everyTerm(t)
	if faults := pipelinetest.Audit(h.ledger, &h.out); len(faults) > 0 {
		t.Fatalf("without a miscount: %q", faults)
	}
	b := h.account.Balance()
	for name, n := range map[string]int64{"read": b.Read, "reread": b.Reread, "delivered": b.Delivered, "filtered": b.Filtered,
		"pending": b.Pending, "handed over": b.HandedOver, "dropped": int64(len(b.Dropped) - len(pipeline.Reasons()) + 1)} {
		if n == 0 {
			t.Errorf("%s is not in the test: %+v", name, b)
		}
	}
	pending := map[string]bool{"in flight": true, "aborted": true, "again": true}
	plants := pipeline.Miscounts()
	for one, plant := range plants {
		for _, n := range []int64{1, -1} {
			plant(h.account, n)
			if len(pipelinetest.Audit(h.ledger, &h.out)) == 0 {
				t.Errorf("%s %+d is not found", one, n)
			}
			// Without a second opinion, only what does not add up.
			if found := len(pipelinetest.Audit(h.ledger)) > 0; found != (one != "reread") {
				t.Errorf("%s %+d is found by the sum: %v", one, n, found)
			}
			for two, balance := range plants {
				for _, m := range []int64{1, -1} {
					if one == two || pending[one] && pending[two] && n != m {
						continue // nothing changes that anybody sees
					}
					balance(h.account, m)
					if len(pipelinetest.Audit(h.ledger, &h.out)) == 0 {
						t.Errorf("%s %+d and %s %+d are not found", one, n, two, m)
					}
					balance(h.account, -m)
				}
			}
			plant(h.account, -n)
		}
	}
	// Three that make up for each other: read again, but counted as new.
	for one, n := range map[string]int64{"read": 1, "reread": -1, "again": 1} {
		plants[one](h.account, n)
	}
	if len(pipelinetest.Audit(h.ledger)) > 0 || len(pipelinetest.Audit(h.ledger, &h.out)) == 0 {
		t.Error("a reread record that is counted as read is not found")
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
