package pipeline_test

import (
	"encoding/json"
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
