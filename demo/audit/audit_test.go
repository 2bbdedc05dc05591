package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 8, 21, 8, 15, 30, 217676062, time.UTC)

// story enters a thousand lines and lets the table hold what change makes of
// their rows.
func story(change func(rows []Row) []Row) Verdict {
	b := NewBook()
	var rows []Row
	for i := range 1000 {
		at, text := start.Add(time.Duration(i)*time.Millisecond), fmt.Sprintf("line %d", i)
		b.Enter(at, "stdout", text)
		utc := at.Truncate(time.Microsecond)
		rows = append(rows, Row{utc, utc.Add(9 * time.Hour), "stdout", text})
	}
	a := b.Audit()
	for _, r := range change(rows) {
		a.Row(r)
	}
	return a.Verdict()
}

func TestAudit(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(rows []Row) []Row
		want   string
		clean  bool
	}{
		{"all there", func(r []Row) []Row { return r }, "lines=1000 rows=1000 lost=0 repeated=0 unexpected=0 time=0 kst=0", true},
		{"one lost", func(r []Row) []Row { return r[1:] }, "lines=1000 rows=999 lost=1 repeated=0 unexpected=0 time=0 kst=0", false},
		{"one repeated", func(r []Row) []Row { return append(r, r[5]) }, "lines=1000 rows=1001 lost=0 repeated=1 unexpected=0 time=0 kst=0", false},
		{"one lost and another repeated", func(r []Row) []Row { r[3] = r[4]; return r }, "lines=1000 rows=1000 lost=1 repeated=1 unexpected=0 time=0 kst=0", false},
		{"one altered", func(r []Row) []Row { r[3].Message += " "; return r }, "lines=1000 rows=1000 lost=1 repeated=0 unexpected=1 time=0 kst=0", false},
		{"the other stream", func(r []Row) []Row { r[3].Stream = "stderr"; return r }, "lines=1000 rows=1000 lost=1 repeated=0 unexpected=1 time=0 kst=0", false},
		{"one of another pod", func(r []Row) []Row { return append(r, Row{start, start.Add(9 * time.Hour), "stdout", "order 17"}) },
			"lines=1000 rows=1001 lost=0 repeated=0 unexpected=1 time=0 kst=0", false},
		{"a microsecond off", func(r []Row) []Row {
			r[3].Time = r[3].Time.Add(time.Microsecond)
			r[3].KST = r[3].KST.Add(time.Microsecond)
			return r
		}, "lines=1000 rows=1000 lost=0 repeated=0 unexpected=0 time=1 kst=0", false},
		{"kst_time in UTC", func(r []Row) []Row { r[3].KST = r[3].Time; return r }, "lines=1000 rows=1000 lost=0 repeated=0 unexpected=0 time=0 kst=1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := story(c.change)
			got := fmt.Sprintf("%s unexpected=%d time=%d kst=%d", v, v.Unexpected, v.WrongTime, v.WrongKST)
			if got != c.want || v.Clean() != c.clean {
				t.Errorf("got  %s clean=%v\nwant %s clean=%v", got, v.Clean(), c.want, c.clean)
			}
			if v.Clean() != (len(v.Samples) == 0) {
				t.Errorf("samples: %q", v.Samples)
			}
		})
	}
}

func TestEqualLinesAreCounted(t *testing.T) {
	b := NewBook()
	for i := range 3 {
		b.Enter(start.Add(time.Duration(i)*time.Second), "stderr", "stack traceback:")
	}
	a := b.Audit()
	for i := range 2 {
		at := start.Add(time.Duration(i) * time.Second)
		a.Row(Row{at, at.Add(9 * time.Hour), "stderr", "stack traceback:"})
	}
	if v := a.Verdict(); v.String() != "lines=3 rows=2 lost=1 repeated=0" || v.WrongTime != 0 {
		t.Errorf("%s, %d wrong times", v, v.WrongTime)
	}
}

func TestSamplesAreFew(t *testing.T) {
	v := story(func(r []Row) []Row { return append(r[100:], r[200:400]...) })
	if v.Lost != 100 || v.Repeated != 200 || len(v.Samples) != 2*maxSamples {
		t.Errorf("%s with %d samples", v, len(v.Samples))
	}
	if !strings.HasPrefix(v.Samples[len(v.Samples)-1], "lost: line ") {
		t.Errorf("samples: %q", v.Samples)
	}
}
