package starrocks

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"millrace/internal/jsonscan"
	"millrace/internal/pipeline"
)

// record is one record of partition 3, offset 42.
func record(raw string) *pipeline.Record {
	return &pipeline.Record{Origin: &pipeline.Origin{Partition: 3, TopicID: "id"}, Offset: 42, Raw: []byte(raw)}
}

func mustLayout(t testing.TB, tbl *table, columns map[string]string) *layout {
	t.Helper()
	l, err := newLayout(tbl, columns)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stockTable is the user's table with everything that may be added to it, its
// message being short.
func stockTable() *table {
	return &table{columns: []column{
		{"time", datetimeColumn, 0, false}, {"stream", textColumn, 10, false}, {"message", textColumn, 12, false},
		{"kubernetes", jsonColumn, 0, false}, {"pod", textColumn, 20, false}, {"seen", datetimeColumn, 0, false}, {"status", otherColumn, 0, false},
		{partitionColumn, otherColumn, 0, false}, {offsetColumn, otherColumn, 0, false}, {truncatedColumn, otherColumn, 0, false},
	}}
}

func TestRow(t *testing.T) {
	columns := map[string]string{"kubernetes.pod_name": "pod", "msg": "message", "code": "status"}
	const tail = `,"kafka_partition":3,"kafka_offset":42}`
	for name, c := range map[string]struct{ raw, want string }{
		"time to UTC": {`{"time":"2026-08-21T17:15:30.217676062+09:00"}`,
			`{"time":"2026-08-21 08:15:30.217676"` + tail},
		"order and spaces": {` { "stream" : "stdout" , "time" : "2026-08-21T08:15:30Z" } `,
			`{"stream":"stdout","time":"2026-08-21 08:15:30.000000"` + tail},
		"unknown field": {`{"time":"2026-08-21T08:15:30Z","other":{"a":[1,2]}}`,
			`{"time":"2026-08-21 08:15:30.000000"` + tail},
		"mapped and nested": {`{"time":"2026-08-21T08:15:30Z","msg":"hi","code":200,"kubernetes":{"pod_name":"kong-1","x":"y"}}`,
			`{"time":"2026-08-21 08:15:30.000000","message":"hi","status":200,"kubernetes":{"pod_name":"kong-1","x":"y"},"pod":"kong-1"` + tail},
		"a mapped column is not its own field's": {`{"time":"2026-08-21T08:15:30Z","message":"no","status":1}`,
			`{"time":"2026-08-21 08:15:30.000000"` + tail},
		"another time": {`{"time":"2026-08-21T08:15:30Z","seen":"2026-08-21T00:00:00+09:00"}`,
			`{"time":"2026-08-21 08:15:30.000000","seen":"2026-08-20 15:00:00.000000"` + tail},
		"another time not readable": {`{"time":"2026-08-21T08:15:30Z","seen":"2026/08/21"}`,
			`{"time":"2026-08-21 08:15:30.000000","seen":null` + tail},
		"first of two": {`{"time":"2026-08-21T08:15:30Z","msg":"a","msg":"b","time":"2020-01-01T00:00:00Z"}`,
			`{"time":"2026-08-21 08:15:30.000000","message":"a"` + tail},
		"first of two, the second no time": {`{"time":"2026-08-21T08:15:30Z","time":"x"}`,
			`{"time":"2026-08-21 08:15:30.000000"` + tail},
		"nested in an escaped name": {`{"time":"2026-08-21T08:15:30Z","kubernete\u0073":{"pod_nam\u0065":"kong-1"}}`,
			`{"time":"2026-08-21 08:15:30.000000","kubernetes":{"pod_nam\u0065":"kong-1"},"pod":"kong-1"` + tail},
		"numbers as large as JSON columns hold": {`{"time":"2026-08-21T08:15:30Z","kubernetes":[18446744073709551615,-9223372036854775808,1e308]}`,
			`{"time":"2026-08-21 08:15:30.000000","kubernetes":[18446744073709551615,-9223372036854775808,1e308]` + tail},
		"too large a number where no column is": {`{"time":"2026-08-21T08:15:30Z","other":1e999,"msg":1e999}`,
			`{"time":"2026-08-21 08:15:30.000000","message":1e999` + tail},
		"escaped name": {`{"\u0074ime":"2026-08-21T08:15:30Z"}`,
			`{"time":"2026-08-21 08:15:30.000000"` + tail},
		"escaped time": {`{"time":"2026-08-21\u005408:15:30Z"}`,
			`{"time":"2026-08-21 08:15:30.000000"` + tail},
		"null": {`{"time":"2026-08-21T08:15:30Z","msg":null}`,
			`{"time":"2026-08-21 08:15:30.000000","message":null` + tail},
		"foreign provenance": {`{"kafka_partition":9,"kafka_offset":9,"time":"2026-08-21T08:15:30Z"}`,
			`{"time":"2026-08-21 08:15:30.000000"` + tail},
		"fits": {`{"time":"2026-08-21T08:15:30Z","msg":"twelve bytes"}`,
			`{"time":"2026-08-21 08:15:30.000000","message":"twelve bytes"` + tail},
		"fits without its escapes": {`{"time":"2026-08-21T08:15:30Z","msg":"\"\"\"\"\"\"\u00e4\u00e4\u00e4"}`,
			`{"time":"2026-08-21 08:15:30.000000","message":"\"\"\"\"\"\"\u00e4\u00e4\u00e4"` + tail},
		"one too long": {`{"time":"2026-08-21T08:15:30Z","msg":"thirteen byte"}`,
			`{"time":"2026-08-21 08:15:30.000000","message":"thirteen …","truncated":true` + tail},
		"cut between runes": {`{"time":"2026-08-21T08:15:30Z","msg":"12345678äöü"}`,
			`{"time":"2026-08-21 08:15:30.000000","message":"12345678…","truncated":true` + tail},
		"cut with escapes": {`{"time":"2026-08-21T08:15:30Z","msg":"\n\n\n\n\n\n\n\n\n\n\n\n\n"}`,
			`{"time":"2026-08-21 08:15:30.000000","message":"\n\n\n\n\n\n\n\n\n…","truncated":true` + tail},
		"object in a text column": {`{"time":"2026-08-21T08:15:30Z","msg":{"a":"bcdefghijk"}}`,
			`{"time":"2026-08-21 08:15:30.000000","message":"{\"a\":\"bcd…","truncated":true` + tail},
		"cut by the agent": {`{"time":"2026-08-21T08:15:30Z","truncated":true}`,
			`{"time":"2026-08-21 08:15:30.000000","truncated":true` + tail},
		"a mark that is none": {`{"time":"2026-08-21T08:15:30Z","truncated":"maybe"}`,
			`{"time":"2026-08-21 08:15:30.000000"` + tail},
		"first of two, the first no time": {`{"time":"x","time":"2026-08-21T08:15:30Z"}`, ""},
		"integer beyond 64 bits in JSON":  {`{"time":"2026-08-21T08:15:30Z","kubernetes":{"a":[18446744073709551616]}}`, ""},
		"number beyond a double in JSON":  {`{"time":"2026-08-21T08:15:30Z","kubernetes":{"pod_name":"a","x":-1e999}}`, ""},
		"value too long for JSON":         {`{"time":"2026-08-21T08:15:30Z","kubernetes":"` + strings.Repeat("x", maxJSON) + `"}`, ""},
		"no time":                         {`{"msg":"a"}`, ""},
		"time null":                       {`{"time":null}`, ""},
		"time a number":                   {`{"time":1701012345}`, ""},
		"time text":                       {`{"time":"yesterday"}`, ""},
		"not JSON":                        {`GET / HTTP/1.1`, ""},
		"array":                           {`[{"time":"2026-08-21T08:15:30Z"}]`, ""},
		"two objects":                     {`{"time":"2026-08-21T08:15:30Z"}{}`, ""},
		"cut short":                       {`{"time":"2026-08-21T08:15:30Z"`, ""},
		"invalid UTF-8":                   {"{\"time\":\"2026-08-21T08:15:30Z\",\"msg\":\"\xff\"}", ""},
		"control":                         {"{\"time\":\"2026-08-21T08:15:30Z\",\"msg\":\"\t\"}", ""},
		"lone surrogate":                  {`{"time":"2026-08-21T08:15:30Z","msg":"\ud800"}`, ""},
		"empty":                           {``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEncoder(mustLayout(t, stockTable(), columns))
			for range 2 { // the second time the order of the fields is known
				got, at, _, err := e.append([]byte("x"), record(c.raw))
				if c.want == "" {
					if err == nil || string(got) != "x" {
						t.Fatalf("accepted as %s", got)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != "x"+c.want {
					t.Errorf("got  %s\nwant x%s", got, c.want)
				}
				if at.time().IsZero() {
					t.Error("the line's time is missing")
				}
			}
		})
	}
}

func TestRowWithAddedFields(t *testing.T) {
	e := newEncoder(mustLayout(t, stockTable(), nil))
	r := record(`{"time":"2026-08-21T08:15:30Z","stream":"stdout","message":"a"}`)
	r.Added = []pipeline.Field{{Name: "status", JSON: []byte("200")}, {Name: "stream", JSON: []byte(`"added"`)}, {Name: "nowhere", JSON: []byte(`1`)}}
	got, _, _, err := e.append(nil, r)
	const want = `{"status":200,"stream":"added","time":"2026-08-21 08:15:30.000000","message":"a","kafka_partition":3,"kafka_offset":42}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
}

// A key that is there twice is appended twice by older versions of StarRocks.
func TestEachKeyIsWrittenOnce(t *testing.T) {
	mapped := map[string]string{"kubernetes.pod_name": "cluster"}
	known := &table{columns: append(stockTable().columns, column{"cluster", textColumn, 20, false})}
	for name, c := range map[string]struct {
		table   *table
		columns map[string]string
		added   []pipeline.Field
		want    string
	}{
		"added and mapped, table assumed": {defaultTable(mapped), mapped, []pipeline.Field{{Name: "cluster", JSON: []byte(`"a"`)}}, `"cluster":"p"`},
		"added and mapped, table known":   {known, mapped, []pipeline.Field{{Name: "cluster", JSON: []byte(`"a"`)}}, `"cluster":"p"`},
		"added twice, table assumed":      {defaultTable(nil), nil, []pipeline.Field{{Name: "x", JSON: []byte(`1`)}, {Name: "x", JSON: []byte(`2`)}}, `"x":1`},
		"added and cut":                   {known, nil, []pipeline.Field{{Name: "truncated", JSON: []byte(`false`)}, {Name: "stream", JSON: []byte(`"longer than ten"`)}}, `"truncated":true`},
		"added twice, table known":        {known, nil, []pipeline.Field{{Name: "cluster", JSON: []byte(`"1"`)}, {Name: "cluster", JSON: []byte(`"2"`)}}, `"cluster":"1"`},
	} {
		e := newEncoder(mustLayout(t, c.table, c.columns))
		r := record(`{"time":"2026-08-21T08:15:30Z","kubernetes":{"pod_name":"p"}}`)
		r.Added = c.added
		got, _, _, err := e.append(nil, r)
		key := c.want[:strings.IndexByte(c.want, ':')+1]
		if err != nil || strings.Count(string(got), key) != 1 || !strings.Contains(string(got), c.want) {
			t.Errorf("%s: got %s (%v), want %s once", name, got, err, c.want)
		}
	}
}

// Without query_addr the table is not known: StarRocks ignores what it has no
// column for, so nothing that a filter added gets lost.
func TestRowOfTheAssumedTable(t *testing.T) {
	e := newEncoder(mustLayout(t, defaultTable(map[string]string{"level": "lvl"}), map[string]string{"level": "lvl"}))
	r := record(`{"time":"2026-08-21T08:15:30Z","level":"info","message":"` + strings.Repeat("x", 65534) + `"}`)
	r.Added = []pipeline.Field{{Name: "cluster", JSON: []byte(`"a"`)}}
	got, _, cut, err := e.append(nil, r)
	want := `{"cluster":"a","time":"2026-08-21 08:15:30.000000","lvl":"info","message":"` + strings.Repeat("x", 65530) + `…","truncated":true,"kafka_topic_id":"id","kafka_partition":3,"kafka_offset":42}`
	if err != nil || !cut || string(got) != want {
		t.Errorf("got %.120s… of %d bytes (%v)", got, len(got), err)
	}
}

// A STRING holds 65,533 bytes: of the text, not of its escapes.
func TestLongMessages(t *testing.T) {
	e := newEncoder(mustLayout(t, defaultTable(nil), nil))
	for name, c := range map[string]struct {
		message string // as JSON
		cut     bool
	}{
		"fits":                   {strings.Repeat("x", 65533), false},
		"one byte more":          {strings.Repeat("x", 65534), true},
		"fits, only escapes":     {strings.Repeat(`\n`, 65533), false},
		"more, only escapes":     {strings.Repeat(`\u0001`, 65534), true},
		"fits, beyond ASCII":     {strings.Repeat("ä", 65532/2) + "x", false},
		"one more, beyond ASCII": {strings.Repeat("ä", 65534/2), true},
		"max_line of the agent":  {strings.Repeat(`\"`, 1<<20), true},
	} {
		out, at, cut, err := e.append(nil, record(`{"time":"2026-08-21T08:15:30Z","message":"`+c.message+`"}`))
		if err != nil || cut != c.cut {
			t.Errorf("%s: cut is %t: %v", name, cut, err)
			continue
		}
		var row struct {
			Message   string
			Truncated bool
		}
		if err := json.Unmarshal(out, &row); err != nil || at.unix == 0 {
			t.Errorf("%s: %v", name, err)
		}
		if len(row.Message) > 65533 || len(row.Message) < 65530 || row.Truncated != cut || strings.HasSuffix(row.Message, "…") != cut {
			t.Errorf("%s: %d bytes, truncated %t", name, len(row.Message), row.Truncated)
		}
	}
}

// Swapped names must not meet in one column.
func TestColumnsMayBeSwapped(t *testing.T) {
	e := newEncoder(mustLayout(t, stockTable(), map[string]string{"stream": "message", "message": "stream"}))
	got, _, _, err := e.append(nil, record(`{"time":"2026-08-21T08:15:30Z","stream":"s","message":"m"}`))
	const want = `{"time":"2026-08-21 08:15:30.000000","message":"s","stream":"m","kafka_partition":3,"kafka_offset":42}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
}

func TestTableCheck(t *testing.T) {
	for name, c := range map[string]struct {
		table   table
		columns map[string]string
		want    string
	}{
		"fits":    {*stockTable(), nil, ""},
		"mapped":  {*stockTable(), map[string]string{"level": "lvl"}, "there is no column lvl for the field level"},
		"no time": {table{columns: []column{{"message", textColumn, 9, false}}}, nil, "there is no column time for the field time"},
		"time is text, message is missing": {table{columns: []column{{"time", textColumn, 9, false}}}, nil,
			"the column time for the field time is not a DATETIME; there is no column message for the field message"},
		"half a provenance": {table{columns: []column{{"time", datetimeColumn, 0, false}, {"message", textColumn, 9, false}, {offsetColumn, otherColumn, 0, false}}}, nil,
			"only one of the columns kafka_partition and kafka_offset is there; a row's origin needs both"},
	} {
		if got := strings.Join(c.table.check(c.columns), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzRow(f *testing.F) {
	for _, s := range []string{
		`{"time":"2026-08-21T08:15:30.217676062Z","stream":"stdout","logtag":"F","message":"a \"b\" \\ ä \ud83d\ude00 thirteen","kubernetes":{"pod_name":"kong-1"}}`,
		`{"time":"2026-08-21T17:15:30+09:00","message":{"a":[1,-2.5e+3,true,null,"x"]},"truncated":true,"seen":"2026-08-21T00:00:00Z"}`,
		` {"\u0074ime" : "2026-08-21T08:15:30Z" , "kubernetes.pod_name":"x", "kafka_offset":1} `,
	} {
		f.Add([]byte(s), []byte(`"added"`))
	}
	l, err := newLayout(stockTable(), map[string]string{"kubernetes.pod_name": "pod"})
	if err != nil {
		f.Fatal(err)
	}
	e := newEncoder(l) // one for all, as in use: it remembers the last record
	f.Fuzz(func(t *testing.T, raw, added []byte) {
		r := record(string(raw))
		if m, err := jsonscan.Members([]byte(`{"a":`+string(added)+`}`), nil); err == nil && len(m) == 1 && len(m[0].Value) == len(added) {
			r.Added = []pipeline.Field{{Name: "stream", JSON: added}}
		}
		out, at, _, err := e.append(nil, r)
		if err != nil {
			if len(out) != 0 {
				t.Fatalf("refused %q but wrote %q", raw, out)
			}
			return
		}
		checkRow(t, out, at)
	})
}

// checkRow fails unless out is one object with each column once, readable by
// encoding/json, and its texts fit.
func checkRow(t *testing.T, out []byte, at instant) {
	if !utf8.Valid(out) || strings.ContainsAny(string(out), "\x00\x01\x1f") {
		t.Fatalf("not clean: %q", out)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	var row map[string]any
	if err := d.Decode(&row); err != nil || d.More() {
		t.Fatalf("not one object: %q: %v", out, err)
	}
	if row["time"] != string(appendDatetime(nil, at)) || row[offsetColumn] != float64(42) {
		t.Fatalf("time or provenance is wrong: %q", out)
	}
	members, err := jsonscan.Members(out, nil)
	if err != nil {
		t.Fatalf("StarRocks would refuse %q: %v", out, err)
	}
	seen := map[string]bool{}
	for i := range members {
		if key := string(members[i].Key); seen[key] {
			t.Fatalf("%s is there twice: %q", key, out)
		} else {
			seen[key] = true
		}
	}
	for _, c := range stockTable().columns {
		if text, ok := row[c.name].(string); ok && c.kind == textColumn && len(text) > c.max {
			t.Fatalf("%s is too long: %q", c.name, out)
		}
	}
}
