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

// labelSafe is how long after its first byte was sent a label that StarRocks
// does not know counts as never begun. StarRocks forgets a finished label after
// three days, or when 1,000 younger ones are there (label_keep_max_num), which
// counts all loads into the database, of whomever. Ours are bounded by
// load.max_per_second; a quarter of the time they need leaves room for three
// times as many of others.
func labelSafe(perSecond float64) time.Duration {
	const keep, share, longest = 1000, 4, 10 * time.Minute
	return time.Duration(min(float64(longest), keep/(share*perSecond)*float64(time.Second)))
}

// deliver sends a shipment until it is in. It fails only when ctx ends first.
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
		o.faults.set(s.label, err)
		if halt := (*haltError)(nil); errors.As(err, &halt) {
			return o.halt()
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
	if s.mayBeIn() {
		in, err := o.resolve(ctx, s)
		if in {
			o.metrics.resolved.Inc()
		}
		if in || err != nil {
			return err
		}
	}
	if err := o.pace.wait(ctx); err != nil {
		return err
	}
	a, err := o.remote.put(ctx, s)
	if err != nil {
		return err
	}
	if !a.in() {
		if a.labelUsed() {
			s.begin()
		}
		return o.refused(ctx, a)
	}
	if err := a.counts(s.rows); err != nil {
		return &haltError{o.remote.fault(o.remote.base(), "label "+s.label+": "+err.Error(),
			"the load is committed and the pipeline waits: compare the rows of "+offsets(s.runs)+" with the topic, and before restarting "+moveOffsets(s))}
	}
	if a.Status == "Success" {
		o.metrics.visible.Inc()
	} else {
		o.metrics.publishTimeout.Inc()
	}
	return nil
}

// refused is the sentence about a load that a backend refused. For refused
// rows it fetches why, without the rows.
func (o *Output) refused(ctx context.Context, a *answer) error {
	t := o.table.Load()
	what := "StarRocks refuses the load: " + t.clean(a.text())
	if a.text() == "" {
		what = fmt.Sprintf("StarRocks refuses the load without saying why (HTTP %d, status %q)", a.code, a.Status)
	}
	if a.NumberFilteredRows > 0 {
		what += fmt.Sprintf(" (%d of %d rows)", a.NumberFilteredRows, a.NumberTotalRows)
	}
	if why := o.remote.rowReason(ctx, a.ErrorURL); why != "" {
		what += ": " + t.clean(why)
	}
	return o.remote.fault(o.remote.base(), what, adviceOn(a.text()))
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

// resolve says whether a label is in. It waits while the label's transaction
// runs; StarRocks ends that at its timeout at the latest.
func (o *Output) resolve(ctx context.Context, s *shipment) (in bool, err error) {
	wait := minBackoff
	for {
		state, err := o.remote.state(ctx, s.label)
		if err != nil {
			return false, err
		}
		switch state {
		case stateVisible, stateCommitted:
			return true, nil
		case stateAborted:
			return false, nil
		case stateUnknown:
			return false, o.unknown(s)
		}
		o.faults.set(s.label, o.remote.fault(o.remote.base(), "an earlier try of label "+s.label+" is still running there",
			"it ends within load.timeout, nothing is sent before"))
		if err := sleep(ctx, wait); err != nil {
			return false, err
		}
		wait = min(wait*2, o.cfg.Load.MaxBackoff, 5*time.Second)
	}
}

// unknown decides about a label that may have been sent and that StarRocks
// does not know: nil means to send it again.
func (o *Output) unknown(s *shipment) error {
	age := time.Since(time.Unix(0, s.begun.Load()))
	if age < labelSafe(o.cfg.Load.MaxPerSecond) || o.cfg.Load.OnUnknown == OnUnknownResend {
		return nil
	}
	return &haltError{o.remote.fault(o.remote.base(),
		"StarRocks does not know the label "+s.label+" any more, which may have been loaded",
		"the pipeline waits: look in the table for the rows of "+offsets(s.runs)+"; if they are missing, restart, which loads them; if they are in, before restarting "+moveOffsets(s))}
}

// moveOffsets is how to restart after a load that is in without being
// acknowledged: what is read again goes under a new label. Loads that ran at
// the same time may be in, too, and none behind the open one is committed.
func moveOffsets(s *shipment) string {
	return "move the group's offset of " + ends(s.runs) + " (or to after what the table holds of later loads), or a restart loads them again"
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
