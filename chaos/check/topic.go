package check

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"

	"millrace/chaos/line"
)

// Topic remembers which line stands where on the topic. All methods may be
// called concurrently, but the records of one partition have to come in their
// order.
type Topic struct {
	mu    sync.Mutex
	parts map[int32][]place
}

// place is a record on the topic, or a row that came from there.
type place struct {
	offset int64
	source line.Source
	n      int64 // of the line; below 0: it is none of this run
}

// NewTopic returns the memory of an empty topic.
func NewTopic() *Topic { return &Topic{parts: map[int32][]place{}} }

// Read takes the next record of a partition.
func (t *Topic) Read(partition int32, offset int64, value []byte) {
	var r record
	p := place{offset: offset, n: -1}
	if json.Unmarshal(value, &r) == nil {
		if src, n, ok := line.Parse(r.Message); ok {
			p.source, p.n = src, n
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parts[partition] = append(t.parts[partition], p)
}

// Counts are the numbers of records of each partition so far.
func (t *Topic) Counts() map[int32]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := map[int32]int64{}
	for id, places := range t.parts {
		counts[id] = int64(len(places))
	}
	return counts
}

// Records is the number of all records so far.
func (t *Topic) Records() (n int64) {
	for _, count := range t.Counts() {
		n += count
	}
	return n
}

// at finds the record at an offset.
func (t *Topic) at(partition int32, offset int64) (place, bool) {
	i, found := slices.BinarySearchFunc(t.parts[partition], offset, func(p place, at int64) int { return cmp.Compare(p.offset, at) })
	if !found {
		return place{}, false
	}
	return t.parts[partition][i], true
}
