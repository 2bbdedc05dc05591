package starrockstest

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchBody is n records of the stock shape (about 1.2 kB) of 40 containers.
func benchBody(n int) []byte {
	var b bytes.Buffer
	at := time.Date(2026, 8, 21, 8, 15, 30, 0, time.UTC)
	for i := range n {
		c := i % 40
		fmt.Fprintf(&b, `{"time":"%s","stream":"stdout","logtag":"F","message":"10.42.3.%d - - [21/Aug/2026:08:15:30 +0000] \"GET /orders/%d HTTP/1.1\" 200 512 \"-\" \"curl/8.5.0\" kong_request_id: \"%032x\"","kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-x%04d","namespace_name":"kong","pod_id":"3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11","labels":{"app":"kong-kong","app.kubernetes.io/component":"app","app.kubernetes.io/instance":"kong","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"kong","app.kubernetes.io/version":"3.9","helm.sh/chart":"kong-2.48.0","pod-template-hash":"6d5f8c7b9d","version":"3.9"},"annotations":{"kuma.io/gateway":"enabled","kuma.io/service-account-token-volume":"kong-kong-token","traffic.sidecar.istio.io/includeInboundPorts":""},"host":"worker-07","pod_ip":"10.42.3.88","container_name":"proxy","docker_id":"9f1c4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e","container_hash":"docker.io/library/kong@sha256:4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e9f1c","container_image":"docker.io/library/kong:3.9"},"kubernetes_namespace":{"name":"kong","labels":{"kubernetes.io/metadata.name":"kong"}}}`,
			at.Add(time.Duration(i)*time.Millisecond).Format("2006-01-02 15:04:05.000000"), c, i, i, c)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func benchTable(b *testing.B) *table {
	s, err := New(Config{DDL: []string{userTable}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	_, t, err := s.find("quickstart", "kong_log_events")
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func BenchmarkScan(b *testing.B) {
	const n = 10000
	body, t := benchBody(n), benchTable(b)
	plan := &loadPlan{strict: true}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		batch := newRowBatch(t, t.snapshot().columns, 1, "l")
		var r loadResult
		if _, err := plan.scan(body, batch, &r); err != nil || r.Loaded != n {
			b.Fatal(err, r)
		}
		batch.cut()
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkLoad is whole loads over HTTP: in memory, with the edit log, and
// discarding.
func BenchmarkLoad(b *testing.B) {
	const n = 20000
	plain := benchBody(n)
	for name, cfg := range map[string]Config{"memory": {}, "log": {Dir: b.TempDir()}, "discard": {Discard: true}, "discard-zstd": {Discard: true}} {
		b.Run(name, func(b *testing.B) {
			body, codec := string(plain), ""
			if name == "discard-zstd" {
				body, codec = string(rowEncoder.EncodeAll(plain, nil)), "zstd"
			}
			cfg.DDL = []string{userTable}
			s, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.SetBytes(int64(len(plain)))
			before := cpuTime()
			for b.Loop() {
				r, err := http.NewRequest("PUT", s.BackendURLs()[0]+"/api/quickstart/kong_log_events/_stream_load", strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				r.SetBasicAuth("root", "")
				r.Header.Set("Expect", "100-continue")
				r.Header.Set("format", "json")
				r.Header.Set("compression", codec)
				resp, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Contains(text, []byte(`"NumberLoadedRows": 20000,`)) {
					b.Fatalf("%s %v", text, err)
				}
				b.StopTimer()
				if err := s.Exec("quickstart", "TRUNCATE TABLE kong_log_events"); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/n, "cpu-ns/row") // with the client's
		})
	}
}

func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail with these arguments
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkDashboard is the data set of the Kong dashboard over 200,000 rows.
func BenchmarkDashboard(b *testing.B) {
	const n = 200_000
	s, err := New(Config{DDL: []string{userTable}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	_, t, err := s.find("quickstart", "kong_log_events")
	if err != nil {
		b.Fatal(err)
	}
	batch := newRowBatch(t, t.snapshot().columns, 1, "l")
	var r loadResult
	if _, err := (&loadPlan{}).scan(benchBody(n), batch, &r); err != nil {
		b.Fatal(err)
	}
	batch.cut()
	t.publish(batch.out)
	batch = nil
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	c, err := sql.Open("mysql", s.DSN("root", "", "quickstart"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		q := "SELECT date_trunc('minute', kst_time) AS m, COUNT(*), AVG(CAST(nullif(regexp_extract(message, 'HTTP/[0-9.]+\" [0-9]{3} ([0-9.]+)', 1), '') AS DOUBLE))" +
			" FROM kong_log_events WHERE stream = 'stdout' AND message LIKE '%HTTP/%' AND REGEXP(message, '^[0-9]{1,3}\\\\.[0-9]{1,3}') AND SPLIT_PART(message, ' ', 1) <> '127.0.0.1' GROUP BY m"
		rows, err := c.Query(q)
		if err != nil {
			b.Fatal(err)
		}
		groups := 0
		for rows.Next() {
			groups++
		}
		if rows.Close(); groups != 4 {
			b.Fatal(groups, rows.Err())
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(mem.HeapAlloc)/n, "heap-B/row")
}
