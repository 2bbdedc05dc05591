// Package check compares what arrived on a topic with what a chaos run wrote:
// per container and stream which lines are lost, repeated or out of order, and
// whether the agent's own ledger says the same as the writers' book.
package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"millrace/chaos/book"
	"millrace/chaos/generator"
	"millrace/chaos/line"
)

// Checker reads the records of a topic. All methods may be called
// concurrently, but the records of one partition have to come in their order.
type Checker struct {
	seed  uint64
	keyed bool

	mu         sync.Mutex
	sources    map[line.Source]*source
	arrived    int64
	unexpected int64
	samples    []string
	sampled    map[string]int // by kind
}

// New returns a checker of the lines that were made with a seed.
//
// Order is that of lines that arrive for the first time. Within a partition
// the numbers of a container's stream must rise: all records of a slice are in
// one partition, and a slice holds later lines than the one committed before
// it, so this is order within a slice and a little more. With keyed, each
// container has one partition, and so its order holds throughout.
func New(seed uint64, keyed bool) *Checker {
	return &Checker{seed: seed, keyed: keyed, sources: map[line.Source]*source{}, sampled: map[string]int{}}
}

// source is what arrived of one stream of one container.
type source struct {
	bits      []uint64
	prefix    int64 // all before it arrived, or is to be dropped
	most      int64 // the highest number that arrived, plus 1
	high      map[int32]int64
	repeated  int64
	reordered int64
}

func (s *source) has(n int64) bool {
	return n>>6 < int64(len(s.bits)) && s.bits[n>>6]>>(n&63)&1 == 1
}

func (s *source) set(n int64) {
	for n>>6 >= int64(len(s.bits)) {
		s.bits = append(s.bits, 0)
	}
	s.bits[n>>6] |= 1 << (n & 63)
	s.most = max(s.most, n+1)
}

// record is what is looked at of a record's value.
type record struct {
	Stream     string     `json:"stream"`
	Message    string     `json:"message"`
	Kubernetes kubernetes `json:"kubernetes"`
}

// kubernetes is what is looked at of its member kubernetes.
type kubernetes struct {
	PodID         string `json:"pod_id"`
	ContainerName string `json:"container_name"`
}

// Read takes the next record of a partition.
func (c *Checker) Read(partition int32, value []byte) {
	var r record
	err := json.Unmarshal(value, &r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.strange("not a line of this run: %.200q", value)
		return
	}
	if src, n, ok := c.vet(&r); ok {
		c.take(partition, src, n)
	}
}

// vet says which line a record holds, if it holds one as it was written.
func (c *Checker) vet(r *record) (src line.Source, n int64, ok bool) {
	src, n, ok = line.Parse(r.Message)
	if !ok {
		c.strange("not a line of this run: %.200q", r.Message)
		return src, n, false
	}
	pod, name := generator.PodOf(src.Container)
	switch {
	case n > c.sane(src):
		c.strange("line %d of %v, far beyond what was read of it", n, src)
	case r.Message != line.Text(c.seed, src, n):
		c.strange("line %d of %v is not as it was written: %s", n, src, differ(r.Message, line.Text(c.seed, src, n)))
	case r.Stream != src.Stream() || r.Kubernetes.PodID != generator.UID(c.seed, pod) || r.Kubernetes.ContainerName != name:
		c.strange("line %d of %v has the origin %s %s/%s", n, src, r.Stream, r.Kubernetes.PodID, r.Kubernetes.ContainerName)
	case line.Dropped(c.seed, src, n):
		c.strange("line %d of %v had to be dropped", n, src)
	default:
		return src, n, true
	}
	return src, n, false
}

// differ says where a text stops to be what it should be.
func differ(got, want string) string {
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	return fmt.Sprintf("%d bytes instead of %d, and %.60q from byte %d on instead of %.60q", len(got), len(want), got[at:], at, want[at:])
}

// sane is a bound on numbers, so that a wrong one cannot take all memory.
func (c *Checker) sane(src line.Source) int64 {
	if s := c.sources[src]; s != nil {
		return s.most + 1<<24
	}
	return 1 << 24
}

func (c *Checker) take(partition int32, src line.Source, n int64) {
	s := c.sources[src]
	if s == nil {
		s = &source{high: map[int32]int64{}}
		c.sources[src] = s
	}
	if s.has(n) {
		s.repeated++
		c.sample("repeated: line %d of %v, partition %d", n, src, partition)
		return
	}
	c.arrived++
	s.set(n)
	high, been := s.high[partition]
	switch {
	case been && n < high:
		s.reordered++
		c.sample("out of order: line %d of %v after line %d, partition %d", n, src, high, partition)
	case !been && c.keyed && len(s.high) > 0:
		s.reordered++
		c.sample("out of order: line %d of %v in a second partition, %d", n, src, partition)
	}
	s.high[partition] = max(high, n)
	for s.has(s.prefix) || line.Dropped(c.seed, src, s.prefix) {
		s.prefix++
	}
}

func (c *Checker) strange(format string, args ...any) {
	c.unexpected++
	c.sample("unexpected: "+format, args...)
}

// maxSamples is per kind of fault.
const maxSamples = 3

// sample keeps the first few faults of each kind, which is what the format
// begins with.
func (c *Checker) sample(format string, args ...any) {
	kind, _, _ := strings.Cut(format, ":")
	if c.sampled[kind]++; c.sampled[kind] <= maxSamples {
		c.samples = append(c.samples, fmt.Sprintf(format, args...))
	}
}

// Arrived is the number of different lines that arrived.
func (c *Checker) Arrived() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arrived
}

// Seen says how many lines of each of the containers arrived without a gap
// from the first; lines that are to be dropped count as arrived.
func (c *Checker) Seen(containers map[int]book.Counts) map[int]book.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := make(map[int]book.Counts, len(containers))
	for id := range containers {
		var n book.Counts
		for i := range n {
			src := line.Source{Container: id, Stderr: i == 1}
			if s := c.sources[src]; s != nil {
				n[i] = s.prefix
			} else {
				for line.Dropped(c.seed, src, n[i]) {
					n[i]++
				}
			}
		}
		seen[id] = n
	}
	return seen
}
