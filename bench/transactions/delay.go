package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// seen is a line that a read_committed reader got.
type seen struct {
	node      int
	partition int32
	written   time.Time
	delay     time.Duration
}

// text is what a line says: who wrote it and when, which no other line of the
// node says.
func text(node int, at time.Time) string {
	return fmt.Sprintf("from=%d at=%d GET /api/orders/4711 200 0.183 upstream=10.42.3.88:8080 agent=Mozilla/5.0", node, at.UnixNano())
}

// number is what follows a mark in a record.
func number(value []byte, mark string) (int64, error) {
	_, rest, ok := bytes.Cut(value, []byte(mark))
	end := bytes.IndexByte(rest, ' ')
	if !ok || end < 0 {
		return 0, fmt.Errorf("read a record: it holds no %q", mark)
	}
	return strconv.ParseInt(string(rest[:end]), 10, 64)
}

// reader reads the topic as a consumer with isolation.level=read_committed.
type reader struct {
	client *kgo.Client
	stop   context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	seen     []seen
	once     map[string]bool // what was read, by node and time
	repeated int
	err      error
}

// startReader begins at the topic's beginning.
func startReader(c *cluster, partitions int) (*reader, error) {
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		from[int32(p)] = kgo.NewOffset().AtStart()
	}
	client, err := c.dial(c.admin, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &reader{client: client, stop: stop, done: make(chan struct{}), once: map[string]bool{}}
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			r.take(fetches, time.Now())
		}
	}()
	return r, nil
}

func (r *reader) take(fetches kgo.Fetches, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fetches.EachRecord(func(record *kgo.Record) {
		from, err := number(record.Value, "from=")
		at, err2 := number(record.Value, "at=")
		if err = errors.Join(err, err2); err != nil {
			r.err = err
			return
		}
		who := fmt.Sprintf("%d/%d", from, at)
		if r.once[who] {
			r.repeated++
			return
		}
		r.once[who] = true
		written := time.Unix(0, at)
		r.seen = append(r.seen, seen{int(from), record.Partition, written, now.Sub(written)})
	})
}

func (r *reader) close() {
	r.stop()
	<-r.done
	r.client.Close()
}

// window is a part of what was seen.
type window struct {
	from, to time.Time // in which the lines were written
	keep     func(*seen) bool
}

// delays are those of the window's lines, sorted.
func (r *reader) delays(w window) []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []time.Duration
	for i := range r.seen {
		s := &r.seen[i]
		if !s.written.Before(w.from) && s.written.Before(w.to) && w.keep(s) {
			out = append(out, s.delay)
		}
	}
	slices.Sort(out)
	return out
}

// report writes a row: how many lines, and their delays.
func report(out io.Writer, name string, delays []time.Duration) {
	if len(delays) == 0 {
		fmt.Fprintf(out, "  %-34s %6d\n", name, 0)
		return
	}
	at := func(part float64) float64 { return delays[int(part*float64(len(delays)-1))].Seconds() }
	fmt.Fprintf(out, "  %-34s %6d %7.2f %7.2f %7.2f\n", name, len(delays), at(0.5), at(0.99), at(1))
}

// table writes a row for each second in which lines were written.
func (r *reader) table(out io.Writer, from, to time.Time) {
	fmt.Fprintln(out, "second\tpartition\tlines\tp50\tp99\tmax")
	for at := from; at.Before(to); at = at.Add(time.Second) {
		partitions := map[int32]bool{}
		second := window{at, at.Add(time.Second), func(s *seen) bool { partitions[s.partition] = true; return true }}
		r.delays(second)
		for p := range int32(1 << 10) {
			if !partitions[p] {
				continue
			}
			second.keep = func(s *seen) bool { return s.partition == p }
			d := r.delays(second)
			fmt.Fprintf(out, "%.0f\t%d\t%d\t%.3f\t%.3f\t%.3f\n", at.Sub(from).Seconds(), p, len(d),
				d[len(d)/2].Seconds(), d[(len(d)-1)*99/100].Seconds(), d[len(d)-1].Seconds())
		}
	}
}
