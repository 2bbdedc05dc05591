package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// request is what an access line says, read without SQL.
type request struct {
	bucket, project, url string
	status               int
	seconds              float64
}

var (
	dashboardLine = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+ \[[^]]+\] "(.*)" (\d{3}) (\S+) (.+) "([^"]*)" "[^"]*"$`)
	requestLine   = regexp.MustCompile(`^[A-Z]+ ([^ ?]*)\S* HTTP/`)
)

// requests reads what the dashboard counts from the lines of a shelf.
func requests(t *testing.T, s *shelf, of span) (all []request) {
	t.Helper()
	width := of.bucket().width
	for i, l := range s.lines {
		m := dashboardLine.FindStringSubmatch(l.Message)
		at := s.at[i]
		if l.Stream != "stdout" || m == nil || at.Before(of.since) || !at.Before(of.until) {
			continue
		}
		path := requestLine.FindStringSubmatch(m[1])
		if path == nil {
			continue
		}
		r := request{bucket: sqlTime(at.Truncate(width)), project: "platform", url: m[5] + path[1]}
		if before, _, ok := strings.Cut(m[5], "-"); ok {
			r.project = before
		}
		r.status, _ = strconv.Atoi(m[2])
		r.seconds, _ = strconv.ParseFloat(m[3], 64)
		all = append(all, r)
	}
	if len(all) < 1000 {
		t.Fatalf("only %d requests: the test proves little", len(all))
	}
	return all
}

// tally sums up requests by a key: how many, how many failed, how long.
type tally struct{ n, failed, seconds, most float64 }

func tallies(all []request, key func(request) string) map[string]tally {
	out := map[string]tally{}
	for _, r := range all {
		t := out[key(r)]
		t.n++
		if r.status >= 400 {
			t.failed++
		}
		t.seconds += r.seconds
		t.most = max(t.most, r.seconds)
		out[key(r)] = t
	}
	return out
}

func TestChartsGiveTheNumbersOfTheLines(t *testing.T) {
	s := store(t, time.Now().Add(-80*time.Second), 4000, nil)
	of := timeRange{minutes: 1}.at(time.Now(), time.Time{})
	all := requests(t, s, of)
	times := tallies(all, func(r request) string { return r.bucket })
	urls := tallies(all, func(r request) string { return r.url })
	for _, c := range []struct {
		chart string
		want  map[string]tally
		rows  int // of the chart; 0: as many as are wanted
		value func(t tally) []float64
	}{
		{"response_time", times, 0, func(t tally) []float64 { return []float64{t.seconds / t.n, t.most} }},
		{"requests", times, 0, func(t tally) []float64 { return []float64{t.n} }},
		{"error_rate", times, 0, func(t tally) []float64 { return []float64{100 * t.failed / t.n, t.failed, t.n} }},
		{"projects", tallies(all, func(r request) string { return r.project }), 0, func(t tally) []float64 { return []float64{t.n} }},
		{"slowest", urls, 10, func(t tally) []float64 { return []float64{t.seconds / t.n, t.n} }},
		{"errors", urls, 10, func(t tally) []float64 { return []float64{t.failed, t.n} }},
		{"by_status", tallies(all, func(r request) string { return fmt.Sprint(r.bucket, " ", r.status) }), 0,
			func(t tally) []float64 { return []float64{t.n / 10} }},
	} {
		got := ask(t, s, c.chart, of)
		rows := c.rows
		if rows == 0 {
			rows = len(c.want)
		}
		if len(got) != rows {
			t.Errorf("%s: %d rows, want %d", c.chart, len(got), rows)
		}
		for _, row := range got {
			key, values := fmt.Sprint(row[0]), row[1:]
			if c.chart == "by_status" {
				key, values = fmt.Sprint(row[0], " ", row[1]), row[2:]
			}
			want := c.value(c.want[key])
			for i, v := range values {
				if math.Abs(number(t, v)-want[i]) > 1e-3*max(1, want[i]) {
					t.Errorf("%s of %s: %v, want %v", c.chart, key, v, want[i])
				}
			}
		}
	}
	failed := tallies(all, func(request) string { return "" })[""].failed
	if list := ask(t, s, "error_list", of); len(list) != min(40, int(failed)) || number(t, list[0][1]) < 400 {
		t.Errorf("error list: %d rows of %v, the first %v", len(list), failed, list[0])
	}
}

// number is a value that JSON writes as a number.
func number(t *testing.T, v any) float64 {
	t.Helper()
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	t.Fatalf("%v is a %T, not a number", v, v)
	return 0
}

// ask gives the rows of a chart.
func ask(t *testing.T, s *shelf, name string, of span) [][]any {
	t.Helper()
	for _, c := range charts {
		if c.Name == name {
			r := s.ask(t.Context(), c, of)
			if r.Error != "" {
				t.Fatalf("%s: %s", name, r.Error)
			}
			return r.Rows
		}
	}
	t.Fatalf("no chart %s", name)
	return nil
}

func TestNewestRows(t *testing.T) {
	s := store(t, time.Now().Add(-20*time.Second), 500, nil)
	r := s.ask(t.Context(), newest, span{time.Now().Add(-time.Minute), time.Now().Add(time.Minute)})
	if r.Error != "" || len(r.Rows) != 12 {
		t.Fatalf("%d rows, %s", len(r.Rows), r.Error)
	}
	last := s.lines[len(s.lines)-1]
	if got := r.Rows[0]; got[1] != last.Stream || got[2] != "kong-1" || got[3] != last.Message[:min(400, len(last.Message))] {
		t.Errorf("got %v, want %s", got, last.Message)
	}
}

func TestTroubleWithStarRocksIsASentence(t *testing.T) {
	s := store(t, time.Now().Add(-20*time.Second), 100, nil)
	if _, err := s.rows(t.Context(), "SELECT a FROM nowhere"); !strings.HasPrefix(explain(err), "StarRocks refuses the query: ") {
		t.Errorf("a table that is not there: %s", explain(err))
	}
	b := board{warehouse: s.warehouse}
	five := timeRange{minutes: 5}
	if a := b.ask(t.Context(), five); a.Error != "" || len(a.Charts) != len(charts) || a.Again <= 0 {
		t.Errorf("%+v", a)
	}
	s.db.SetMaxIdleConns(-1) // or it is asked over a connection that is open
	s.Close()
	if a := b.ask(t.Context(), five); a.Error != "" {
		t.Errorf("an answer is not given again: %s", a.Error)
	}
	if a := b.ask(t.Context(), timeRange{minutes: 6}); !strings.HasPrefix(a.Error, "StarRocks does not answer: ") || a.Charts != nil {
		t.Errorf("a server that is gone: %q", a.Error)
	}
}
