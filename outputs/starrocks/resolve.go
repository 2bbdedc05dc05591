package starrocks

import (
	"context"
	"net/http"
	"time"
)

// Lookup asks what became of a label that somebody may have sent.
type Lookup struct {
	To    *Target // nil: where loads go now
	Label string
	// After is a label that was in before this one was first sent; see
	// pipeline.Claim.
	After  string
	Ranges []Range
	// Cancel lets a transaction that does not get on be ended: its sender is
	// gone, or would send the same again.
	Cancel bool
}

// cancelAfter is how long a transaction may run that somebody else began
// before it is cancelled: StarRocks itself aborts a load whose client is gone at
// once, but not when the backend went with it.
const cancelAfter = 5 * time.Second

// Resolve says whether a label is in, for certain: it is not sent by anyone
// before the answer that it is not, and may be sent then, or will never be sent.
// While its transaction runs, Resolve waits. The error is one sentence that says
// why it cannot be known; nothing follows from it for the label.
func (o *Output) Resolve(ctx context.Context, l Lookup) (in bool, err error) {
	defer o.faults.set(l.Label, nil)
	return o.lookUp(ctx, &l)
}

func (o *Output) lookUp(ctx context.Context, l *Lookup) (in bool, err error) {
	in, err = o.resolve(ctx, o.destination(l.To), l)
	if in {
		o.metrics.resolved.Inc()
	}
	return in, err
}

func (o *Output) resolve(ctx context.Context, d *destination, l *Lookup) (in bool, err error) {
	wait, began := minBackoff, time.Now()
	for {
		state, err := d.remote.state(ctx, l.Label)
		if err != nil {
			return false, err
		}
		switch state {
		case stateVisible:
			if d == o.main {
				o.noteVisible(l.Label)
			}
			return true, nil
		case stateCommitted:
			if !o.wait {
				return true, nil
			}
		case stateAborted:
			return o.aborted(ctx, d, l)
		case stateUnknown:
			return o.unknown(ctx, d, l)
		}
		if l.Cancel && state != stateCommitted && time.Since(began) >= cancelAfter {
			// Whatever the answer is, the next state tells.
			d.remote.cancel(ctx, l.Label)
		} else {
			o.faults.set(l.Label, d.remote.fault(d.remote.base(), "an earlier try of label "+l.Label+" is still running there",
				"it ends within load.timeout, nothing is sent before"))
		}
		if err := sleep(ctx, wait); err != nil {
			return false, err
		}
		wait = min(wait*2, d.cfg.Load.MaxBackoff, 2*time.Second)
	}
}

// aborted decides about a label whose last transaction was aborted. Before that
// one it may have been in and forgotten: whoever slept over that and begins it
// again finds out before the first byte, but the transaction is there.
func (o *Output) aborted(ctx context.Context, d *destination, l *Lookup) (in bool, err error) {
	select {
	case <-d.described:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if !d.shape.Load().table.provenance() {
		return false, nil
	}
	return o.unknown(ctx, d, l)
}

// unknown decides about a label that may have been sent and that StarRocks does
// not know: it was never begun, or its transaction was lost with a leader, or it
// is in and was forgotten, by age or because a thousand others came after it
// (label_keep_max_num), which a busy database reaches in minutes.
func (o *Output) unknown(ctx context.Context, d *destination, l *Lookup) (in bool, err error) {
	if l.After != "" {
		// The oldest are forgotten first (DatabaseTransactionMgr.java,
		// removeExpiredTxns): while an older one is known, none was.
		state, err := d.remote.state(ctx, l.After)
		if err != nil {
			return false, err
		}
		if state == stateVisible {
			return false, nil
		}
	}
	select {
	case <-d.described:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	switch {
	case d.shape.Load().table.provenance():
		return d.holds(ctx, l.Ranges)
	case d.cfg.Load.OnUnknown == OnUnknownResend:
		return false, nil
	}
	return false, &haltError{d.remote.fault(d.remote.base(),
		"StarRocks does not know the label "+l.Label+" any more, which may have been loaded",
		"the pipeline waits: look in the table for the rows of "+offsets(l.Ranges)+"; set load.on_unknown to resend if they are missing, and move the group's offsets behind them if they are in. With the columns "+
			topicColumn+", "+partitionColumn+" and "+offsetColumn+" and with query_addr, the table itself tells")}
}

// cancel ends a label's transaction, if it runs.
func (c *remote) cancel(ctx context.Context, label string) {
	ctx, cancel := context.WithTimeout(ctx, frontendTimeout)
	defer cancel()
	at := c.base() + "/api/" + c.cfg.Database + "/" + label + "/_cancel"
	for range maxRedirects {
		req, err := c.request(ctx, http.MethodPost, at)
		if err != nil {
			return
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return
		}
		to, err := c.redirect(c.base(), resp)
		resp.Body.Close()
		if to == nil || err != nil {
			return
		}
		at = to.String()
	}
}
