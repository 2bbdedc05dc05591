package starrocks

import (
	"fmt"
	"strings"

	"millrace/internal/pipeline"
)

// rangesOf lists what a batch holds, by partition; a scattered batch's offsets
// that follow on each other.
func rangesOf(b *pipeline.Batch) []Range {
	ranges := make([]Range, 0, len(b.Spans))
	last := -1
	for i := range b.Records {
		r, span := &b.Records[i], b.SpanOf(i)
		if span != last || !ranges[len(ranges)-1].of(r.Origin) || b.Claim.Scattered && r.Offset != ranges[len(ranges)-1].End {
			ranges = append(ranges, Range{Name: b.Spans[span].Account.Name, TopicID: r.Origin.TopicID, Partition: r.Origin.Partition, Start: r.Offset})
			last = span
		}
		ranges[len(ranges)-1].End = r.Offset + 1
	}
	return ranges
}

// of says whether records of an origin are of the range's partition.
func (r *Range) of(o *pipeline.Origin) bool {
	return r.TopicID == o.TopicID && r.Partition == o.Partition
}

// offsets names the ranges from their first to their last offset.
func offsets(ranges []Range) string {
	return listed(ranges, func(r Range) string { return fmt.Sprintf("%s %d to %d", r.Name, r.Start, r.End-1) })
}

func listed(ranges []Range, text func(Range) string) string {
	parts := make([]string, len(ranges))
	for i, r := range ranges {
		parts[i] = text(r)
	}
	return strings.Join(parts, ", ")
}
