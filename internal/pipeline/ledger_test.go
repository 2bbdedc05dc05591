package pipeline_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

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
