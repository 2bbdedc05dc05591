package starrocks

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/outputs/starrocks/starrockstest"
)

// The table's message holds 100 bytes: what is longer is cut, whatever it is,
// so that StarRocks never refuses the row.
func TestAnythingFitsATextColumn(t *testing.T) {
	r := newRig(t, nil, nil)
	number := func(n int) string { return strings.Repeat("7", n) }
	array := func(n int) string { return `["` + strings.Repeat("x", n-4) + `"]` }
	object := func(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }
	var raws, want []string
	for _, value := range []func(int) string{number, array, object} {
		for n := 99; n <= 104; n++ {
			raws = append(raws, `{"time":"2026-08-21T08:15:30Z","message":`+value(n)+`}`)
			text, mark := value(n), "<nil>"
			if n > 100 {
				text, mark = text[:97]+"…", "1"
			}
			want = append(want, text+"|"+mark)
		}
	}
	for value, text := range map[string]string{"true": "1", "false": "0", "null": "<nil>"} {
		raws = append(raws, `{"time":"2026-08-21T08:15:30Z","message":`+value+`}`)
		want = append(want, text+"|<nil>")
	}
	r.delivered(r.write(raws...))
	if got := r.rows("message", "truncated"); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Words are no text that could be cut.
func TestWordsInTheShortestTextColumn(t *testing.T) {
	tbl := stockTable()
	tbl.find("message").max = 1
	e := newEncoder(mustLayout(t, tbl, nil))
	for _, word := range []string{"true", "false", "null"} {
		got, _, cut, err := e.append(nil, record(`{"time":"2026-08-21T08:15:30Z","message":`+word+`}`))
		if err != nil || cut || !strings.Contains(string(got), `"message":`+word+`,`) {
			t.Errorf("%s: %s, cut is %t (%v)", word, got, cut, err)
		}
	}
}

// A DATETIME column holds the moment that was meant, or nothing.
func TestDatetimeColumnsHoldNoWrongMoment(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRig(t, func(c *starrockstest.Config) {
		c.DDL = []string{strings.Replace(testDDL, "status INT", "status INT, seen DATETIME", 1)}
	}, func(o *Options, _ *starrockstest.Server) { o.Registry = reg })
	const none = "<nil>"
	cases := []struct{ value, want string }{
		{`"2024-05-01T12:34:56.5+09:00"`, "2024-05-01 03:34:56.5 +0000 UTC"},
		{`"2024-05-01T12:34:56+0900"`, "2024-05-01 03:34:56 +0000 UTC"},
		{`"2024-05-01T12:34:56Z"`, "2024-05-01 12:34:56 +0000 UTC"},
		{`"2024-05-01T12:34:56"`, "2024-05-01 12:34:56 +0000 UTC"},
		{`"2024-05-01 12:34:56"`, "2024-05-01 12:34:56 +0000 UTC"},
		{`"2024-05-01 12:34:56.1"`, "2024-05-01 12:34:56.1 +0000 UTC"},
		{`"2024-05-01\u002012:34:56.123456"`, "2024-05-01 12:34:56.123456 +0000 UTC"},
		{`"2024-05-01 12:34:56.123456789"`, "2024-05-01 12:34:56.123456 +0000 UTC"},
		{`"2024-05-01"`, "2024-05-01 00:00:00 +0000 UTC"},
		{`null`, none},
	}
	uncertain := []string{
		`"2024-05-01 12:34:56+09:00"`, `"2024-05-01 12:34:56Z"`, `"2024-05-01T12:34:56 +0900"`, `"2024-05-01t12:34:56Z"`, `"2024-05-01t12:34:56"`,
		`"2024-05-01T12:34:56,5"`, `"2024-05-01 12:34"`, `"2024-05-01 "`, `"2024-05-1"`, `"2024-02-30"`, `"2024-05-01 24:00:00"`, `"2024-05-01 12:34:56."`,
		`"2024/05/01"`, `"20240501123456"`, `"1701012345"`, `""`, `1701012345`, `1701012345123`, `20240501`, `true`, `["2024-05-01"]`, `{}`,
	}
	for _, v := range uncertain {
		cases = append(cases, struct{ value, want string }{v, none})
	}
	var raws, want []string
	for _, c := range cases {
		raws = append(raws, `{"time":"2026-08-21T08:15:30Z","message":"m","seen":`+c.value+`}`)
		want = append(want, c.want)
	}
	r.delivered(r.write(raws...))
	for i, got := range r.rows("seen") {
		if got != want[i] {
			t.Errorf("%s is stored as %s, want %s", cases[i].value, got, want[i])
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "millrace_load_unreadable_datetimes_total" {
			for _, m := range f.GetMetric() {
				counted[m.GetLabel()[0].GetValue()] += m.GetCounter().GetValue()
			}
		}
	}
	if want := map[string]float64{"seen": float64(len(uncertain))}; !maps.Equal(counted, want) {
		t.Errorf("counted by column: %v, want %v", counted, want)
	}
}

// A record that is no row is not counted as one with an unreadable moment.
func TestUnreadableDatetimesOfRowsOnly(t *testing.T) {
	e := newEncoder(mustLayout(t, stockTable(), nil))
	for range 2 {
		if _, _, _, err := e.append(nil, record(`{"seen":1,"message":"no time"}`)); err == nil {
			t.Fatal("accepted")
		}
	}
	if got := slices.Max(e.unreadable); got != 0 {
		t.Errorf("%d are counted", got)
	}
}

// StarRocks refuses a row whose JSON column holds such a number or is that
// long, for ever.
func TestJSONThatStarRocksRefusesIsADeadLetter(t *testing.T) {
	var dead atomic.Int32
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) {
		o.Config.Columns = map[string]string{"a.b": "kubernetes"}
		o.DeadLetters = func(_ context.Context, ls []DeadLetter) error {
			for _, l := range ls {
				if !strings.Contains(l.Reason, "the column kubernetes is JSON") || strings.Contains(l.Reason, "999") {
					t.Errorf("reason: %s", l.Reason)
				}
			}
			dead.Add(int32(len(ls)))
			return nil
		}
	})
	var raws []string
	for _, v := range []string{`{"x":18446744073709551616}`, `1`, `{"x":[1e999]}`, `-1e999`, `{"x":1}`, `"` + strings.Repeat("x", 17<<20) + `"`, `18446744073709551615`} {
		raws = append(raws, `{"time":"2026-08-21T08:15:30Z","a":{"b":`+v+`}}`)
	}
	r.delivered(r.write(raws...))
	if got, want := r.rows("kubernetes"), []string{"1", `{"x": 1}`, "18446744073709551615"}; !slices.Equal(got, want) || dead.Load() != 4 {
		t.Errorf("%d dead letters, rows %q, want 4, %q", dead.Load(), got, want)
	}
}

// What parseDatetime accepts is what it writes, but for what is left out.
func FuzzDatetime(f *testing.F) {
	for _, s := range []string{"2024-05-01 12:34:56.123456", "2024-05-01T12:34:56", "2024-02-29", "0000-01-01", "2024-05-01 12:34:56+09:00", "2024-05-01t12:34:56"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		at, ok := parseDatetime(s)
		if !ok {
			return
		}
		const midnight = "0000-00-00 00:00:00.000000"
		want := strings.Replace(string(s), "T", " ", 1)
		if len(want) < len(midnight) {
			want += midnight[len(want):]
		}
		if got := string(appendDatetime(nil, at)); got != want[:len(midnight)] {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
