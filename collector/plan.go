package collector

import (
	"encoding/json"
	"fmt"
	"strings"

	"millrace/outputs/starrocks"
)

const (
	// notePrefix begins what we store beside an offset; the Kafka client and
	// other programs put their own things there.
	notePrefix = "millrace "
	// noteVersion is the version of what follows it.
	noteVersion = 1
	// maxNote is what brokers take beside an offset (offset.metadata.max.bytes,
	// by default).
	maxNote = 4096
	// partSize is the most that one part takes in a note.
	partSize = len(`[2147483647,9223372036854775807,9223372036854775807,2147483647],`)
	// maxOwner and maxURLs bound what is not bounded by itself. An address may
	// be long, but of several the first ones are enough to find a cluster.
	maxOwner, maxURLs = 128, 1024
)

// note is what is stored beside the group's offset of a partition: where the
// offset belongs and, before the first byte of a load is sent, the plan of it.
type note struct {
	V       int    `json:"v"`
	TopicID string `json:"topic"`
	// After is a label that became visible before this was written.
	After string `json:"after,omitempty"`
	Plan  *plan  `json:"plan,omitempty"`
}

// plan is one load: these ranges, under this label, there. It is never changed,
// and its label never means anything else.
//
// It is stored beside the offset of each of its partitions. The partition that
// comes first leads: as long as the plan stands beside the lead's offset it may
// be sent, by the lead's owner, and by nobody else. It stands there until it is
// in, or given up for good. So the owners of the other partitions, who may be
// others after a rebalance, know what has become of their part.
type plan struct {
	Label string `json:"label"`
	// Owner is who made it, for people.
	Owner   string `json:"owner"`
	Cluster string `json:"cluster"` // Kafka's id
	Created int64  `json:"created"` // Unix seconds, for people
	Lead    int32  `json:"lead"`
	// Parts are the ranges: all of them beside the lead's offset, elsewhere
	// that partition's own.
	Parts []part            `json:"parts"`
	To    *starrocks.Target `json:"to"`

	after, topicID string // of its note
}

// part is a plan's range of one partition: its records from start to before
// end. There may be fewer than end - start: transactions leave holes.
type part struct {
	partition  int32
	start, end int64
	count      int
}

// MarshalJSON writes [partition, start, end, count].
func (p part) MarshalJSON() ([]byte, error) {
	return json.Marshal([4]int64{int64(p.partition), p.start, p.end, int64(p.count)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *part) UnmarshalJSON(text []byte) error {
	var n []int64
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	if len(n) != 4 || n[0] < 0 || n[0] > 1<<31-1 || n[1] < 0 || n[2] <= n[1] || n[3] < 0 || n[3] > n[2]-n[1] {
		return fmt.Errorf("%v is no range", n)
	}
	*p = part{int32(n[0]), n[1], n[2], int(n[3])}
	return nil
}

// of is the plan's range of a partition; false if it has none, or does not say.
func (p *plan) of(partition int32) (part, bool) {
	for _, r := range p.Parts {
		if r.partition == partition {
			return r, true
		}
	}
	return part{}, false
}

// beside is the plan as it is stored beside the offset of a partition.
func (p *plan) beside(partition int32) *plan {
	if partition == p.Lead {
		return p
	}
	q := *p
	own, _ := p.of(partition)
	q.Parts = []part{own}
	return &q
}

// text is the note as it is stored.
func (n *note) text() string {
	n.V = noteVersion
	text, err := json.Marshal(n)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return notePrefix + string(text)
}

// readNote reads what is stored beside the offset of a partition; nil, if
// nothing of ours is. What a later version wrote is refused: it would be wrong
// to read on from there as if there was no plan.
func readNote(metadata string, partition int32) (*note, error) {
	text, ours := strings.CutPrefix(metadata, notePrefix)
	if !ours {
		return nil, nil
	}
	var v struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if v.V != noteVersion {
		return nil, fmt.Errorf("its version is %d, and this program knows version %d: run the program that wrote it", v.V, noteVersion)
	}
	n := new(note)
	if err := json.Unmarshal([]byte(text), n); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if p := n.Plan; p != nil {
		if _, ok := p.of(partition); !ok || p.Label == "" || p.To == nil || len(p.To.URLs) == 0 {
			return nil, fmt.Errorf("it is damaged: the plan is not complete")
		}
		p.after, p.topicID = n.After, n.TopicID
	}
	return n, nil
}

// roomForParts is how many parts a plan may have so that its note always fits;
// n is the note without them. Fewer than one means that it never does.
func roomForParts(n note) int {
	n.Plan.Parts = nil
	return (maxNote - len(n.text())) / partSize
}

// shorten bounds what a target takes in a note: the first of its addresses.
func shorten(t *starrocks.Target) *starrocks.Target {
	short, size := *t, 0
	for i, u := range t.URLs {
		if size += len(u) + len(`"",`); size > maxURLs && i > 0 {
			short.URLs = t.URLs[:i]
			break
		}
	}
	return &short
}
