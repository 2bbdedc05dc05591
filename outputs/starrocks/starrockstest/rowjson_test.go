package starrockstest

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const wideTable = `CREATE DATABASE quickstart; USE quickstart;
CREATE TABLE kong_log_events (
  time DATETIME, stream STRING, short VARCHAR(4), kubernetes JSON, i INT, b BIGINT, d DOUBLE, flag BOOLEAN, day DATE,
  kst_time DATETIME AS convert_tz(time, 'UTC', 'Asia/Seoul')
) DUPLICATE KEY(time) DISTRIBUTED BY RANDOM;`

// TestBadObjects is the list of what one bad object among good ones does; the
// results were measured with the scanner's loop on simdjson 3.9.4.
func TestBadObjects(t *testing.T) {
	const a, c = `{"stream":"A"}`, `{"stream":"C"}`
	for name, test := range map[string]struct {
		body            string
		lenient, strict string // "loaded/filtered", or a part of the message of a failed load
	}{
		"three good ones":               {a + "\n" + a + "\n" + c, "3/0", "3/0"},
		"nothing between":               {a + a + c, "3/0", "3/0"},
		"blank lines and CRLF":          {a + "\r\n\r\n  " + a + "\n\n" + c + "\n \n", "3/0", "3/0"},
		"invalid UTF-8":                 {a + "\n{\"stream\":\"\xff\"}\n" + c, "UTF8_ERROR", "UTF8_ERROR"},
		"raw tab in a string":           {a + "\n{\"stream\":\"a\tb\"}\n" + c, "UNESCAPED_CHARS", "UNESCAPED_CHARS"},
		"raw NUL in an unmapped string": {a + "\n{\"x\":\"a\x00b\"}\n" + c, "UNESCAPED_CHARS", "UNESCAPED_CHARS"},
		"unclosed string":               {a + "\n{\"stream\":\"B}\n" + c, "UNESCAPED_CHARS", "UNESCAPED_CHARS"},
		"missing brace":                 {a + "\n{\"stream\":\"B\"\n" + c, "TAPE_ERROR", "TAPE_ERROR"},
		"missing comma":                 {a + `{"stream":"B" "i":1}` + c, "TAPE_ERROR", "TAPE_ERROR"},
		"missing colon":                 {a + `{"stream" "B"}` + c, "TAPE_ERROR", "TAPE_ERROR"},
		"trailing comma":                {a + `{"stream":"B",}` + c, "TAPE_ERROR", "TAPE_ERROR"},
		"extra brace":                   {a + `{"stream":"B"}}` + c, "iterate document stream", "iterate document stream"},
		"commas between objects":        {a + "," + c, "iterate document stream", "iterate document stream"},
		"a line of text":                {a + "\nhello\n" + c, "iterate document stream", "iterate document stream"},
		"a line with a number":          {a + "\n7\n" + c, "iterate document stream", "iterate document stream"},
		"a line with null":              {a + "\nnull\n" + c, "iterate document stream", "iterate document stream"},
		"a line with an array":          {a + "\n[1]\n" + c, "iterate document stream", "iterate document stream"},
		"bad literal in a column":       {a + `{"stream":nul,"i":1}` + c, "3/1", "3/1"},
		"bad literal unmapped":          {a + `{"x":nul,"stream":"B"}` + c, "3/0", "3/0"},
		"NaN in a column":               {a + `{"d":NaN}` + c, "3/0", "2/1"},
		"lone surrogate":                {a + `{"stream":"\ud800"}` + c, "3/0", "2/1"},
		"bad escape":                    {a + `{"stream":"\x"}` + c, "3/0", "2/1"},
		"lone surrogate in JSON":        {a + `{"kubernetes":{"a":"\ud800"}}` + c, "3/0", "2/1"},
		"lone surrogate unmapped":       {a + `{"x":"\ud800"}` + c, "3/0", "3/0"},
		"lone surrogate in a key":       {a + `{"\ud800":1}` + c, "2/1", "2/1"},
		"integer beyond 64 bits":        {a + `{"kubernetes":{"a":123456789012345678901234567890}}` + c, "3/0", "2/1"},
		"escaped NUL":                   {a + `{"stream":"\u0000"}` + c, "3/0", "3/0"},
		"truncated in a string":         {a + a + `{"stream":"C`, "2/0", "2/0"},
		"truncated before the brace":    {a + a + `{"stream":"C"`, "2/0", "2/0"},
		"only a truncated object":       {`{"stream":"C`, "all partitions have no load data", "all partitions have no load data"},
		"empty":                         {"", "all partitions have no load data", "all partitions have no load data"},
		"blank":                         {" \n ", "all partitions have no load data", "all partitions have no load data"},
		"BOM":                           {"\ufeff" + a, "illegal json started with", "illegal json started with"},
		"text first":                    {"hello " + a, "illegal json started with", "illegal json started with"},
		"array without the header":      {"[" + a + "]", "strip_outer_array", "strip_outer_array"},
		"not a time":                    {a + `{"time":"yesterday"}`, "2/0", "1/1"},
		"too long, counted in bytes":    {a + `{"short":"ééé"}`, "2/0", "1/1"},
		"as long as allowed":            {a + `{"short":"éé"}`, "2/0", "2/0"},
		"not an integer":                {a + `{"i":"x"}`, "2/0", "1/1"},
		"integer out of range":          {a + `{"i":2147483648}`, "2/0", "1/1"},
		"nulls everywhere":              {`{"time":null,"stream":null,"kubernetes":null,"i":null}`, "1/0", "1/0"},
		"a key of a generated column":   {`{"kst_time":"nonsense","stream":"A"}`, "1/0", "1/0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{DDL: []string{wideTable}})
			for mode, want := range map[string]string{"false": test.lenient, "true": test.strict} {
				before := s.Count("quickstart", "kong_log_events")
				r := put(t, s, test.body, "strict_mode", mode, "max_filter_ratio", "1")
				if want[0] < '0' || want[0] > '9' {
					if r.Status != "Fail" || !strings.Contains(r.Message, want) || r.NumberTotalRows != 0 {
						t.Errorf("strict %s: want Fail with %q and no counters, got %s", mode, want, r.raw)
					}
					continue
				}
				loaded := s.Count("quickstart", "kong_log_events") - before
				if got := itoa(loaded) + "/" + itoa(r.NumberFilteredRows); r.Status != "Success" || got != want ||
					r.NumberLoadedRows != loaded || r.NumberTotalRows != loaded+r.NumberFilteredRows {
					t.Errorf("strict %s: want %s, got %s from %s", mode, want, got, r.raw)
				}
			}
		})
	}
}

