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
	// The format that Kong has by itself, which is the bench line's.
	kong := &filters.Kong{Escape: "default", Format: `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" kong_request_id: "$request_id"`}
	some := filters.New([]filters.Config{
		{Drop: &filters.Condition{Field: path("message"), Match: regexp.MustCompile(`^127\.0\.0\.1 `)}},
		{Drop: &filters.Condition{Field: path("kubernetes.pod_name"), Equals: &equals}},
		{Add: filters.Constants{"cluster": "prod"}},
	}, prometheus.NewRegistry())
	access := filters.New(filters.List{{Kong: kong}}, prometheus.NewRegistry())
	for _, bench := range []struct {
		name    string
		encode  bool
		filters []pipeline.Filter
	}{{"read", false, nil}, {"encode", true, nil}, {"filters", true, some}, {"kong", true, access}} {
		b.Run(bench.name, func(b *testing.B) { benchmarkAgent(b, bench.encode, bench.filters) })
	}
}

func benchmarkAgent(b *testing.B, encode bool, fs []pipeline.Filter) {
	logs := b.TempDir()
	dir := filepath.Join(logs, podDir, "proxy")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0.log"), []byte(strings.Repeat(kongLine+"\n", benchLines)), 0o644); err != nil {
		b.Fatal(err)
	}
	var c tail.Config
	config.SetDefaults(&c)
	metadata := &tail.Metadata{Tail: []byte(strings.TrimSuffix(strings.TrimPrefix(kongRecord, kongHead), "}"))}
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		ledger := pipeline.NewLedger("bench", tail.LabelNames...)
		source, err := tail.New(tail.Options{Config: c, LogDir: logs, DataDir: filepath.Join(b.TempDir(), "p"), Ledger: ledger,
			Pool: pipeline.NewPool(32, 2*tail.BatchMemory), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
		if err != nil {
			b.Fatal(err)
		}
		source.Follow(tail.Target{Key: podDir + "/proxy", Metadata: func(int) (*tail.Metadata, bool) { return metadata, true }})
		p := pipeline.Pipeline{Source: source, Filters: fs, Output: &sink{encode: encode, ended: cancel, want: benchLines}}
		if err := p.Run(ctx); err != nil {
			b.Fatal(err)
		}
	}
	// A round is a whole file; what is of interest is a line of it.
	lines := float64(b.N) * benchLines
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/lines, "ns/line")
	b.ReportMetric(lines/b.Elapsed().Seconds(), "lines/s")
}
