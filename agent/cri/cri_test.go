package cri

import (
	"bytes"
	"fmt"
	"regexp"
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

// reference is the grammar of Parse's contract, written down once more. Days
// are 1 to 31 in every month.
var reference = regexp.MustCompile(`(?s)^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d` +
	`(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)) (stdout|stderr) ([^ ]+) (.*)$`)

// FuzzParse takes a regular expression and the standard library's times as
// referees: the same lines are accepted, and in the same parts.
func FuzzParse(f *testing.F) {
	f.Add([]byte("2026-08-21T08:15:30.217676062Z stdout F hello"))
	f.Add([]byte("2026-08-21T08:15:30+09:00 stderr P "))
	f.Add([]byte("2026-02-30T08:15:30+09:00 stderr P:x y"))
	f.Add([]byte("2026-02-30T08:15:30.-09:00 stdout F \xff\x00 \n"))
	f.Add([]byte("2026-12-01T23:59:59.123456789-23:59 stderr \xff z"))
	f.Add([]byte("2026-12-01T23:59:59.1234567890-23:59 stderr PX z"))
	f.Add([]byte("2026-12-01T24:59:59Z stdout PX:P z"))
	f.Add([]byte("2026-12-01T23:59:59+24:00 stdout PX:P z"))
	f.Add([]byte("2026-12-01T23:59:59Z stdout PX:P z"))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, ok := Parse(line)
		want := reference.FindSubmatch(line)
		if ok != (want != nil) {
			t.Fatalf("%q: accepted %v, want %v", line, ok, want != nil)
		}
		if !ok {
			return
		}
		stream := map[bool]string{false: "stdout", true: "stderr"}[l.Stderr]
		if !bytes.Equal(l.Time, want[1]) || stream != string(want[2]) || !bytes.Equal(l.Tag, want[3]) || !bytes.Equal(l.Text, want[4]) {
			t.Fatalf("%q became %q, %s, %q, %q", line, l.Time, stream, l.Tag, l.Text)
		}
		if tag, _, _ := bytes.Cut(l.Tag, []byte(":")); l.Partial() != (string(tag) == "P") {
			t.Fatalf("tag %q: partial = %v", l.Tag, l.Partial())
		}
		// The time means something to the standard library, except that days
		// beyond a month's end are its business and not ours.
		at := bytes.Clone(l.Time)
		if at[8] > '2' || at[8] == '2' && at[9] > '8' {
			at[8], at[9] = '2', '8'
		}
		if _, err := time.Parse(time.RFC3339Nano, string(at)); err != nil {
			t.Fatalf("time %q: %v", at, err)
		}
	})
}

// FuzzJoiner writes what the script says as a runtime does, lines of two
// streams in pieces between each other, and puts it together again. The model
// is one growing string for each stream.
func FuzzJoiner(f *testing.F) {
	f.Add([]byte("\x03ab\x02cde\x83xyz\x00\x81q"), uint16(3))
	f.Add([]byte("\x02ab\x41c"), uint16(3)) // exactly the limit
	f.Add([]byte("\x1fabcdefg\x9fabcdefg\x21\x5fabcdefg\xdfabcdefg"), uint16(20_000))
	f.Fuzz(func(t *testing.T, script []byte, limit uint16) {
		var joiners [2]Joiner
		var model [2]struct {
			open bool
			time string
			text []byte
		}
		for n := 0; len(script) > 0; n++ {
			op := script[0]
			script = script[1:]
			i := op >> 7
			j, m := &joiners[i], &model[i]
			if op == 0x21 { // the file with the rest is gone
				j.Drop()
				m.open = false
				continue
			}
			text := bytes.Repeat(script[:min(len(script), int(op&7))], 1+int(op>>3&3)*600)
			script = script[min(len(script), int(op&7)):]
			line := fmt.Appendf(nil, "2026-08-21T08:15:30.%09dZ %s %s %s", n, []string{"stdout", "stderr"}[i], []string{"P", "F"}[op>>6&1], text)
			l, ok := Parse(line)
			if !ok {
				t.Fatalf("%q: not parsed", line)
			}
			if !m.open {
				m.open, m.time, m.text = true, string(l.Time), nil
			}
			m.text = append(m.text, text...)
			j.Add(&l, int(limit))
			clear(line) // the batch's memory is used again
			if !j.Open() {
				t.Fatal("not open after a piece")
			}
			if op>>6&1 == 0 {
				continue
			}
			at, got, cut := j.Take()
			want := m.text[:min(len(m.text), int(limit))]
			if string(at) != m.time || !bytes.Equal(got, want) || cut != (len(m.text) > int(limit)) {
				t.Fatalf("got %s %d bytes %.40q cut %v, want %s %d bytes of %d", at, len(got), got, cut, m.time, len(want), len(m.text))
			}
			m.open = false
			for i := range joiners {
				if joiners[i].Open() != model[i].open {
					t.Fatalf("stream %d: open = %v", i, joiners[i].Open())
				}
			}
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
