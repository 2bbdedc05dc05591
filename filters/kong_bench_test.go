package filters_test

import (
	"syscall"
	"testing"
	"time"

	"millrace/demo/traffic"
	"millrace/internal/pipeline"
)

const accessLine = `101.42.3.17 [10/Dec/2025:10:23:10 +0900] "GET /api/v1/products/12?sort=-created_at&request_id=5d3a1c0e6a4b7c1f HTTP/1.1" 200 0.123 0.120 ` +
	`"shop-api.example.com" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"`

// BenchmarkKong is what the filter costs a record.
//
//	access     an ordinary access line
//	escapes    one with escapes and several tries
//	traffic    all that a Kong container writes
//	collector  an access line as JSON
func BenchmarkKong(b *testing.B) {
	var all []pipeline.Record
	kong := traffic.NewKong(1, 1)
	for i := range 1000 {
		all = append(all, agentRecord(kong.Next(time.Unix(1e9+int64(i), 0)).Message))
	}
	for _, bench := range []struct {
		name    string
		records []pipeline.Record
	}{
		{"access", []pipeline.Record{agentRecord(accessLine)}},
		{"escapes", []pipeline.Record{agentRecord(`2001:db8::1 [10/Dec/2025:10:23:10 +0900] "GET /a?q=\x22red+shoes\x22 HTTP/1.1" 502 0.2 0.1, - : 0.05 "shop-api.example.com" "ShopApp/7.3 (\x22beta\x22; ko-KR)"`)}},
		{"traffic", all},
		{"collector", []pipeline.Record{collectorRecord(b, accessLine)}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			fs, err := load(b, "- kong: {}")
			if err != nil {
				b.Fatal(err)
			}
			var mem pipeline.Arena
			mem.Grow(1 << 20)
			b.ReportAllocs()
			i, begun := 0, cpu(b)
			for b.Loop() {
				if i++; i >= len(bench.records) {
					i = 0
				}
				r := &bench.records[i]
				r.Added = r.Added[:0]
				mem.Reset(1 << 20)
				fs[0].Apply(r, &mem)
			}
			b.ReportMetric(float64(cpu(b)-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu is the time that the process has computed. What a line costs is seen by
// it also where others use the machine.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
