package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/agent/tail"
	"millrace/filters"
	"millrace/internal/config"
	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

const (
	filterSeconds   = 4
	filterPerSecond = 500 // lines of each second: several batches
	filterLimit     = 400
)

// wavering is an output that aborts some batches and delivers the others.
type wavering struct {
	*pipelinetest.Recorder
	abort map[int]bool // by number of Write
	ended context.CancelFunc

	mu           sync.Mutex
	writes, read int
}

// Write implements pipeline.Output.
func (o *wavering) Write(b *pipeline.Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for i := range b.Spans {
		n += b.Spans[i].Records()
	}
	if o.abort[o.writes] {
		o.SetMode(pipelinetest.Abort)
	} else {
		o.SetMode(pipelinetest.Deliver)
		o.read += n
	}
	o.writes++
	o.Recorder.Write(b)
	if o.read >= filterSeconds*filterPerSecond {
		o.ended()
	}
}

// filtered runs a file of access lines through all filters and returns what
// was delivered, by line number.
func filtered(t *testing.T, abort map[int]bool) map[string]string {
	t.Helper()
	logs := t.TempDir()
	if err := os.MkdirAll(filepath.Join(logs, podDir, "proxy"), 0o755); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for i := range filterSeconds * filterPerSecond {
		fmt.Fprintf(&text, `2026-01-01T00:00:%02d.%03dZ stdout F 101.42.3.17 [x] "GET /api?token=secret%d&line=%d HTTP/1.1" 200 0.1 0.1 "shop-api.example.com" "%s"`+"\n",
			i/filterPerSecond, i%filterPerSecond, i, i, strings.Repeat("x", 300))
	}
	if err := os.WriteFile(filepath.Join(logs, podDir, "proxy", "0.log"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	list := filters.List{{Mask: &filters.Mask{Match: regexp.MustCompile(`token=\w+`), Replace: "token=*"}}, {Kong: new(filters.Kong)},
		{Limit: &filters.Limit{LinesPerSecond: filterLimit}}, {Add: filters.Constants{"cluster": "prod"}}}
	list[0].Mask.SetDefaults()
	list[1].Kong.SetDefaults()

	var c tail.Config
	config.SetDefaults(&c)
	ctx, cancel := context.WithCancel(t.Context())
	ledger := pipeline.NewLedger("filters", tail.LabelNames...)
	pool := pipeline.NewPool(8, 2*tail.BatchMemory)
	source, err := tail.New(tail.Options{Config: c, LogDir: logs, DataDir: filepath.Join(t.TempDir(), "p"), Ledger: ledger,
		Pool: pool, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	source.Follow(tail.Target{Key: podDir + "/proxy", Metadata: func(int) (*tail.Metadata, bool) { return &tail.Metadata{}, true }})
	out := &wavering{Recorder: &pipelinetest.Recorder{Encode: func(r *pipeline.Record) string {
		json, _, _ := r.AppendJSON(nil, 1<<20)
		return string(json)
	}}, abort: abort, ended: cancel}
	p := pipeline.Pipeline{Source: source, Filters: filters.New(list, prometheus.NewRegistry()), Output: out}
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if out.writes < 4+len(abort) {
		t.Fatalf("only %d batches were written", out.writes)
	}
	number := regexp.MustCompile(`line=\d+`)
	delivered := map[string]string{}
	for _, record := range out.Take() {
		line := number.FindString(record)
		if _, twice := delivered[line]; twice {
			t.Errorf("%s is delivered twice", line)
		}
		delivered[line] = record
	}
	total := ledger.Total()
	if total.Delivered != int64(len(delivered)) || total.Delivered+total.Filtered != filterSeconds*filterPerSecond {
		t.Errorf("%d records are there, the ledger says %+v", len(delivered), total)
	}
	pipelinetest.CheckBalance(t, ledger, pool, out.Recorder)
	return delivered
}

// What is aborted and read again comes out of the filters with the same bytes.
// Which lines of a second the limit keeps is decided once more where reading goes
// on: never fewer than it allows, and at most as many again for each abort.
func TestFiltersOverAborts(t *testing.T) {
	straight := filtered(t, nil)
	if len(straight) != filterSeconds*filterLimit {
		t.Errorf("%d lines are kept, want %d", len(straight), filterSeconds*filterLimit)
	}
	abort := map[int]bool{1: true, 2: true, 5: true}
	again := filtered(t, abort)
	for line, record := range straight {
		if a, ok := again[line]; !ok {
			t.Errorf("%s is kept without aborts only", line)
		} else if a != record {
			t.Errorf("%s is\n%s\nand after an abort\n%s", line, record, a)
		}
	}
	if more := len(again) - len(straight); more < 0 || more > len(abort)*(filterPerSecond-filterLimit) {
		t.Errorf("%d lines more are kept after %d aborts", more, len(abort))
	}
	for line, record := range again {
		if strings.Contains(record, "secret") || !strings.Contains(record, `"query":"token=*&`) || !strings.HasSuffix(record, `"project":"shop","cluster":"prod"}`) {
			t.Errorf("%s is %s", line, record)
		}
	}
}
