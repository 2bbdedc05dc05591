package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"millrace/demo/traffic"
	"millrace/internal/pipeline"
	"millrace/outputs/kafka"
)

const (
	lineLimit = 1 << 20
	perBatch  = 500 // records
)

// write has the output write n records, and adds them up.
func write(ctx context.Context, c *kafka.Config, n int) (s sum, err error) {
	out, err := kafka.New(kafka.Options{Config: *c, Pipeline: "decoders"})
	if err != nil {
		return s, err
	}
	pool := pipeline.NewPool(16, 8<<20)
	w := newWriter()
	for s.records < uint64(n) {
		b, err := pool.Get(ctx)
		if err != nil {
			return s, err
		}
		if err := w.fill(b, min(perBatch, n-int(s.records)), &s); err != nil {
			return s, err
		}
		out.Write(b)
	}
	if err := out.Close(ctx); err != nil {
		return s, err
	}
	return s, nil
}

// writer makes up records, as those of one container after another.
type writer struct {
	random  *rand.Rand
	kong    *traffic.Kong
	at      time.Time
	origins []*pipeline.Origin
	made    int
	value   []byte
}

func newWriter() *writer {
	w := &writer{random: rand.New(rand.NewPCG(1, 2)), kong: traffic.NewKong(1, 1), at: time.Date(2026, 8, 21, 8, 15, 30, 0, time.UTC)}
	ledger := pipeline.NewLedger("decoders", "container")
	for i := range 20 {
		uid := fmt.Sprintf("%08d-7a52-4f0a-9c0b-0d7f2f4b7e11", i)
		w.origins = append(w.origins, &pipeline.Origin{
			Account: ledger.Open(uid, "proxy"), Stream: []byte("stdout"), Pod: uid, Container: uid + "/proxy",
			Tail: fmt.Appendf(nil, `,"kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-%05d","namespace_name":"kong","pod_id":"%s",`+
				`"labels":{"app.kubernetes.io/name":"kong","helm.sh/chart":"kong-2.48.0"},"host":"worker-07","container_name":"proxy"}`, i, uid),
		})
	}
	return w
}

// fill puts n records into a batch and adds them up.
func (w *writer) fill(b *pipeline.Batch, n int, s *sum) error {
	o := w.origins[w.random.IntN(len(w.origins))]
	b.Begin(o.Account)
	for range n {
		w.at = w.at.Add(time.Duration(1 + w.random.IntN(200_000)))
		r := b.Add()
		r.Origin, r.Tag = o, []byte("F")
		r.Time = b.Mem.Copy(w.at.AppendFormat(nil, time.RFC3339Nano))
		r.Message = b.Mem.Copy(w.line())
		var fits bool
		if w.value, _, fits = r.AppendJSON(w.value[:0], lineLimit); !fits {
			return fmt.Errorf("a line of %d bytes does not fit a record", len(r.Message))
		}
		s.add(w.value)
	}
	b.Emitted()
	return nil
}

// line is the next line: Kong's, or now and then one that compresses in another
// way.
func (w *writer) line() []byte {
	w.made++
	if w.made%1000 != 0 {
		return []byte(w.kong.Next(w.at).Message)
	}
	n := w.random.IntN(1 << w.random.IntN(18))
	switch w.random.IntN(3) {
	case 0:
		return bytes.Repeat([]byte{byte(w.random.IntN(256))}, n)
	case 1:
		message := []byte(w.kong.Next(w.at).Message)
		return bytes.Repeat(message, 1+n/len(message)) // some are long
	}
	noise := make([]byte, n)
	for i := range noise {
		noise[i] = byte(w.random.IntN(256))
	}
	return noise
}
