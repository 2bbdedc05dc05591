package main

import (
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// clock gives every line of a workload a time of its own, over all containers,
// by which its record is known again.
type clock struct {
	base time.Time // whole seconds
	step time.Duration
}

// at is the time of line n: within its step, and with a last digit that is not
// 0. containerd cuts trailing zeros, and rsyslog's template finds its fields
// by position.
func (c clock) at(n int) time.Time {
	x := uint64(n) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	tens := time.Duration(x%uint64(c.step/10)) * 10
	return c.base.Add(time.Duration(n)*c.step + tens + time.Duration(1+x>>40%9))
}

// number is the line with that time; ok is false for a time that at never gives.
func (c clock) number(at time.Time) (n int, ok bool) {
	since := at.Sub(c.base)
	if since < 0 {
		return 0, false
	}
	n = int(since / c.step)
	return n, c.at(n).Equal(at)
}

// ledger is what was written to the containers that are to be shipped. Lines of
// different numbers may be noted concurrently.
type ledger struct {
	clock
	sums  []uint64     // by number of the line; 0: none to be shipped
	lines atomic.Int64 // to be shipped
	bytes atomic.Int64 // of their messages
}

func newLedger(c clock, lines int) *ledger { return &ledger{clock: c, sums: make([]uint64, lines)} }

// note keeps line n of a pod.
func (l *ledger) note(n int, pod, stream, message string) {
	l.sums[n] = sum([]byte(pod), []byte(stream), []byte(message))
	l.lines.Add(1)
	l.bytes.Add(int64(len(message)))
}

// sum is never 0.
func sum(pod, stream, message []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, part := range [][]byte{pod, {0}, stream, {0}, message} {
		_, _ = d.Write(part) // never an error
	}
	return d.Sum64() | 1
}
