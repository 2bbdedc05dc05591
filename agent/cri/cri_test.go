package cri

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		line                       string
		time, stream, tag, message string
	}{
		{"2026-08-21T08:15:30.217676062Z stdout F hello world", "2026-08-21T08:15:30.217676062Z", "stdout", "F", "hello world"},
		{"2026-08-21T08:15:30.2+09:00 stderr P x", "2026-08-21T08:15:30.2+09:00", "stderr", "P", "x"},
		{"2026-08-21T08:15:30Z stdout F ", "2026-08-21T08:15:30Z", "stdout", "F", ""},
		{"2026-08-21T08:15:30Z stdout F:a:b  two spaces", "2026-08-21T08:15:30Z", "stdout", "F:a:b", " two spaces"},
	} {
		l, ok := Parse([]byte(tc.line))
		if !ok {
			t.Errorf("%q: not parsed", tc.line)
			continue
		}
		stream := map[bool]string{false: "stdout", true: "stderr"}[l.Stderr]
		if string(l.Time) != tc.time || stream != tc.stream || string(l.Tag) != tc.tag || string(l.Text) != tc.message {
			t.Errorf("%q: got %s %s %s %q", tc.line, l.Time, stream, l.Tag, l.Text)
		}
	}
	for _, line := range []string{
		"", " ", "plain text", "2026-08-21T08:15:30Z", "2026-08-21T08:15:30Z stdout", "2026-08-21T08:15:30Z stdout F",
		"2026-08-21T08:15:30Z stdin F x", "2026-08-21T08:15:30Z stdoutF x", "2026-08-21T08:15:30Z stdout  x",
		"2026-13-21T08:15:30Z stdout F x", "2026-08-21T24:15:30Z stdout F x", "2026-08-21 08:15:30Z stdout F x",
		"2026-08-21T08:15:30.Z stdout F x", "2026-08-21T08:15:30.1234567890Z stdout F x", "2026-08-21T08:15:30.1 stdout F x",
		"2026-08-21T08:15:30+0900 stdout F x", "20x6-08-21T08:15:30Z stdout F x", "2026-08-21T08:15:30\"Z stdout F x",
	} {
		if l, ok := Parse([]byte(line)); ok {
			t.Errorf("%q: parsed as %+v", line, l)
		}
	}
}

func TestPartial(t *testing.T) {
	for tag, want := range map[string]bool{"P": true, "P:x": true, "F": false, "F:P": false, "PX": false} {
		if l := (&Line{Tag: []byte(tag)}); l.Partial() != want {
			t.Errorf("tag %s: partial = %v", tag, !want)
		}
	}
}

func TestJoiner(t *testing.T) {
	var j Joiner
	add := func(time, text string) { j.Add(&Line{Time: []byte(time), Text: []byte(text)}, 8) }
	add("t1", "abc")
	add("t2", "def")
	if at, text, cut := j.Take(); string(at) != "t1" || string(text) != "abcdef" || cut {
		t.Errorf("got %s %s %v", at, text, cut)
	}
	add("t3", "12345678")
	if _, text, cut := j.Take(); string(text) != "12345678" || cut {
		t.Errorf("a line of exactly the limit: got %s, cut %v", text, cut)
	}
	add("t4", "1234567")
	add("t5", "89")
	add("t6", "0")
	if at, text, cut := j.Take(); string(at) != "t4" || string(text) != "12345678" || !cut {
		t.Errorf("a line over the limit: got %s %s %v", at, text, cut)
	}
	if j.Open() {
		t.Error("open after Take")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("2026-08-21T08:15:30.217676062Z stdout F hello"))
	f.Add([]byte("2026-08-21T08:15:30+09:00 stderr P "))
	f.Add([]byte("2026-02-30T08:15:30+09:00 stderr P:x y"))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, ok := Parse(line)
		if !ok {
			return
		}
		// What was accepted can be put together again to the same bytes, and
		// its time means something to the standard library, except that
		// days beyond a month's end are its business and not ours.
		stream := "stdout"
		if l.Stderr {
			stream = "stderr"
		}
		again := strings.Join([]string{string(l.Time), stream, string(l.Tag), string(l.Text)}, " ")
		if again != string(line) {
			t.Fatalf("%q became %q", line, again)
		}
		at := bytes.Clone(l.Time)
		if at[8] > '2' || at[8] == '2' && at[9] > '8' {
			at[8], at[9] = '2', '8'
		}
		if _, err := time.Parse(time.RFC3339Nano, string(at)); err != nil {
			t.Fatalf("time %q: %v", at, err)
		}
	})
}

// FuzzJoiner compares with the obvious model: one growing buffer.
func FuzzJoiner(f *testing.F) {
	f.Add([]byte("ab\x00cd\x01e"), uint8(3))
	f.Fuzz(func(t *testing.T, script []byte, limit uint8) {
		var j Joiner
		var model []byte
		for _, piece := range bytes.Split(script, []byte{0}) {
			model = append(model, piece...)
			j.Add(&Line{Time: []byte("t"), Text: piece}, int(limit))
			if bytes.IndexByte(piece, 1) < 0 {
				continue
			}
			_, text, cut := j.Take()
			want := model[:min(len(model), int(limit))]
			if !bytes.Equal(text, want) || cut != (len(model) > int(limit)) {
				t.Fatalf("got %q cut %v, want %q of %d bytes", text, cut, want, len(model))
			}
			model = model[:0]
		}
	})
}

func BenchmarkParse(b *testing.B) {
	line := []byte(`2026-08-21T08:15:30.217676062Z stdout F 10.42.3.17 - - [21/Aug/2026:08:15:30 +0000] "GET /orders/42 HTTP/1.1" 200 512 "-" "curl/8.5.0"`)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, ok := Parse(line); !ok {
			b.Fatal("not parsed")
		}
	}
}
