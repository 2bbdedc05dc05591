package agent_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/agent/tail"
	"millrace/filters"
	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// benchLines is the size of the file that each round reads: about 60 MB.
const benchLines = 300_000

// sink is an output that does a part of Kafka's work, or none, and delivers.
type sink struct {
	encode bool
	ended  context.CancelFunc
	want   int64
	seen   atomic.Int64
}

func (s *sink) Write(b *pipeline.Batch) {
	n := len(b.Records)
	for i := range b.Records {
		if s.encode {
			b.Out, _, _ = b.Records[i].AppendJSON(b.Out, 1<<20)
		}
		b.Delivered(b.SpanOf(i), 1)
	}
	b.Done(nil)
	if s.seen.Add(int64(n)) >= s.want {
		s.ended()
	}
}

func (s *sink) Close(context.Context) error { return nil }

// kongFormat is the format that Kong has by itself, which is the bench line's.
var kongFormat = &filters.Kong{Escape: "default", Format: `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" kong_request_id: "$request_id"`}

// BenchmarkAgent reads a file to its end: what it reports is per line.
//
//	read      reading and splitting CRI lines into records
//	encode    and making the stock record of each
//	filters   and a drop with a regular expression and a constant field
//	kong      encode, and the fields of access lines
func BenchmarkAgent(b *testing.B) {
	equals := "nothing"
	path := func(s string) (p filters.Path) {
		if err := p.UnmarshalText([]byte(s)); err != nil {
			b.Fatal(err)
		}
		return p
	}
	some := filters.New([]filters.Config{
		{Drop: &filters.Condition{Field: path("message"), Match: regexp.MustCompile(`^127\.0\.0\.1 `)}},
		{Drop: &filters.Condition{Field: path("kubernetes.pod_name"), Equals: &equals}},
		{Add: filters.Constants{"cluster": "prod"}},
	}, prometheus.NewRegistry())
	access := filters.New(filters.List{{Kong: kongFormat}}, prometheus.NewRegistry())
	for _, bench := range []struct {
		name    string
		encode  bool
		filters []pipeline.Filter
	}{{"read", false, nil}, {"encode", true, nil}, {"filters", true, some}, {"kong", true, access}} {
		b.Run(bench.name, func(b *testing.B) { benchmarkAgent(b, bench.encode, bench.filters) })
	}
}

func benchmarkAgent(b *testing.B, encode bool, fs []pipeline.Filter) {
	read := reader(b, benchLines, encode, fs)
	b.ReportAllocs()
	for b.Loop() {
		read()
	}
	// A round is a whole file; what is of interest is a line of it.
	lines := float64(b.N) * benchLines
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/lines, "ns/line")
	b.ReportMetric(lines/b.Elapsed().Seconds(), "lines/s")
}

// reader is a function that reads a file of so many lines from its beginning
// to its end.
func reader(tb testing.TB, lines int, encode bool, fs []pipeline.Filter) func() {
	logs := tb.TempDir()
	dir := filepath.Join(logs, podDir, "proxy")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0.log"), []byte(strings.Repeat(kongLine+"\n", lines)), 0o644); err != nil {
		tb.Fatal(err)
	}
	var c tail.Config
	config.SetDefaults(&c)
	metadata := &tail.Metadata{Tail: []byte(strings.TrimSuffix(strings.TrimPrefix(kongRecord, kongHead), "}"))}
	return func() {
		ctx, cancel := context.WithCancel(tb.Context())
		ledger := pipeline.NewLedger("bench", tail.LabelNames...)
		source, err := tail.New(tail.Options{Config: c, LogDir: logs, DataDir: filepath.Join(tb.TempDir(), "p"), Ledger: ledger,
			Pool: pipeline.NewPool(32, 2*tail.BatchMemory), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
		if err != nil {
			tb.Fatal(err)
		}
		source.Follow(tail.Target{Key: podDir + "/proxy", Metadata: func(int) (*tail.Metadata, bool) { return metadata, true }})
		p := pipeline.Pipeline{Source: source, Filters: fs, Output: &sink{encode: encode, ended: cancel, want: int64(lines)}}
		if err := p.Run(ctx); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestAllocations: from the file to the encoded record, a line costs no memory of
// its own, with filters or without.
func TestAllocations(t *testing.T) {
	const lines, ceiling = 100_000, 0.01
	kong := filters.New(filters.List{{Kong: kongFormat}}, prometheus.NewRegistry())
	for name, fs := range map[string][]pipeline.Filter{"stock": nil, "kong": kong} {
		few, many := reader(t, lines, true, fs), reader(t, 3*lines, true, fs)
		// What a start costs is in both.
		each := (testing.AllocsPerRun(3, many) - testing.AllocsPerRun(3, few)) / (2 * lines)
		if each > ceiling {
			t.Errorf("%s: %.4f allocations a line, want at most %v", name, each, ceiling)
		}
		t.Logf("%s: %.5f allocations a line", name, each)
	}
}
