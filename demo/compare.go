package main

import (
	"context"
	"fmt"
	"math"

	"millrace/demo/audit"
)

// result is the outcome of a check.
type result struct {
	audit.Verdict
	faults []string // what is wrong beside the verdict
	p99    float64  // seconds; NaN: not known
}

// ok says whether the demo may exit with 0.
func (r *result) ok() bool { return r.Clean() && len(r.faults) == 0 }

// String is the last line of the check's output.
func (r *result) String() string {
	p99 := "unknown"
	if !math.IsNaN(r.p99) && !math.IsInf(r.p99, 0) {
		p99 = fmt.Sprintf("%.1fs", r.p99)
	}
	return fmt.Sprintf("%s visible_p99=%s", r.Verdict, p99)
}

// compare reads the whole table through SQL and holds it against the book.
func (w *warehouse) compare(ctx context.Context, book *audit.Book) (*result, error) {
	a := book.Audit()
	if err := w.each(ctx, a.Row); err != nil {
		return nil, err
	}
	r := &result{Verdict: a.Verdict(), p99: math.NaN()}
	if r.Unexpected+r.WrongTime+r.WrongKST > 0 {
		r.faults = append(r.faults, fmt.Sprintf("unexpected=%d wrong_time=%d wrong_kst_time=%d", r.Unexpected, r.WrongTime, r.WrongKST))
	}
	suspects := []struct{ where, fault string }{
		{"get_json_string(kubernetes, '$.namespace_name') <> 'kong' OR get_json_string(kubernetes, '$.container_name') <> 'proxy'" +
			" OR get_json_string(kubernetes, '$.labels.environment') = 'dev'", "rows say that they come from containers that are not selected"},
		{"logtag <> 'F'", "rows hold a piece of a line"},
		{"message LIKE '127.0.0.1 %'", "rows should have been dropped by the filter"},
	}
	if w.provenance {
		suspects = append(suspects, struct{ where, fault string }{"kafka_topic_id IS NULL OR kafka_partition IS NULL OR kafka_offset IS NULL", "rows do not tell where they came from"})
	}
	for _, q := range suspects {
		n, err := w.count(ctx, "SELECT count(*) FROM "+table+" WHERE "+q.where)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			r.faults = append(r.faults, fmt.Sprintf("%d %s", n, q.fault))
		}
	}
	return r, nil
}
