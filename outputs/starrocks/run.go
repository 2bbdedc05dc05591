package starrocks

import (
	"fmt"
	"strings"

	"millrace/internal/pipeline"
)

// run is a run of records of one partition.
type run struct {
	name  string // of the partition's account, topic[partition]
	first int64  // offset
	end   int64  // the offset after the last
}

// runsOf lists what a batch holds, by partition.
func runsOf(b *pipeline.Batch) []run {
	runs := make([]run, 0, len(b.Spans))
	last := -1
	for i := range b.Records {
		r, span := &b.Records[i], b.SpanOf(i)
		if span != last {
			runs = append(runs, run{b.Spans[span].Account.Name, r.Offset, 0})
			last = span
		}
		runs[len(runs)-1].end = r.Offset + 1
	}
	return runs
}

// offsets names the runs from their first to their last offset.
func offsets(runs []run) string {
	return listed(runs, func(r run) string { return fmt.Sprintf("%s %d to %d", r.name, r.first, r.end-1) })
}

// ends names the offsets after the runs, which a group's offsets can be set to.
func ends(runs []run) string {
	return listed(runs, func(r run) string { return fmt.Sprintf("%s to %d", r.name, r.end) })
}

func listed(runs []run, text func(run) string) string {
	parts := make([]string, len(runs))
	for i, r := range runs {
		parts[i] = text(r)
	}
	return strings.Join(parts, ", ")
}
