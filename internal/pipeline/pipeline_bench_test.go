package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"millrace/internal/pipeline"
)

// BenchmarkSpan is what a span costs the books and the acknowledgements, with
// as many on their way as a transaction may hold while it catches up.
func BenchmarkSpan(b *testing.B) {
	for _, open := range []int{1, 16 << 10} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			type position [24]uint64
			var acks pipeline.Acks[position]
			account := pipeline.NewLedger("bench").Open("a")
			pool := pipeline.NewPool(1, 1<<20)
			at := []byte(time.Now().Format(time.RFC3339Nano))
			queue := make([]*pipeline.Batch, 0, open)
			for b.Loop() {
				for len(queue) < open {
					batch, err := pool.Get(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					span := batch.Begin(account)
					batch.Add().Time = at
					span.Seq = acks.Add(position{})
					batch.Emitted()
					batch.Delivered(0, 1)
					batch.Release()
					queue = append(queue, batch)
				}
				for _, batch := range queue {
					acks.Done(batch.Spans[0].Seq)
					batch.Done(nil)
				}
				queue = queue[:0]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*open), "ns/span")
		})
	}
}
