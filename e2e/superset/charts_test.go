package superset

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shapes are the columns of the charts: what a row is about, and its numbers.
var shapes = map[string]struct{ keys, values []string }{
	"Response Time Trend":          {[]string{"kst_minute"}, []string{"avg_response_time", "max_response_time"}},
	"Requests Trend":               {[]string{"kst_hour"}, []string{"count"}},
	"RPS by Status Code":           {[]string{"kst_minute", "status_code"}, []string{"requests_per_second"}},
	"Error Rate (%)":               {[]string{"kst_hour"}, []string{"error_rate"}},
	"Traffic Share by Project":     {[]string{"project_name"}, []string{"count"}},
	"Top 10 Slowest Request URL":   {[]string{"url"}, []string{"avg_response_time", "count"}},
	"Top 10 Errors by Request URL": {[]string{"url"}, []string{"count", "error_count"}},
	"Error List":                   {[]string{"kst_time", "message"}, []string{"status_code", "response_time"}},
}

// ranked are the charts that show ten rows, by which of their numbers.
var ranked = map[string]int{"Top 10 Slowest Request URL": 0, "Top 10 Errors by Request URL": 1}

// chart is what Superset answered: the query before sqlglot, and the data
// behind its own rearrangement.
type chart struct {
	SQL  string           `json:"sql"`
	Data []map[string]any `json:"data"`
}

// readCharts reads what the script wrote of each chart.
func readCharts(t *testing.T, name string) map[string]chart {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var charts map[string]chart
	if err := json.Unmarshal(data, &charts); err != nil {
		t.Fatal(err)
	}
	return charts
}

// table gives the rows of a chart.
func (c chart) table(t *testing.T, name string) (list []row) {
	t.Helper()
	for _, cells := range c.Data {
		if name != "RPS by Status Code" {
			list = append(list, rowOf(t, name, cells))
			continue
		}
		for _, status := range slices.Sorted(maps.Keys(cells)) { // pivoted: a column for each status
			if status != "kst_minute" && cells[status] != nil {
				list = append(list, rowOf(t, name, map[string]any{"kst_minute": cells["kst_minute"], "status_code": status, "requests_per_second": cells[status]}))
			}
		}
	}
	return list
}

// rowOf takes a chart's row from cells by the names of columns.
func rowOf(t testing.TB, name string, cells map[string]any) row {
	t.Helper()
	var r row
	var keys []string
	for _, k := range shapes[name].keys {
		switch v := cells[k].(type) {
		case float64: // Superset gives times in milliseconds, as if they were of UTC
			keys = append(keys, time.UnixMicro(int64(math.Round(v*1000))).UTC().Format("2006-01-02 15:04:05.000000"))
		case time.Time:
			keys = append(keys, v.Format("2006-01-02 15:04:05.000000"))
		default:
			keys = append(keys, fmt.Sprint(v))
		}
	}
	r.key = strings.Join(keys, " ")
	for _, k := range shapes[name].values {
		v, err := strconv.ParseFloat(fmt.Sprint(cells[k]), 64)
		if err != nil {
			t.Fatalf("%s: %s of %s is %v, not a number", name, k, r.key, cells[k])
		}
		r.values = append(r.values, v)
	}
	return r
}

// compare says where a chart differs from what it must show.
func compare(t testing.TB, name string, got, want []row) {
	t.Helper()
	if len(want) == 0 {
		t.Fatalf("%s: nothing to compare", name)
	}
	if by, ok := ranked[name]; ok {
		want = chosen(t, name, got, want, by)
	}
	got = sorted(slices.Clone(got))
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", name, len(got), len(want))
		return
	}
	for i, g := range got {
		if w := want[i]; g.key != w.key || !slices.EqualFunc(g.values, w.values, near) {
			t.Errorf("%s, row %d: got %v, want %v", name, i, g, w)
			return
		}
	}
}

// near allows for sums in another order.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(b)) }

// chosen are those of the wanted rows that a chart of ten shows: all but those
// that are as large as the last, of which any may be there.
func chosen(t testing.TB, name string, got, want []row, by int) (list []row) {
	t.Helper()
	there := map[string]bool{}
	for _, g := range got {
		there[g.key] = true
	}
	last := slices.MinFunc(want, func(a, b row) int { return cmp.Compare(a.values[by], b.values[by]) }).values[by]
	for _, w := range want {
		if w.values[by] > last || there[w.key] {
			list = append(list, w)
		}
	}
	if len(list) != min(10, len(want)) {
		t.Errorf("%s: %d of the wanted rows", name, len(list))
	}
	return list
}