func itoa(n int64) string { return value{kind: kindBigInt, i: n}.text() }

func TestColumnValues(t *testing.T) {
	s := start(t, Config{DDL: []string{wideTable}})
	for _, test := range []struct {
		body, column string
		want         any
	}{
		{`{"stream":"a"}`, "i", nil},
		{`{"stream":"a","stream":"b"}`, "stream", "a"},
		{`{"Stream":"a"}`, "stream", nil},
		{`{"stream":12.50}`, "stream", "12.50"},
		{`{"stream":true}`, "stream", "1"},
		{`{"stream":false}`, "stream", "0"},
		{`{"stream": {"b" : [1, "x y"]} }`, "stream", `{"b":[1,"x y"]}`},
		{`{"stream":"\u00e9\ud83d\ude00\n"}`, "stream", "é😀\n"},
		{`{"kubernetes":{"b":1,"a":{"d":[1,2.50],"c":"x/y"}}}`, "kubernetes", `{"a": {"c": "x/y", "d": [1, 2.5]}, "b": 1}`},
		{`{"kubernetes":"{\"a\":1}"}`, "kubernetes", `"{\"a\":1}"`},
		{`{"kubernetes":7}`, "kubernetes", `7`},
		{`{"kubernetes":true}`, "kubernetes", `true`},
		{`{"kubernetes":[]}`, "kubernetes", `[]`},
		{`{"i":"12"}`, "i", int64(12)},
		{`{"i":1.9}`, "i", int64(1)},
		{`{"i":-2147483648}`, "i", int64(-2147483648)},
		{`{"b":9223372036854775807}`, "b", int64(9223372036854775807)},
		{`{"d":"1.5"}`, "d", 1.5},
		{`{"d":1e3}`, "d", 1000.0},
		{`{"flag":true}`, "flag", int64(1)},
		{`{"day":"2026-08-21 10:00:00"}`, "day", datetimeTime(20686 * microsPerDay)},
		{`{"stream":"` + strings.Repeat("x", 65533) + `"}`, "stream", strings.Repeat("x", 65533)},
		{`{"stream":"` + strings.Repeat("x", 65534) + `"}`, "stream", nil},
	} {
		if err := s.Exec("quickstart", "TRUNCATE TABLE kong_log_events"); err != nil {
			t.Fatal(err)
		}
		if r := put(t, s, test.body); r.Status != "Success" {
			t.Fatalf("%.80s: %s", test.body, r.raw)
		}
		for row := range s.Rows("quickstart", "kong_log_events") {
			if got := row.Get(test.column); got != test.want {
				t.Errorf("%.80s: %s is %v, want %v", test.body, test.column, got, test.want)
			}
		}
	}
}

