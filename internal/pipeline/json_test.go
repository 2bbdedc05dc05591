package pipeline_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"millrace/internal/pipeline"
)

// FuzzAppendString takes encoding/json as the referee.
func FuzzAppendString(f *testing.F) {
	f.Add([]byte("plain \"quoted\" back\\slash\n\t\x00\x1f\x7f/ ä € \U0001F600 \xff\xc3"), 30)
	f.Fuzz(func(t *testing.T, s []byte, room int) {
		out, replaced := pipeline.AppendString([]byte{'"'}, s, -1)
		var text string
		if err := json.Unmarshal(append(out, '"'), &text); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if want := strings.ToValidUTF8(string(s), ""); !replaced && text != want || replaced == utf8.Valid(s) {
			t.Fatalf("%q became %q, replaced %v", s, text, replaced)
		}
		if room < 0 {
			return
		}
		short, _ := pipeline.AppendString(nil, s, room)
		if len(short) > room || !strings.HasPrefix(string(out[1:]), string(short)) {
			t.Fatalf("room %d: %q of %q", room, short, out[1:])
		}
		if err := json.Unmarshal([]byte(`"`+string(short)+`"`), &text); err != nil {
			t.Fatalf("cut to %q: %v", short, err)
		}
		// It stops only where one more character would not fit.
		if len(short) < len(out)-1 && len(short)+12 <= room {
			t.Fatalf("room %d: only %d bytes used of %q", room, len(short), out[1:])
		}
	})
}

// The escapes are those of Oj's compat mode, byte by byte.
func TestEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"\b\t\n\f\r\"\\":              `\b\t\n\f\r\"\\`,
		"\x00\x1f\v\x1b":              `\u0000\u001f\u000b\u001b`,
		"/<>&'\x7f\u2028\u2029\u00e4": "/<>&'\x7f\u2028\u2029\u00e4",
	} {
		if got, _ := pipeline.AppendString(nil, []byte(in), -1); string(got) != want {
			t.Errorf("%q became %s, want %s", in, got, want)
		}
	}
}

func TestAppendJSONFits(t *testing.T) {
	origin := &pipeline.Origin{Stream: []byte("stdout"), Tail: []byte(`,"kubernetes":{"pod_name":"p"}`)}
	for _, message := range []string{strings.Repeat("a", 1000), strings.Repeat("\x01", 1000), strings.Repeat("ä", 500), strings.Repeat("\"", 999)} {
		for limit := range 1400 {
			r := pipeline.Record{Origin: origin, Time: []byte("2026-01-01T00:00:00Z"), Tag: []byte("F"), Message: []byte(message)}
			out, marks, fits := r.AppendJSON([]byte("x"), limit)
			if !fits {
				if limit > 200 || string(out) != "x" {
					t.Fatalf("limit %d: does not fit, %q", limit, out)
				}
				continue
			}
			var doc map[string]any
			if err := json.Unmarshal(out[1:], &doc); err != nil || len(out)-1 > limit {
				t.Fatalf("limit %d: %d bytes, %v", limit, len(out)-1, err)
			}
			whole := doc["message"] == message
			if whole == marks.Cut || whole == (doc["truncated"] == true) || r.Cut {
				t.Fatalf("limit %d: whole %v, marks %+v, truncated %v", limit, whole, marks, doc["truncated"])
			}
			// No room is wasted, apart from a character that did not fit.
			if marks.Cut && limit-(len(out)-1) > 5 {
				t.Fatalf("limit %d: %d bytes", limit, len(out)-1)
			}
		}
	}
}

// The lengths at which something else along the way ends: a runtime's piece,
// a STRING column of StarRocks, a line at its longest, and the limits of topics
// around them. In each case the record is as long as it may be.
func TestAppendJSONAtTheLimits(t *testing.T) {
	const maxLine = 1 << 20
	tail := `,"kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-x2x7k","labels":{"app":"kong"}}`
	r := pipeline.Record{Origin: &pipeline.Origin{Stream: []byte("stderr"), Tail: []byte(tail)},
		Time: []byte("2026-08-21T08:15:30.217676062+09:00"), Tag: []byte("F")}
	head, tail := `{"time":"2026-08-21T08:15:30.217676062+09:00","stream":"stderr","logtag":"F","message":"`, `"`+tail
	const mark = `,"truncated":true`
	empty := len(head) + len(tail) + len("}")
	var buf []byte
	for char, encoded := range map[string]string{
		"a": "a", "가": "가", `"`: `\"`, "\x01": `\u0001`, "\xff": "\uFFFD",
	} {
		for _, length := range []int{16 << 10, 65_533, 65_534, maxLine} {
			n := length / len(char)
			r.Message = bytes.Repeat([]byte(char), n)
			whole := empty + n*len(encoded)
			limits := []int{whole - 1, maxLine}
			if length < maxLine { // it takes long
				limits = append(limits, whole, whole-len(mark)-1, empty+len(mark)+len(encoded)-1)
			}
			for _, limit := range limits {
				out, marks, fits := r.AppendJSON(buf[:0], limit)
				buf = out
				kept, end := n, "}"
				if limit < whole {
					kept, end = (limit-empty-len(mark))/len(encoded), mark+"}"
				}
				if !fits || string(out) != head+strings.Repeat(encoded, kept)+tail+end {
					t.Fatalf("%d of %q, limit %d: fits %v, %d bytes, %.150q", n, char, limit, fits, len(out), out)
				}
				if want := (pipeline.Marks{Cut: limit < whole, Replaced: char == "\xff" && kept > 0}); marks != want {
					t.Fatalf("%d of %q, limit %d: marks %+v", n, char, limit, marks)
				}
			}
			if out, _, fits := r.AppendJSON([]byte("kept"), empty+len(mark)-1); fits || string(out) != "kept" {
				t.Fatalf("fits in less than nothing: %.40q", out)
			}
		}
	}
}

