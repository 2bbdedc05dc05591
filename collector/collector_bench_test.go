package collector

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
	"millrace/outputs/starrocks"
)

// BenchmarkCollector is b.N records of 1.2 kB in zstd batches, from a broker in
// this process to an end that takes the loads and drops them. The CPU time is
// of the whole process, broker and end included.
func BenchmarkCollector(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, testTopic))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	fill(b, cluster.ListenAddrs(), b.N)
	end := &dropEnd{all: int64(b.N), done: make(chan struct{})}
	server := httptest.NewServer(end)
	defer server.Close()

	var out starrocks.Options
	config.SetDefaults(&out.Config)
	out.Pipeline = "kong"
	out.Config.URLs, out.Config.Database, out.Config.Table, out.Config.Username = []string{server.URL}, "d", "t", "u"
	out.Config.Load.MaxPerSecond = 1000
	output, err := starrocks.New(out)
	if err != nil {
		b.Fatal(err)
	}
	m := shareMemory(512<<20, 1, 2)
	s, err := newSource(sourceOptions{
		config:   KafkaConfig{Conn: kafkaconn.Config{Brokers: cluster.ListenAddrs()}, Topic: testTopic, Group: testGroup, StartAt: startAtBeginning},
		pipeline: "kong",
		loads:    output,
		limits:   limits{bytes: 64 << 20, rows: 500_000, weight: m.batch, age: 50 * time.Millisecond},
		memory:   m, lanes: 2,
		pool:   pipeline.NewPool(2, 2*m.batch),
		ledger: pipeline.NewLedger("kong", labelNames...),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	line := pipeline.Pipeline{Source: s, Output: output, Drain: time.Minute}
	ended := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	go func() { ended <- line.Run(ctx) }()
	<-end.done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/row")
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// dropEnd takes loads without a redirect, counts their rows and drops them.
type dropEnd struct {
	rows atomic.Int64
	all  int64
	done chan struct{}
}

func (d *dropEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rows := 1
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Body.Read(buf)
		rows += bytes.Count(buf[:n], []byte{'\n'})
		if err == io.EOF {
			break
		}
		if err != nil {
			return
		}
	}
	_, _ = fmt.Fprintf(w, `{"TxnId":1,"Status":"Success","NumberTotalRows":%d,"NumberLoadedRows":%d}`, rows, rows)
	if d.rows.Add(int64(rows)) == d.all {
		close(d.done)
	}
}

func fill(b *testing.B, addrs []string, n int) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic(testTopic),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	filler := strings.Repeat(`"app.kubernetes.io/name":"kong",`, 26)
	var failed atomic.Pointer[error]
	for i := range n {
		value := fmt.Sprintf(`{"time":"2026-08-21T08:15:30.%09dZ","stream":"stdout","logtag":"F","message":"10.42.3.17 - - [21/Aug/2026:08:15:30 +0000] \"GET /orders/%d HTTP/1.1\" 200 0.%03d 0.120 \"shop-api.example.com\" \"curl/8.5.0\"","kubernetes":{"pod_name":"kong-1","labels":{%s"a":"b"}}}`, i, i*7919, i%1000, filler)
		client.Produce(b.Context(), kgo.StringRecord(value), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
}

// cpuTime is what the process has used, in nanoseconds.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