func TestOuterArray(t *testing.T) {
	s := start(t, Config{})
	for body, want := range map[string]string{
		`[{"stream":"a"},{"stream":"b"}]`: "Success", "[]": "no load data", "[{},\n{}]\n": "Success",
		`{"stream":"a"}`: "should be array", `[{"stream":"a"}`: "INCOMPLETE", `[{"stream":"a"},5]`: "INCORRECT_TYPE",
		`[{} {}]`: "TAPE_ERROR", `[{}]{}`: "TAPE_ERROR",
	} {
		if r := put(t, s, body, "strip_outer_array", "true"); r.Status != want && !strings.Contains(r.Message, want) {
			t.Errorf("%s: want %s, got %s", body, want, r.raw)
		}
	}
}

func TestFilteredRows(t *testing.T) {
	s := start(t, Config{DDL: []string{strings.Replace(wideTable, "time DATETIME,", "time DATETIME NOT NULL,", 1)}})
	good, bad := `{"time":"2026-08-21 08:00:00","stream":"secret-free"}`, `{"time":"never"}`
	r := put(t, s, good+bad+good, "strict_mode", "true")
	if r.Status != "Fail" || r.Message != "too many filtered rows" || r.NumberTotalRows != 3 || r.NumberFilteredRows != 1 || s.Count("quickstart", "kong_log_events") != 0 {
		t.Fatalf("strict, ratio 0: %s", r.raw)
	}
	resp, err := http.Get(r.ErrorURL) // as the SDK does: without credentials
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if want := "Error: Value 'never' is out of range. The type of 'time' is DATETIME. Row: " + bad + "\n"; string(text) != want {
		t.Errorf("error log:\n%s\nwant\n%s", text, want)
	}
	if r = put(t, s, good+bad+good, "max_filter_ratio", "0.3"); r.Status != "Fail" {
		t.Errorf("a third filtered, ratio 0.3: %s", r.raw)
	}
	if r = put(t, s, good+bad+good, "max_filter_ratio", "0.34"); r.Status != "Success" || r.NumberLoadedRows != 2 || r.ErrorURL == "" {
		t.Errorf("a third filtered, ratio 0.34: %s", r.raw)
	}
	r = put(t, s, good+`{"stream":"x"}`)
	resp, err = http.Get(r.ErrorURL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ = io.ReadAll(resp.Body)
	if !strings.HasPrefix(string(text), "Error: NULL value in non-nullable column 'time'. Row: ") {
		t.Errorf("error log: %s", text)
	}
}
