package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"millrace/demo/audit"
	"millrace/demo/traffic"
)

// shelf is a stand-in with the lines of one gateway in its table, and the
// book of what had to arrive.
type shelf struct {
	*warehouse
	lines []traffic.Line
	at    []time.Time
	book  *audit.Book
}

// store writes lines from start on, twenty milliseconds apart, and loads
// their rows as change leaves them.
func store(t *testing.T, start time.Time, count int, change func(rows []map[string]any) []map[string]any) *shelf {
	t.Helper()
	w, err := startWarehouse("", map[string]string{"starrocks": "s", "dashboard": "d"}, &options{table: plainTable, labels: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	s := &shelf{warehouse: w, book: audit.NewBook()}
	rows := s.write(start, 20*time.Millisecond, count)
	if change != nil {
		rows = change(rows)
	}
	load(t, w, "s", rows)
	return s
}

// write notes lines from start on, and gives their rows.
func (s *shelf) write(start time.Time, every time.Duration, count int) (rows []map[string]any) {
	kong := traffic.NewKong(seed, 1)
	for i := range count {
		at := start.Add(time.Duration(i) * every)
		l := kong.Next(at)
		if l.Kind == traffic.Health {
			continue
		}
		s.lines, s.at = append(s.lines, l), append(s.at, at)
		s.book.Enter(at, l.Stream, l.Message)
		rows = append(rows, map[string]any{
			"time": at.UTC().Format("2006-01-02 15:04:05.000000"), "stream": l.Stream, "logtag": "F", "message": l.Message,
			"kubernetes": map[string]any{"pod_name": "kong-1", "namespace_name": "kong", "container_name": "proxy"},
		})
	}
	return rows
}

// load puts rows into the table, as a client of Stream Load does.
func load(t *testing.T, w *warehouse, password string, rows []map[string]any) {
	t.Helper()
	var body bytes.Buffer
	for _, r := range rows {
		if err := json.NewEncoder(&body).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/api/%s/%s/_stream_load", w.URL(), database, table), &body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("millrace", password)
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("format", "json")
	resp, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: 10 * time.Second}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Status string }
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "Success" {
		t.Fatalf("load answers %s", text)
	}
}

func TestCompare(t *testing.T) {
	type rows = []map[string]any
	for _, c := range []struct {
		name, want string
		faults     int
		change     func(r rows) rows
	}{
		{"all there", "lines=986 rows=986 lost=0 repeated=0 visible_p99=unknown", 0, nil},
		{"one lost", "lines=986 rows=985 lost=1 repeated=0 visible_p99=unknown", 0, func(r rows) rows { return r[1:] }},
		{"one repeated", "lines=986 rows=987 lost=0 repeated=1 visible_p99=unknown", 0, func(r rows) rows { return append(r, r[7]) }},
		{"one lost and another repeated", "lines=986 rows=986 lost=1 repeated=1 visible_p99=unknown", 0, func(r rows) rows { r[7] = r[8]; return r }},
		{"a line of another container", "lines=986 rows=987 lost=0 repeated=0 visible_p99=unknown", 2, func(r rows) rows {
			return append(r, map[string]any{"time": "2026-08-21 08:15:30", "stream": "stdout", "logtag": "F", "message": "order 17",
				"kubernetes": map[string]any{"namespace_name": "shop", "container_name": "app"}})
		}},
		{"a piece of a line", "lines=986 rows=986 lost=0 repeated=0 visible_p99=unknown", 1, func(r rows) rows { r[7]["logtag"] = "P"; return r }},
		{"a second late", "lines=986 rows=986 lost=0 repeated=0 visible_p99=unknown", 1, func(r rows) rows { r[7]["time"] = r[60]["time"]; return r }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store(t, time.Now().Add(-time.Minute), 1000, c.change)
			r, err := s.compare(t.Context(), s.book)
			if err != nil {
				t.Fatal(err)
			}
			if r.String() != c.want || len(r.faults) != c.faults || r.ok() != (c.change == nil) {
				t.Errorf("got  %s %q ok=%v\nwant %s", r, r.faults, r.ok(), c.want)
			}
		})
	}
}

func TestTrimEmptiesAFullTable(t *testing.T) {
	s := store(t, time.Now().Add(-time.Minute), 200, nil)
	all := s.Count(database, table)
	if err := s.trim(all); err != nil || s.Count(database, table) != all {
		t.Errorf("%d rows after a trim that was not due, %v", s.Count(database, table), err)
	}
	if err := s.trim(all - 1); err != nil || s.Count(database, table) != 0 || s.truncated.Load() != all {
		t.Errorf("%d rows, %d given up, %v", s.Count(database, table), s.truncated.Load(), err)
	}
}
