package starrocks

import (
	"fmt"
	"strings"

	"millrace/internal/pipeline"
)

// rangesOf lists what a batch holds, by partition.
func rangesOf(b *pipeline.Batch) []Range {
	ranges := make([]Range, 0, len(b.Spans))
	last := -1
	for i := range b.Records {
		r, span := &b.Records[i], b.SpanOf(i)
		if span != last {
			ranges = append(ranges, Range{Name: b.Spans[span].Account.Name, TopicID: r.Origin.TopicID, Partition: r.Origin.Partition, Start: r.Offset})
			last = span
		}
		ranges[len(ranges)-1].End = r.Offset + 1
	}
	return ranges
}

// offsets names the ranges from their first to their last offset.
func offsets(ranges []Range) string {
	return listed(ranges, func(r Range) string { return fmt.Sprintf("%s %d to %d", r.Name, r.Start, r.End-1) })
}

// ends names the offsets after the ranges, which a group's offsets can be set
// to.
func ends(ranges []Range) string {
	return listed(ranges, func(r Range) string { return fmt.Sprintf("%s to %d", r.Name, r.End) })
}

func listed(ranges []Range, text func(Range) string) string {
	parts := make([]string, len(ranges))
	for i, r := range ranges {
		parts[i] = text(r)
	}
	return strings.Join(parts, ", ")
}
