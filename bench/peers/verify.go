package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// tally compares the records of a topic with what was written, each of them.
type tally struct {
	ledger *ledger
	seen   []bool
	tails  map[uint64]string // what follows the message, by its sum: the pod it names

	records, bytes int64
	repeated       int64
	changed        int64 // stream, message or pod is not the line's
	unexpected     int64 // no record, or of no line
	example        string
}

func newTally(l *ledger) *tally {
	return &tally{ledger: l, seen: make([]bool, len(l.sums)), tails: map[uint64]string{}}
}

// missing are the lines of which there is no record.
func (t *tally) missing() (n int64) {
	for i, want := range t.ledger.sums {
		if want != 0 && !t.seen[i] {
			n++
		}
	}
	return n
}

// String is empty when every line is there once and as it was.
func (t *tally) String() string {
	var found []string
	for _, f := range []struct {
		what string
		n    int64
	}{{"lost", t.missing()}, {"repeated", t.repeated}, {"changed", t.changed}, {"unexpected", t.unexpected}} {
		if f.n > 0 {
			found = append(found, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	text := strings.Join(found, ", ")
	if t.example != "" {
		text += ", such as " + t.example
	}
	return text
}

// add counts one record.
func (t *tally) add(value []byte) {
	t.records++
	t.bytes += int64(len(value))
	r, err := t.read(value)
	if err != nil {
		t.unexpected++
		t.keep(value)
		return
	}
	at, err := time.Parse(time.RFC3339Nano, string(r.time))
	n, ok := t.ledger.number(at)
	switch {
	case err != nil || !ok || n >= len(t.ledger.sums) || t.ledger.sums[n] == 0:
		t.unexpected++
		t.keep(value)
		return
	case t.seen[n]:
		t.repeated++
		return
	}
	t.seen[n] = true
	if sum([]byte(r.pod), r.stream, r.message) != t.ledger.sums[n] {
		t.changed++
		t.keep(value)
	}
}

// keep quotes the first record that is wrong.
func (t *tally) keep(value []byte) {
	if t.example == "" {
		t.example = string(value[:min(len(value), 500)])
	}
}

// record is what is compared of a record.
type record struct {
	time, stream, message []byte
	pod                   string
}

// read takes a record apart. Those in the order of the stock pipeline are
// scanned, and what follows their messages, which repeats, is decoded once; any
// other JSON is decoded.
func (t *tally) read(value []byte) (r record, err error) {
	rest, ok := value, false
	for _, part := range []struct {
		before string
		to     *[]byte
	}{{`{"time":"`, &r.time}, {`","stream":"`, &r.stream}, {`","logtag":"F","message":"`, &r.message}} {
		if rest, ok = bytes.CutPrefix(rest, []byte(part.before)); !ok {
			return decode(value)
		}
		end := closing(rest)
		*part.to, rest = rest[:end], rest[end:]
	}
	if bytes.IndexByte(r.message, '\\') >= 0 {
		quoted := value[len(value)-len(rest)-len(r.message)-1 : len(value)-len(rest)+1]
		var text string
		if err := json.Unmarshal(quoted, &text); err != nil {
			return r, fmt.Errorf("read a message: %w", err)
		}
		r.message = []byte(text)
	}
	tail := xxhash.Sum64(rest)
	pod, known := t.tails[tail]
	if !known {
		d, err := decode(append([]byte(`{"message":"`), rest...))
		if err != nil {
			return r, err
		}
		pod = d.pod
		t.tails[tail] = pod
	}
	r.pod = pod
	return r, nil
}

// closing is where a JSON string ends, whose beginning is cut off.
func closing(text []byte) int {
	for at := 0; ; at++ {
		next := bytes.IndexByte(text[at:], '"')
		if next < 0 {
			return len(text)
		}
		at += next
		escapes := 0
		for escapes < at && text[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
	}
}

func decode(value []byte) (r record, err error) {
	var d struct {
		Time, Stream, Message string
		Kubernetes            struct {
			Pod string `json:"pod_name"`
		}
	}
	if err := json.Unmarshal(value, &d); err != nil {
		return r, fmt.Errorf("read a record: %w", err)
	}
	return record{[]byte(d.Time), []byte(d.Stream), []byte(d.Message), d.Kubernetes.Pod}, nil
}
