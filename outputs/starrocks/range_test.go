package starrocks

import (
	"testing"

	"millrace/internal/pipeline"
)

// Offsets are those of the records that the output got: what filters dropped
// behind them is read again without harm.
func TestRangesOfABatch(t *testing.T) {
	ledger := pipeline.NewLedger("kong", "topic", "partition")
	pool := pipeline.NewPool(1, 1<<20)
	b, err := pool.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		name    string
		offsets []int64
	}{{"a[0]", []int64{7, 8, 12}}, {"a[1]", nil}, {"b[0]", []int64{100}}} {
		account := ledger.Open(p.name, "t", p.name)
		b.Begin(account)
		for _, offset := range p.offsets {
			r := b.Add()
			r.Origin, r.Offset = &pipeline.Origin{Account: account}, offset
		}
	}
	ranges := rangesOf(b)
	if got, want := offsets(ranges), "a[0] 7 to 12, b[0] 100 to 100"; got != want {
		t.Errorf("offsets are %q, want %q", got, want)
	}
}
