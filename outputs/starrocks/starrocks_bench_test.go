package starrocks

import (
	"fmt"
	"strings"
	"testing"

	"millrace/internal/config"
	"millrace/internal/pipeline"
	"millrace/outputs/starrocks/starrockstest"
)

// stockRecord is a record as the Logging operator's pipeline makes it, 1.2 kB.
const stockRecord = `{"time":"2026-08-21T08:15:30.217676062Z","stream":"stdout","logtag":"F","message":"10.42.3.17 - - [21/Aug/2026:08:15:30 +0000] \"GET /orders/42 HTTP/1.1\" 200 512 \"-\" \"curl/8.5.0\" kong_request_id: \"5d3a1c0e6a4b7c1f9e2d8b6a4f0c3e21\"","kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-x2x7k","namespace_name":"kong","pod_id":"3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11","labels":{"app":"kong-kong","app.kubernetes.io/component":"app","app.kubernetes.io/instance":"kong","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"kong","app.kubernetes.io/version":"3.9","helm.sh/chart":"kong-2.48.0","pod-template-hash":"6d5f8c7b9d","version":"3.9"},"annotations":{"kuma.io/gateway":"enabled","kuma.io/service-account-token-volume":"kong-kong-token","traffic.sidecar.istio.io/includeInboundPorts":""},"host":"worker-07","pod_ip":"10.42.3.88","container_name":"proxy","docker_id":"9f1c4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e","container_hash":"docker.io/library/kong@sha256:4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e9f1c","container_image":"docker.io/library/kong:3.9"},"kubernetes_namespace":{"name":"kong","labels":{"kubernetes.io/metadata.name":"kong"}}}`

// BenchmarkRow is one record becoming one row: ns and allocations per row.
func BenchmarkRow(b *testing.B) {
	offset := strings.Replace(stockRecord, "30.217676062Z", "30.217676062+09:00", 1)
	for name, raw := range map[string]string{"UTC": stockRecord, "offset": offset} {
		b.Run(name, func(b *testing.B) {
			e := newEncoder(mustLayout(b, defaultTable(nil), nil))
			r := record(raw)
			dst := make([]byte, 0, 4096)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, _, _, err = e.append(dst[:0], r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkTime(b *testing.B) {
	dst := make([]byte, 0, 64)
	for _, s := range []string{"2026-08-21T08:15:30.217676062Z", "2026-08-21T17:15:30.217676062+09:00"} {
		b.Run(s, func(b *testing.B) {
			text := []byte(s)
			for b.Loop() {
				at, _ := parseTime(text)
				dst = appendDatetime(dst[:0], at)
			}
		})
	}
}

// BenchmarkCompression is what each codec costs per row, and what it saves.
func BenchmarkCompression(b *testing.B) {
	const rows = 10_000
	var body []byte
	e := newEncoder(mustLayout(b, defaultTable(nil), nil))
	for i := range rows {
		raw := strings.ReplaceAll(stockRecord, "orders/42", fmt.Sprintf("orders/%d", i*7919%100003))
		raw = strings.Replace(raw, "5d3a1c0e6a4b7c1f9e2d8b6a4f0c3e21", fmt.Sprintf("%016x%016x", uint64(i)*0x9E3779B97F4A7C15, uint64(i)*0xD1B54A32D192ED03), 1)
		body, _, _, _ = e.append(append(body, ','), record(raw))
	}
	for _, codec := range []string{"none", "lz4", "zstd", "gzip"} {
		b.Run(codec, func(b *testing.B) {
			c, err := newCompressor(codec)
			if err != nil {
				b.Fatal(err)
			}
			var frame []byte
			for b.Loop() {
				if frame, err = c.frame(frame, body); err != nil {
					b.Fatal(err)
				}
				if codec == "none" {
					frame = nil
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
			if len(frame) > 0 {
				b.ReportMetric(float64(len(body))/float64(len(frame)), "ratio")
			}
		})
	}
}

// BenchmarkOutput is batches of 20,000 records to a server that takes and
// drops them, everything on this machine.
func BenchmarkOutput(b *testing.B) {
	const rows = 20_000
	srv, err := starrockstest.New(starrockstest.Config{Discard: true, DDL: []string{testDDL}})
	if err != nil {
		b.Fatal(err)
	}
	defer srv.Close()
	opts := Options{Pipeline: "kong"}
	config.SetDefaults(&opts.Config)
	c := &opts.Config
	c.URLs, c.Database, c.Table, c.Username = []string{srv.URL()}, "quickstart", "kong_log_events", "root"
	c.Password.Value = config.NewSecret("")
	c.Load.MaxPerSecond = 1000
	out, err := New(opts)
	if err != nil {
		b.Fatal(err)
	}
	ledger := pipeline.NewLedger("kong", "topic", "partition")
	account := ledger.Open("logging.kong[0]", "logging.kong", "0")
	origin := &pipeline.Origin{Account: account}
	pool := pipeline.NewPool(2, 64<<20)
	raw := []byte(stockRecord)
	b.ReportAllocs()
	for b.Loop() {
		batch, err := pool.Get(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		batch.Begin(account)
		for i := range rows {
			r := batch.Add()
			r.Origin, r.Raw, r.Offset = origin, raw, int64(i)
		}
		batch.Emitted()
		out.Write(batch)
	}
	if err := out.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}
