package starrocks

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// labelState is what StarRocks knows of a label (GetStreamLoadState.java).
type labelState string

const (
	stateUnknown   labelState = "UNKNOWN"
	statePrepare   labelState = "PREPARE"
	statePrepared  labelState = "PREPARED"
	stateCommitted labelState = "COMMITTED"
	stateVisible   labelState = "VISIBLE"
	stateAborted   labelState = "ABORTED"
)

// state asks what became of a label, one frontend after another. A follower
// sends us on to the leader.
func (c *remote) state(ctx context.Context, label string) (state labelState, err error) {
	for range c.cfg.URLs {
		base := c.base()
		if state, err = c.stateAt(ctx, base, label); err == nil || ctx.Err() != nil {
			return state, err
		}
		c.nextBase(base)
	}
	return "", err
}

func (c *remote) stateAt(ctx context.Context, base, label string) (labelState, error) {
	ctx, cancel := context.WithTimeout(ctx, frontendTimeout)
	defer cancel()
	at := base + "/api/" + c.cfg.Database + "/get_load_state?label=" + url.QueryEscape(label)
	for range maxRedirects {
		a, next, err := c.ask(ctx, base, at)
		if err != nil {
			return "", err
		}
		if next != nil {
			at = next.String()
			continue
		}
		switch s := labelState(a.State); s {
		case stateUnknown, statePrepare, statePrepared, stateCommitted, stateVisible, stateAborted:
			return s, nil
		}
		return "", c.refusedState(base, a)
	}
	return "", c.fault(base, "asked for the state of a label, it redirects from one address to the next", "check urls")
}

func (c *remote) ask(ctx context.Context, base, at string) (*answer, *url.URL, error) {
	const advice = "check urls and that the frontend runs; until it tells, nothing is sent again"
	req, err := c.request(ctx, http.MethodGet, at)
	if err != nil {
		return nil, nil, c.fault(base, reason(err), advice)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, c.fault(base, "the frontend does not tell the state of a label: "+reason(err), advice)
	}
	defer resp.Body.Close()
	if to, err := c.redirect(base, resp); to != nil || err != nil {
		return nil, to, err
	}
	a, err := readAnswer(resp)
	if err != nil {
		return nil, nil, c.fault(base, "the frontend does not tell the state of a label: "+reason(err), advice)
	}
	return a, nil, nil
}

func (c *remote) refusedState(base string, a *answer) error {
	message := (*table)(nil).clean(a.text())
	if a.code == http.StatusUnauthorized {
		return c.fault(base, "StarRocks refuses the user or the password: "+message, adviceOn("access denied"))
	}
	if message == "" {
		message = fmt.Sprintf("HTTP %d", a.code)
	}
	return c.fault(base, "the frontend does not tell the state of a label: "+message, "until it tells, nothing is sent again")
}
