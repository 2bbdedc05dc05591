package pipeline_test

import (
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/pipeline"
)

// TestPoolGrowsForFloods: what comes in bursts shares a few batches, and what
// never ends has all of them before long, however soon each comes back.
func TestPoolGrowsForFloods(t *testing.T) {
	const size, back = 50, 12 * time.Millisecond
	for _, test := range []struct {
		name         string
		burst, pause time.Duration
		least, most  int
	}{
		{"bursts", 50 * time.Millisecond, 200 * time.Millisecond, 2, 2},
		{"flood", time.Hour, 0, size, size},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := pipeline.NewPool(size, 1<<20).GrowSlowly(100 * time.Millisecond)
				begun := time.Now()
				for time.Since(begun) < 5*time.Second {
					for burst := time.Now(); time.Since(burst) < min(test.burst, 5*time.Second-time.Since(begun)); {
						b, err := pool.Get(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						time.AfterFunc(back, func() { pool.Put(b) })
						if pool.Made() == size {
							<-time.After(time.Millisecond) // reading takes time, too: else the loop would not end
						}
					}
					<-time.After(test.pause)
				}
				if n := pool.Made(); n < test.least || n > test.most {
					t.Errorf("%d batches, want %d to %d", n, test.least, test.most)
				}
				<-time.After(time.Second) // all come back
			})
		})
	}
}
