package ops_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"millrace/internal/ops"
	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// TestLedgerIsShown: what an operator asks about a container's lines is at
// /status and in the metrics, under the names that dashboards use.
func TestLedgerIsShown(t *testing.T) {
	ledger := pipeline.NewLedger("kong", "namespace", "pod", "container")
	registry := ops.NewRegistry()
	registry.MustRegister(ledger)
	a := startAdminOf(t, registry)
	var group pipeline.Group
	group.Go(ledger, func() error { return nil })
	a.page.Status("pipelines", group.Status)

	written := time.Now().Add(-time.Hour).UTC()
	account := fillLedger(t, ledger, written)
	want := map[string]float64{"read": 9, "reread": 2, "delivered": 2, "filtered": 0, "pending": 4, "handed_over": 0, "cut": 1}

	var page struct{ Pipelines []pipeline.Status }
	_, body := a.get("/status", "")
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if len(page.Pipelines) != 1 || len(page.Pipelines[0].Accounts) != 1 {
		t.Fatalf("not one pipeline with one container in %s", body)
	}
	status := page.Pipelines[0]
	for _, b := range []pipeline.Balance{status.Ledger, status.Accounts[0].Balance} {
		if !b.Oldest.Equal(written) || b.OldestAge < 3600 || b.OldestAge > 7200 || b.Missing() != 0 ||
			!maps.Equal(b.Dropped, map[string]int64{"too_large": 1, "refused": 2}) {
			t.Errorf("/status says %+v", b)
		}
	}
	if labels := map[string]string{"namespace": "ns", "pod": "p", "container": "c"}; status.Accounts[0].Name != "ns/p/c" || !maps.Equal(status.Accounts[0].Labels, labels) {
		t.Errorf("/status calls it %+v", status.Accounts[0])
	}
	var raw struct {
		Pipelines []struct{ Accounts []map[string]any }
	}
	if err := json.Unmarshal([]byte(body), &raw); err != nil {
		t.Fatal(err)
	}
	shown := raw.Pipelines[0].Accounts[0]
	if shown["oldest_pending"] != written.Format(time.RFC3339Nano) || shown["oldest_pending_age_seconds"].(float64) < 3600 {
		t.Errorf("/status says %v", shown)
	}
	labels := `container="c",namespace="ns",pipeline="kong",pod="p"`
	_, metrics := a.get("/metrics", "")
	for term, n := range want {
		if shown[term] != n {
			t.Errorf("/status says %v of %s, want %v", shown[term], term, n)
		}
		name := "millrace_records_" + term + "_total"
		if term == "pending" {
			name = "millrace_records_pending"
		}
		if sample := fmt.Sprintf("%s{%s} %v\n", name, labels, n); !strings.Contains(metrics, sample) {
			t.Errorf("%s is not in the metrics", sample)
		}
	}
	for _, sample := range []string{
		"millrace_records_dropped_total{" + labels + `,reason="too_large"} 1`,
		"millrace_records_dropped_total{" + labels + `,reason="refused"} 2`,
		"millrace_records_oldest_pending_age_seconds{" + labels + "} 36",
	} {
		if !strings.Contains(metrics, sample) {
			t.Errorf("%s is not in the metrics", sample)
		}
	}
	ledger.Close(account)
	if _, body := a.get("/status", ""); !strings.Contains(body, `"oldest_pending"`) || !strings.Contains(body, `"accounts": []`) {
		t.Errorf("after the container is gone: %s", body)
	}
}

// fillLedger lets a container have some of everything; its oldest pending line
// is of the given time.
func fillLedger(t *testing.T, ledger *pipeline.Ledger, written time.Time) *pipeline.Account {
	account := ledger.Open("ns/p/c", "ns", "p", "c")
	pool := pipeline.NewPool(5, 1<<20)
	emit := func(n int, at time.Time) *pipeline.Batch {
		b, err := pool.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.Begin(account)
		for range n {
			b.Add().Time = []byte(at.Format(time.RFC3339Nano))
		}
		b.Emitted()
		return b
	}
	done := emit(5, written.Add(-time.Hour))
	done.Delivered(0, 2)
	done.Dropped(0, 1, pipeline.TooLarge)
	done.Dropped(0, 2, pipeline.Refused)
	done.Done(nil)
	emit(2, written).Done(pipeline.ErrAborted)
	account.Rewound()
	emit(2, written)
	emit(2, written.Add(time.Minute))
	account.Cut.Add(1)
	if faults := pipelinetest.Audit(ledger); len(faults) > 0 {
		t.Fatal(faults)
	}
	return account
}
