package main

import (
	"context"
	"sync"
	"time"
)

// board answers all charts at once, and again only after a while: as many
// pages as like may look at the same range.
type board struct {
	warehouse *warehouse

	mu    sync.Mutex
	fresh time.Time // until when the answer is given again
	last  answer
	of    timeRange
}

// answer is the charts of a range, or the reason why there are none.
type answer struct {
	From   string             `json:"from"` // as SQL writes times, in the zone of kst_time
	To     string             `json:"to"`
	Bucket int                `json:"bucket"` // seconds
	At     string             `json:"at"`     // when it was asked
	Millis int64              `json:"millis"`
	Charts map[string][][]any `json:"charts,omitempty"`
	Error  string             `json:"error,omitempty"`
	Again  int64              `json:"again"` // milliseconds until there is another answer
}

// patient is how long all charts may take.
const patient = 2 * time.Minute

// ask gives the charts of a range. It may block for as long as eight
// questions take; those of one range never take more than a fifth of one core.
func (b *board) ask(ctx context.Context, r timeRange) answer {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	began := time.Now()
	if b.of != r || !began.Before(b.fresh) {
		a := b.warehouse.answer(ctx, r, began)
		if ctx.Err() != nil {
			return a // whoever asked went away: others ask anew
		}
		took := time.Since(began)
		a.At, a.Millis = sqlTime(began), took.Milliseconds()
		b.last, b.of, b.fresh = a, r, began.Add(max(5*time.Second, 5*took))
		if a.Error != "" {
			b.fresh = began.Add(took + time.Second)
		}
	}
	a := b.last
	a.Again = time.Until(b.fresh).Milliseconds()
	return a
}

// answer asks all charts for one and the same span.
func (w *warehouse) answer(ctx context.Context, r timeRange, now time.Time) answer {
	oldest, err := w.oldest(ctx)
	if err != nil {
		return answer{Error: explain(err)}
	}
	of := r.at(now, oldest)
	a := answer{From: sqlTime(of.since), To: sqlTime(of.until), Bucket: int(of.bucket().width.Seconds()), Charts: map[string][][]any{}}
	for _, c := range charts {
		got := w.ask(ctx, c, of)
		if got.Error != "" {
			return answer{Error: got.Error}
		}
		a.Charts[c.Name] = got.Rows
	}
	return a
}
