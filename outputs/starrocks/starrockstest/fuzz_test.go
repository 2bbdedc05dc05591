package starrockstest

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzParseDatetime: whatever parses is a real time, and what the loader sends
// (six digits, a space) comes back as it is.
func FuzzParseDatetime(f *testing.F) {
	for _, s := range []string{"2024-05-01 12:34:56.123456", "20240501T123456", "1701012345", "2024-02-30", "T", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		micros, ok := parseDatetime(s)
		if !ok {
			return
		}
		if year := datetimeTime(micros).Year(); year < 0 || year > 9999 {
			t.Fatalf("%q is in the year %d", s, year)
		}
		if at, err := time.Parse("2006-01-02 15:04:05.000000", s); err == nil && at.UnixMicro() != micros {
			t.Fatalf("%q is %s", s, formatDatetime(micros))
		}
	})
}

// FuzzRows: no body makes the reader panic or run for ever; every row it gives
// is inside the body, and a body that is one JSON object by encoding/json gives
// one row in lenient mode.
func FuzzRows(f *testing.F) {
	for _, s := range []string{goodRow, goodRow + goodRow, `{"stream":nul,"i":1}`, `[{"stream":"a"},{}]`, `{"x":{"y":[1,{"z":"}"}]}}`, `{"stream":"\ud800"}`, `{"a":1`} {
		f.Add([]byte(s), false, true)
		f.Add([]byte(s), true, false)
	}
	s, err := New(Config{DDL: []string{wideTable}})
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	_, table, err := s.find("quickstart", "kong_log_events")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, outer, strict bool) {
		plan := &loadPlan{outer: outer, strict: strict}
		batch := newRowBatch(table, table.snapshot().columns, 1, "l")
		var r loadResult
		_, err := plan.scan(body, batch, &r)
		batch.cut()
		if r.Loaded > int64(len(body)) || err != nil && r.Total != 0 {
			t.Fatalf("%d rows of %d bytes, error %v", r.Total, len(body), err)
		}
		var object map[string]any
		if !outer && !strict && json.Unmarshal(body, &object) == nil && object != nil && utf8.Valid(body) && r.Total != 1 {
			t.Fatalf("one object gives %d rows, error %v", r.Total, err)
		}
	})
}

// FuzzPrintJSON: what is printed is the same JSON value, and prints as itself.
func FuzzPrintJSON(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":{"d":[1,2.50],"c":"x/y"}}`, `[]`, `"é\u00e9\n"`, `-0`, `1e400`, `{"a":1,"a":2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		printed, ok := parseJSON(s)
		if !ok {
			return
		}
		if again, ok := parseJSON(printed); !ok || again != printed {
			t.Fatalf("%q prints as %q, then as %q", s, printed, again)
		}
		if !json.Valid([]byte(printed)) {
			t.Fatalf("%q prints as %q", s, printed)
		}
	})
}

// FuzzDefinition: no text makes the parser panic, and what SHOW CREATE TABLE
// prints of a table it took is taken again.
func FuzzDefinition(f *testing.F) {
	f.Add("CREATE TABLE x (k INT, v STRING AS concat('a', 'b')) DUPLICATE KEY(k)")
	f.Add(recommendedTable)
	f.Add("ALTER TABLE a.b ADD COLUMN (c INT, d JSON)")
	f.Fuzz(func(t *testing.T, sql string) {
		_ = rewrite(sql)
		p, err := newParser(sql)
		if err != nil {
			return
		}
		st, err := parseStatement(p)
		if err != nil || st.verb != verbCreateTable {
			return
		}
		text := newTable(1, "d", st.table, st.create).createStatement()
		if p, err = newParser(text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := parseStatement(p); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