// FuzzAppendJSON takes encoding/json as the referee: the record says what went
// into it, in the stock order, within the limit.
func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("message \x00\xff\"ä"), []byte("F:\xff\""), true, false, 200)
	f.Add([]byte("cut \x01\x02"), []byte("P"), true, true, 150)
	f.Add([]byte(""), []byte(""), false, false, 0)
	f.Add([]byte("m"), []byte("F:\xff"), true, false, 1000)
	f.Add([]byte("message that is cut before \xff"), []byte("F"), true, false, 145)
	f.Fuzz(func(t *testing.T, message, tag []byte, parsed, cut bool, limit int) {
		r := pipeline.Record{
			Origin: &pipeline.Origin{Tail: []byte(`,"kubernetes":{"a":"b"}`)}, Time: []byte("2026-01-01T00:00:00Z"),
			Message: message, Cut: cut, Added: []pipeline.Field{{Name: "level", JSON: []byte(`"warn"`)}},
		}
		want := [][2]string{{"time", "2026-01-01T00:00:00Z"}}
		if parsed {
			r.Origin.Stream, r.Tag = []byte("stdout"), tag
			want = append(want, [2]string{"stream", "stdout"}, [2]string{"logtag", text(t, tag)})
		}
		if len(message) > 0 {
			want = append(want, [2]string{"message", text(t, message)})
		}
		want = append(want, [2]string{"kubernetes", `{"a":"b"}`}, [2]string{"level", "warn"})
		if cut {
			want = append(want, [2]string{"truncated", "true"})
		}
		whole, marks, fits := r.AppendJSON(nil, 1<<30)
		if got := members(t, whole); !fits || !slices.Equal(got, want) || marks.Cut {
			t.Fatalf("%s\n%q, want\n%q, marks %+v", whole, got, want, marks)
		}
		if valid := utf8.Valid(message) && (!parsed || utf8.Valid(tag)); marks.Replaced == valid {
			t.Fatalf("%s: replaced is %v", whole, marks.Replaced)
		}
		short, marks, fits := r.AppendJSON([]byte("x"), limit)
		switch {
		case !fits:
			if string(short) != "x" || limit >= len(whole) {
				t.Fatalf("limit %d of %d: does not fit, %q", limit, len(whole), short)
			}
			return
		case limit >= len(whole):
			if string(short[1:]) != string(whole) || marks.Cut {
				t.Fatalf("limit %d of %d: %s", limit, len(whole), short)
			}
			return
		case !marks.Cut || len(short)-1 > limit || r.Cut != cut || marks.Replaced && !bytes.Contains(short, []byte("\uFFFD")):
			t.Fatalf("limit %d of %d: %d bytes, marks %+v, record cut %v", limit, len(whole), len(short)-1, marks, r.Cut)
		}
		if !cut {
			want = append(want, [2]string{"truncated", "true"})
		}
		got := members(t, short[1:])
		if len(got) != len(want) {
			t.Fatalf("%q, want %q", got, want)
		}
		for i := range got {
			same := got[i] == want[i]
			if want[i][0] == "message" {
				same = got[i][0] == "message" && strings.HasPrefix(want[i][1], got[i][1])
			}
			if !same {
				t.Fatalf("%q, want %q", got[i], want[i])
			}
		}
	})
}

// text is s as encoding/json hands it on: each byte that is not UTF-8 becomes
// U+FFFD.
func text(t *testing.T, s []byte) (out string) {
	t.Helper()
	encoded, err := json.Marshal(string(s))
	check(t, err, json.Unmarshal(encoded, &out))
	return out
}

// members are the object's, in order: strings as what they say, other values
// as written.
func members(t *testing.T, object []byte) (all [][2]string) {
	t.Helper()
	if !json.Valid(object) || !utf8.Valid(object) {
		t.Fatalf("not valid: %q", object)
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	for _, err := dec.Token(); dec.More(); {
		key, kerr := dec.Token()
		var value json.RawMessage
		check(t, err, kerr, dec.Decode(&value))
		says := string(value)
		if value[0] == '"' {
			check(t, json.Unmarshal(value, &says))
		}
		all = append(all, [2]string{key.(string), says})
	}
	return all
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestPaths(t *testing.T) {
	for s, want := range map[string]string{
		"message":             "message",
		"kubernetes.pod_name": "kubernetes|pod_name",
		`kubernetes.labels."app.kubernetes.io/name"`: "kubernetes|labels|app.kubernetes.io/name",
		`"a.b".c`: "a.b|c",
	} {
		p, err := pipeline.ParsePath(s)
		if err != nil || strings.Join(p.Names, "|") != want || p.Key != pipeline.PathKey(p.Names...) {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	for _, s := range []string{"", ".", "a.", ".a", "a..b", `"a`, `"a"b`, `""`} {
		if p, err := pipeline.ParsePath(s); err == nil {
			t.Errorf("%q: accepted as %v", s, p)
		}
	}
}
