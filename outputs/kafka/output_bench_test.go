package kafka

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	"millrace/internal/kafkaconn/kafkatest"
	"millrace/internal/pipeline"
)

// benchOrigin has the metadata of an ordinary pod: about 1 kB.
func benchOrigin(l *pipeline.Ledger) *pipeline.Origin {
	const uid = "0d6cbd2e-4a5f-4d5e-9f0e-1f2a3b4c5d6e"
	return &pipeline.Origin{
		Account: l.Open("kong/kong-gateway-7d9c5b8f6d-x2x7k/proxy", "proxy"),
		Stream:  []byte("stdout"),
		Tail: []byte(`,"kubernetes":{"pod_name":"kong-gateway-7d9c5b8f6d-x2x7k","namespace_name":"kong","pod_id":"` + uid + `",` +
			`"labels":{"app":"kong-gateway","app.kubernetes.io/component":"app","app.kubernetes.io/instance":"kong","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"gateway","app.kubernetes.io/version":"3.6","helm.sh/chart":"gateway-2.38.0","pod-template-hash":"7d9c5b8f6d"},` +
			`"annotations":{"kuma.io/gateway":"enabled","kuma.io/service-account-token-volume":"kong-gateway-token","traffic.sidecar.istio.io/includeInboundPorts":""},` +
			`"host":"ip-10-0-12-34.ap-northeast-2.compute.internal","pod_ip":"10.0.12.99","container_name":"proxy","docker_id":"3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100",` +
			`"container_hash":"docker.io/library/kong@sha256:5ad1e3c0f8e9d7c6b5a493827160f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4","container_image":"docker.io/library/kong:3.6"},` +
			`"kubernetes_namespace":{"name":"kong","labels":{"kubernetes.io/metadata.name":"kong"}}`),
		Pod: uid, Container: uid + "/proxy",
	}
}

const benchRecords = 1000 // a batch is one read of 256 KiB

// benchLines are made once: formatting them is not what is measured.
var benchLines, benchTimes = func() (lines, times [benchRecords][]byte) {
	for i := range benchRecords {
		times[i] = fmt.Appendf(nil, "2025-12-10T01:23:10.%09dZ", i*7919)
		lines[i] = fmt.Appendf(nil, `10.1.%d.%d - - [10/Dec/2025:10:23:10 +0900] "GET /api/v1/orders/%d?page=%d HTTP/1.1" 200 0.%03d 0.%03d "shop-api.example.com" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"`,
			i%7, i%250, i*7919, i%13, i%999, i%998)
	}
	return lines, times
}()

