package tail

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// BenchmarkPollQuiet is one look at 2,000 containers that write nothing; four
// such looks make a second at most, and one when all have been quiet for ten.
func BenchmarkPollQuiet(b *testing.B) {
	const containers = 2000
	logs := b.TempDir()
	var c Config
	config.SetDefaults(&c)
	s, err := New(Options{Config: c, LogDir: logs, DataDir: filepath.Join(b.TempDir(), "p"), Pool: pipeline.NewPool(4, 4<<20),
		Ledger: pipeline.NewLedger("bench", LabelNames...), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	for i := range containers {
		key := fmt.Sprintf("ns_pod-%d_uid/main", i)
		dir := filepath.Join(logs, key)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "0.log"), nil, 0o644); err != nil {
			b.Fatal(err)
		}
		s.Follow(Target{Key: key, Name: key, Metadata: func(int) (*Metadata, bool) { return &storyMetadata, true }})
	}
	for _, c := range s.containers {
		c.poll(time.Now().Add(2 * dirSettle)) // an old directory needs to be listed once
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range s.containers {
			c.quiet = 0
		}
		s.poll()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/containers, "ns/container")
}
