package kafka

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/demo/traffic"
	"millrace/internal/pipeline"
)

// recordBatch is what a client hands to a compressor: the records of a batch
// of about a megabyte, in Kafka's format, with lines of a gateway under load,
// which the seed decides.
func recordBatch(seed uint64) (batch []byte, records int) {
	origin := benchOrigin(pipeline.NewLedger("bench", "container"))
	kong := traffic.NewKong(seed, 1)
	at := time.Date(2026, 8, 21, 8, 15, 30, 0, time.UTC)
	for ; len(batch) < defaultLimit-4096; records++ {
		at = at.Add(time.Duration(89_237+records*7919%5000) * time.Microsecond)
		line := kong.Next(at)
		r := pipeline.Record{Origin: origin, Time: at.AppendFormat(nil, time.RFC3339Nano), Tag: batchTag, Message: []byte(line.Message)}
		value, _, _ := r.AppendJSON(nil, defaultLimit)
		var record []byte
		record = append(record, 0, 0)
		record = binary.AppendVarint(record, int64(records))
		record = append(record, 1) // no key
		record = binary.AppendVarint(record, int64(len(value)))
		record = append(append(record, value...), 0)
		batch = append(binary.AppendVarint(batch, int64(len(record))), record...)
	}
	return batch, records
}

// BenchmarkCompress is full record batches through each compressor, one after
// another: a processor would learn the branches of a single one.
func BenchmarkCompress(b *testing.B) {
	var batches [16][]byte
	var records, size int
	for i := range batches {
		var n int
		batches[i], n = recordBatch(uint64(i))
		records += n
		size += len(batches[i])
	}
	snappy, err := kgo.DefaultCompressor(kgo.SnappyCompression())
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name string
		kgo.Compressor
	}{{"zstd", newZstdCompressor()}, {"lz4", &lz4Compressor{}}, {"snappy", snappy}} {
		b.Run(bench.name, func(b *testing.B) {
			var dst bytes.Buffer
			compressed := 0
			b.ReportAllocs()
			for b.Loop() {
				compressed = 0
				for _, batch := range batches {
					dst.Reset()
					out, _ := bench.Compress(&dst, batch)
					compressed += len(out)
				}
			}
			report(b, b.N*records)
			b.ReportMetric(float64(size)/float64(compressed), "ratio")
		})
	}
}