func benchBatch(b *testing.B, pool *pipeline.Pool, o *pipeline.Origin, n int) *pipeline.Batch {
	batch, err := pool.Get(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	batch.Mem.Grow(512 << 10)
	batch.Begin(o.Account)
	for i := range n {
		r := batch.Add()
		r.Origin = o
		r.Time = batch.Mem.Copy(benchTimes[i])
		r.Message = batch.Mem.Copy(benchLines[i])
		r.Tag = batchTag
	}
	batch.Emitted()
	return batch
}

var batchTag = []byte("F")

// BenchmarkEncode is a batch into its slab, without a client.
func BenchmarkEncode(b *testing.B) {
	for _, key := range []string{KeyNone, KeyContainer} {
		b.Run("key="+key, func(b *testing.B) {
			m, err := newMetrics(nil, "bench")
			if err != nil {
				b.Fatal(err)
			}
			o := &Output{config: Config{Topic: topic, Key: key}, metrics: m}
			pool := pipeline.NewPool(1, 16<<20)
			origin := benchOrigin(pipeline.NewLedger("bench", "container"))
			batch := benchBatch(b, pool, origin, benchRecords)
			f := &flight{}
			bytes := 0
			b.ReportAllocs()
			for b.Loop() {
				f.board(o, batch)
				f.encode(defaultLimit)
				bytes = f.bytes
			}
			report(b, b.N*benchRecords)
			b.ReportMetric(float64(bytes)/benchRecords, "bytes/record")
		})
	}
}

// BenchmarkProduce is everything from the batch to its confirmation.
func BenchmarkProduce(b *testing.B) {
	for _, compression := range []string{"none", "lz4", "snappy", "zstd", "gzip"} {
		b.Run(compression, func(b *testing.B) {
			benchProduce(b, func(c *Config) { c.Compression = compression }, benchRecords, func() {})
		})
	}
}

// BenchmarkProduceDelivery is the price of transactions, on a real Kafka: a
// fake one commits in no time.
func BenchmarkProduceDelivery(b *testing.B) {
	if os.Getenv("BOOTSTRAP_SASL") == "" {
		b.Skip("no Kafka: BOOTSTRAP_SASL is not set")
	}
	for _, delivery := range []string{AtLeastOnce, ExactlyOnce} {
		for _, compression := range []string{"lz4", "zstd"} {
			b.Run(delivery+"/"+compression, func(b *testing.B) {
				benchProduce(b, func(c *Config) { c.Delivery, c.Compression = delivery, compression }, benchRecords, func() {})
			})
		}
	}
}

// benchPositions is a source with one container.
type benchPositions struct{}

func (benchPositions) Encode(any) (string, []byte, error) {
	return "kong_kong-gateway-7d9c5b8f6d-x2x7k/proxy", []byte(`{"version":1,"file":{"device":2049,"inode":131090,"fingerprint":"9f86d081884c7d65"},"offset":73400320,"seq":17}`), nil
}
func (benchPositions) Restore(map[string][]byte) error   { return nil }
func (benchPositions) Local() (map[string][]byte, error) { return nil, nil }

// benchOptions are those of one node.
func benchOptions(c Config) Options {
	return Options{
		Config: c, Pipeline: "bench", Positions: benchPositions{},
		Life: func(context.Context) (Life, error) {
			return Life{TransactionalID: "millrace-" + c.Topic, Key: "bench/" + c.Topic + "/main", Disk: "disk", Node: "node", Pod: "pod", Adopt: true}, nil
		},
		Commission: func(Place) error { return nil },
	}
}

// BenchmarkLinger is a quiet node: a small batch every millisecond, 10,000
// lines a second. What counts is the processor time.
func BenchmarkLinger(b *testing.B) {
	for _, linger := range []time.Duration{0, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(linger.String(), func(b *testing.B) {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			benchProduce(b, func(c *Config) { c.Linger = linger }, 10, func() { <-tick.C })
		})
	}
}

// benchProduce writes b.N batches of n records, each when next returns.
func benchProduce(b *testing.B, change func(*Config), n int, next func()) {
	var c Config
	config.SetDefaults(&c)
	c.Delivery = AtLeastOnce
	c.Conn, c.Topic = benchBroker(b)
	change(&c)
	out, err := New(benchOptions(c))
	if err != nil {
		b.Fatal(err)
	}
	pool := pipeline.NewPool(24, 16<<20)
	origin := benchOrigin(pipeline.NewLedger("bench", "container"))
	for range 2 * pool.Size() { // every batch has its memory
		out.Write(benchBatch(b, pool, origin, benchRecords))
	}
	<-out.flights.idle()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := cpuTime(b)
	b.ResetTimer()
	for range b.N {
		next()
		out.Write(benchBatch(b, pool, origin, n))
	}
	if err := out.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	cpu = cpuTime(b) - cpu
	ratio := metricValue(out.metrics.bytes) / metricValue(out.metrics.wire)
	runtime.ReadMemStats(&after)
	records := float64(b.N * n)
	report(b, b.N*n)
	b.ReportMetric(float64(cpu.Nanoseconds())/records, "cpu-ns/record")
	b.ReportMetric(ratio, "ratio")
	if c.Delivery == ExactlyOnce {
		var m dto.Metric
		if err := out.metrics.commitTime.Write(&m); err != nil {
			b.Fatal(err)
		}
		h := m.GetHistogram()
		b.ReportMetric(1000*h.GetSampleSum()/float64(h.GetSampleCount()), "ms/commit")
	}
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/records, "allocs/record")
}

// benchBroker is the Kafka that the environment names, over TLS and SCRAM, or
// else a fake one in this process, whose share of the processor time counts.
func benchBroker(b *testing.B) (kafkaconn.Config, string) {
	if addr, ca := os.Getenv("BOOTSTRAP_SASL"), os.Getenv("KAFKA_CA"); addr != "" && ca != "" {
		real := &kafkatest.Broker{Addr: addr, CAFile: ca}
		name := "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		err := real.Admin(func(admin *kadm.Client) error {
			_, err := admin.CreateTopic(b.Context(), 4, 1, nil, name)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		return real.Conn(kafkatest.AdminUser, kafkatest.AdminPassword), name
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topic), kfake.BlackholeProduce())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cluster.Close)
	return kafkaconn.Config{Brokers: cluster.ListenAddrs()}, topic
}

// cpuTime is the processor time of this process.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func metricValue(c prometheus.Metric) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return 0
	}
	return m.GetCounter().GetValue()
}

func report(b *testing.B, records int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
	b.ReportMetric(0, "ns/op")
}
