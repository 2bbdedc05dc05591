package starrocks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// minBackoff is the wait after a first failure; it doubles up to max_backoff.
const minBackoff = 200 * time.Millisecond

// deliver sends a shipment until it is in. It fails when ctx ends first, or with
// a refusal that no repetition would change.
// The same label carries the same bytes every time, so that at most one try
// counts.
func (o *Output) deliver(ctx context.Context, s *shipment) error {
	defer o.faults.set(s.label, nil)
	wait := minBackoff
	for {
		err := o.attempt(ctx, s)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if refusal := (*refusal)(nil); errors.As(err, &refusal) {
			return err
		}
		o.faults.set(s.label, err)
		if halt := (*haltError)(nil); errors.As(err, &halt) {
			return o.halt(ctx)
		}
		o.metrics.failed.Inc()
		if err := sleep(ctx, wait/2+rand.N(wait/2+1)); err != nil {
			return err
		}
		wait = min(wait*2, o.cfg.Load.MaxBackoff)
	}
}

// attempt is one try: if an earlier one may have got through, the label's
// state is asked first.
func (o *Output) attempt(ctx context.Context, s *shipment) error {
	d := s.to
	if s.mayBeIn() {
		in, err := o.lookUp(ctx, &Lookup{To: d.target(), Label: s.label, After: s.after, Ranges: s.ranges, Cancel: true})
		if in || err != nil {
			return err
		}
		s.missed()
	}
	if err := o.pace.wait(ctx); err != nil {
		return err
	}
	a, err := d.remote.put(ctx, s)
	if err != nil {
		return err
	}
	if !a.in() {
		if a.labelUsed() {
			s.begin()
		}
		return o.refused(ctx, d, a)
	}
	if err := a.counts(s.rows); err != nil {
		return &haltError{d.remote.fault(d.remote.base(), "label "+s.label+": "+err.Error(),
			"the load is committed and the pipeline waits: compare the rows of "+offsets(s.ranges)+" with the topic; a restart goes on behind them")}
	}
	if a.Status == "Success" {
		o.metrics.visible.Inc()
		if d == o.main {
			o.noteVisible(s.label)
		}
	} else {
		o.metrics.publishTimeout.Inc()
		if o.wait {
			return d.remote.fault(d.remote.base(), "label "+s.label+" is committed and not visible yet", "nothing has to be done")
		}
	}
	return nil
}

// refused is the sentence about a load that a backend refused. For refused
// rows it fetches why, without the rows.
func (o *Output) refused(ctx context.Context, d *destination, a *answer) error {
	t := d.shape.Load().table
	what := "StarRocks refuses the load: " + t.clean(a.text())
	if a.text() == "" {
		what = fmt.Sprintf("StarRocks refuses the load without saying why (HTTP %d, status %q)", a.code, a.Status)
	}
	if a.NumberFilteredRows > 0 {
		what += fmt.Sprintf(" (%d of %d rows)", a.NumberFilteredRows, a.NumberTotalRows)
	}
	why := t.clean(d.remote.rowReason(ctx, a.ErrorURL))
	if why != "" {
		what += ": " + why
	} else {
		why = t.clean(a.text())
	}
	err := d.remote.fault(d.remote.base(), what, adviceOn(a.text()))
	if a.ofRows() || a.ofSize() {
		return &refusal{from: d, err: err, reason: why, rows: a.ofRows()}
	}
	return err
}

// rowReason is the first reason in a load's error log, which holds lines
// "Error: REASON. Row: ROW". Empty when there is none to be had.
func (c *remote) rowReason(ctx context.Context, errorURL string) string {
	if errorURL == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, frontendTimeout)
	defer cancel()
	// Without credentials: the address comes from an answer.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, errorURL, nil)
	if err != nil {
		return ""
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line, _, _ = strings.Cut(line, "Row:")
	return strings.TrimPrefix(line, "Error: ")
}

// sleep waits for d; it fails when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
