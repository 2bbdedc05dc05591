package main

import (
	"context"
	"time"
)

// The windows in which a collector is killed, as far as they can be told from
// outside: by what stands beside the group's offsets, and by what StarRocks
// knows of the labels there.
const (
	memberStarting   = "starting"       // it was not ready yet
	memberResolving  = "resolving"      // a plan still stands that a killed process left
	memberCollecting = "collecting"     // no plan, and records that are not in the table
	memberPlanned    = "planned"        // the plan stands, and StarRocks does not know its label
	memberLoading    = "loading"        // the label's transaction ran
	memberCommitted  = "committed"      // it was committed, and its rows not visible yet
	memberLoaded     = "loaded"         // the rows were visible, and the offsets not committed
	memberAborted    = "aborted"        // the transaction was aborted, and has to be sent again
	memberBroker     = "broker-away"    // a broker is dead
	memberStarRocks  = "starrocks-away" // the stand-in is dead
	memberIdle       = "idle"           // none of these
	memberForgotten  = "forgotten"      // besides: the labels of its plans were forgotten while it was dead
)

// memberWindows are all of them, in the order of reports.
var memberWindows = []string{memberStarting, memberResolving, memberCollecting, memberPlanned, memberLoading, memberCommitted,
	memberLoaded, memberAborted, memberBroker, memberStarRocks, memberForgotten}

// The windows in which the stand-in is killed; it has broker-away besides.
const (
	idleTable    = "no-load"         // rows are on their way, and no transaction runs
	loadingTable = "loading"         // transactions run
	missedTable  = "collectors-away" // a collector is dead
)

var tableWindows = []string{idleTable, loadingTable, missedTable, memberBroker}

// memberWindows says where a member was when it was killed, and lists the plans
// that it leaves.
func (r *run) memberWindows(ctx context.Context, m *collector, killed time.Time) (windows, plans []string) {
	defer func() {
		if !m.ready {
			windows = append([]string{memberStarting}, windows...)
		}
	}()
	if r.warehouse.away.Load() {
		windows = append(windows, memberStarRocks)
	}
	if r.brokersAway.Load() > 0 {
		return append(windows, memberBroker), nil
	}
	all, err := r.cluster.plans(ctx)
	if err != nil {
		return windows, nil
	}
	left := map[string]bool{}
	for _, p := range all {
		old := m.plans[p.Label]
		if left[p.Label] || !old && !m.mayOwn(&p) {
			continue
		}
		left[p.Label] = true
		window := memberResolving
		if !old {
			window = r.labelWindow(ctx, p.Label, killed)
		}
		plans = append(plans, p.Label)
		if window != "" && (m.ready || !old) {
			windows = append(windows, window)
		}
	}
	m.plans = left
	return windows, plans
}

// labelWindow says where a load was at a moment just passed; empty if nobody
// can tell.
func (r *run) labelWindow(ctx context.Context, label string, at time.Time) string {
	if r.warehouse.away.Load() {
		return ""
	}
	l, err := r.warehouse.label(ctx, label)
	switch {
	case err != nil:
		return ""
	case l.State == "UNKNOWN" || l.Begun.After(at):
		return memberPlanned
	case l.State == "PREPARE" || l.Finished.After(at):
		return memberLoading
	case l.State == "COMMITTED":
		return memberCommitted
	case l.State == "VISIBLE":
		return memberLoaded
	}
	return memberAborted
}
