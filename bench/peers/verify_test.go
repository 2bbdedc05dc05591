package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

var begin = clock{time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC), time.Millisecond}

// written is a ledger of three lines and their records.
func written() (*ledger, []string) {
	l, records := newLedger(begin, 4), []string(nil)
	for n, message := range []string{`GET "/a" \x16`, "tab\tand 설정", "plain"} {
		l.note(n, "pod-1", "stdout", message)
		quoted, _ := json.Marshal(message)
		records = append(records, fmt.Sprintf(`{"time":"%s","stream":"stdout","logtag":"F","message":%s,"kubernetes":{"pod_name":"pod-1"}}`,
			begin.at(n).Format(time.RFC3339Nano), quoted))
	}
	return l, records
}

func TestTally(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]string) []string
		want   string // the beginning of what the tally says
	}{
		{"as written", func(r []string) []string { return r }, ""},
		{"another order and escapes", func(r []string) []string {
			return []string{r[2], r[0], strings.ReplaceAll(r[1], "and", `\u0061nd`)}
		}, ""},
		{"other keys first", func(r []string) []string {
			return []string{r[0], r[1], strings.Replace(r[2], "{", `{"@timestamp":1.5,`, 1)}
		}, ""},
		{"lost", func(r []string) []string { return r[1:] }, "1 lost"},
		{"repeated", func(r []string) []string { return append(r, r[1]) }, "1 repeated"},
		{"another message", func(r []string) []string { return []string{r[0], r[1], strings.Replace(r[2], "plain", "plane", 1)} }, "1 changed"},
		{"another stream", func(r []string) []string { return []string{r[0], r[1], strings.Replace(r[2], "stdout", "stderr", 1)} }, "1 changed"},
		{"another pod", func(r []string) []string { return []string{r[0], r[1], strings.Replace(r[2], "pod-1", "pod-2", 1)} }, "1 changed"},
		{"a time that no line has", func(r []string) []string {
			return append(r, strings.Replace(r[2], begin.at(2).Format(time.RFC3339Nano), begin.at(2).Add(1).Format(time.RFC3339Nano), 1))
		}, "1 unexpected"},
		{"a line that was not to be shipped", func(r []string) []string {
			return append(r, strings.Replace(r[2], begin.at(2).Format(time.RFC3339Nano), begin.at(3).Format(time.RFC3339Nano), 1))
		}, "1 unexpected"},
		{"no JSON after the message", func(r []string) []string { return append(r[:2], r[2][:len(r[2])-1]) }, "1 lost, 1 unexpected"},
		{"no JSON", func(r []string) []string { return append(r, `{"time":"`, "") }, "2 unexpected"},
	} {
		l, records := written()
		got := newTally(l)
		for _, r := range c.change(records) {
			got.add([]byte(r))
		}
		text := got.String()
		if c.want == "" && text != "" || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

// Fields are taken by position, and records are known by their times.
func TestTimesAreOfOneWidthAndTheirOwn(t *testing.T) {
	for _, step := range []time.Duration{time.Millisecond, 20 * time.Microsecond} {
		c, last := clock{begin.base, step}, time.Time{}
		for n := range 200_000 {
			at := c.at(n)
			if got, ok := c.number(at); !ok || got != n || !at.After(last) {
				t.Fatalf("line %d has time %v after %v, which is of line %d, %v", n, at, last, got, ok)
			}
			if text := at.Format(time.RFC3339Nano); len(text) != timeWidth {
				t.Fatalf("time %s", text)
			}
			if last = at; n > 0 {
				if _, ok := c.number(at.Add(-1)); ok {
					t.Fatalf("%v is the time of a line", at.Add(-1))
				}
			}
		}
	}
	if _, ok := begin.number(begin.base.Add(-time.Second)); ok {
		t.Error("a time before the first line is of one")
	}
}

func FuzzRead(f *testing.F) {
	_, records := written()
	for _, r := range records {
		f.Add([]byte(r))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		l, _ := written()
		tally := newTally(l)
		r, err := tally.read(value)
		if err != nil || !json.Valid(value) {
			return // what is accepted without being JSON differs from its line, but for what JSON forbids in strings
		}
		var d struct{ Message string }
		if json.Unmarshal(value, &d) == nil && strings.Count(string(value), `"message"`) == 1 && d.Message != string(r.message) && strings.ToValidUTF8(string(r.message), "\ufffd") == string(r.message) {
			t.Errorf("message %q, want %q", r.message, d.Message)
		}
	})
}
