package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"millrace/chaos/book"
)

// Row is a row of the table: a line, and where it came from.
type Row struct {
	TopicID   string
	Partition int32
	Offset    int64

	Stream, Message string
	Kubernetes      string // JSON
}

// Table compares the rows of a table with the topic and with a book. It is for
// one goroutine. The rows come in any order: theirs is that of partitions and
// offsets.
type Table struct {
	topic   *Topic
	topicID string
	lines   *Checker
	rows    map[int32][]place
	origins map[string]kubernetes // by their JSON
	count   int64
	foreign int64 // rows of other topics, and rows that hold no line
}

// NewTable returns an empty table, whose rows are to be those of the topic with
// that id. lines is a checker that has read nothing, and is the table's now.
func NewTable(topic *Topic, topicID string, lines *Checker) *Table {
	return &Table{topic: topic, topicID: topicID, lines: lines, rows: map[int32][]place{}, origins: map[string]kubernetes{}}
}

// Read takes a row.
func (t *Table) Read(r *Row) {
	t.count++
	origin, known := t.origins[r.Kubernetes]
	if !known {
		if json.Unmarshal([]byte(r.Kubernetes), &origin) != nil {
			origin = kubernetes{}
		}
		t.origins[r.Kubernetes] = origin
	}
	t.lines.mu.Lock()
	defer t.lines.mu.Unlock()
	src, n, ok := t.lines.vet(&record{r.Stream, r.Message, origin})
	if !ok {
		t.foreign++ // vet has noted what is wrong
		return
	}
	if r.TopicID != t.topicID {
		t.foreign++
		t.lines.strange("line %d of %v says that it is of topic %q", n, src, r.TopicID)
		return
	}
	t.rows[r.Partition] = append(t.rows[r.Partition], place{r.Offset, src, n})
}

// TableVerdict is what became of the lines of a book in a table.
type TableVerdict struct {
	Verdict
	Rows int64
	// Unlike are the differences to the topic, place by place: records without
	// a row, rows without a record, more than one row of a record, and rows
	// with another line than the record.
	Unlike int64
}

// String is the verdict in one line.
func (v *TableVerdict) String() string {
	return fmt.Sprintf("rows=%d %v unlike=%d", v.Rows, &v.Verdict, v.Unlike)
}

// Verdict compares what was read with the topic and the book. It is asked once,
// when everything was read.
func (t *Table) Verdict(b *book.Book) *TableVerdict {
	v := &TableVerdict{Rows: t.count, Unlike: t.foreign}
	t.topic.mu.Lock()
	defer t.topic.mu.Unlock()
	t.lines.mu.Lock()
	partitions := maps.Clone(t.rows)
	for id := range t.topic.parts {
		partitions[id] = t.rows[id]
	}
	for _, id := range slices.Sorted(maps.Keys(partitions)) {
		v.Unlike += t.partition(id)
	}
	t.lines.mu.Unlock()
	v.Verdict = *t.lines.Verdict(b)
	return v
}

// partition enters the rows of a partition in the order of their offsets, and
// counts those that are not as on the topic.
func (t *Table) partition(id int32) (unlike int64) {
	rows := t.rows[id]
	slices.SortStableFunc(rows, func(a, b place) int { return cmp.Compare(a.offset, b.offset) })
	differ := func(format string, args ...any) {
		unlike++
		t.lines.sample("unlike the topic: "+format, args...)
	}
	for i, r := range rows {
		t.lines.take(id, r.source, r.n)
		rec, found := t.topic.at(id, r.offset)
		switch {
		case i > 0 && rows[i-1].offset == r.offset:
			differ("another row of partition %d, offset %d, with line %d of %v", id, r.offset, r.n, r.source)
		case !found:
			differ("a row of partition %d, offset %d, where the topic has no record, with line %d of %v", id, r.offset, r.n, r.source)
		case rec != r:
			differ("the row of partition %d, offset %d, holds line %d of %v, the record line %d of %v", id, r.offset, r.n, r.source, rec.n, rec.source)
		}
	}
	next := 0
	for _, rec := range t.topic.parts[id] {
		for next < len(rows) && rows[next].offset < rec.offset {
			next++
		}
		if next == len(rows) || rows[next].offset != rec.offset {
			differ("no row of partition %d, offset %d: line %d of %v", id, rec.offset, rec.n, rec.source)
		}
	}
	return unlike
}
