package tail

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/agent/cri"
)

// plainFile makes a log file of data and opens it.
func plainFile(t testing.TB, name string, data []byte) *file {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	e, _ := parseName(name)
	m := newMetrics(prometheus.NewRegistry())
	f, err := openFile(dir, e, &m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

// What is decoded can be saved, and is the same then.
func FuzzStoreKeeps(f *testing.F) {
	f.Add([]byte(`{"version":1,"containers":{"a/b":{"file":{"restart":1,"rotated":"20260101-000001","device":1,"inode":2,"print":{"length":3,"sum":"4"}},` +
		`"offset":5,"stdout":{"file":{"restart":0},"offset":1,"seq":2},"seq":3,"boot":"x","passed":[{"inode":7,"length":512,"sum":"8"}],"left":true}}}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := store{path: filepath.Join(t.TempDir(), storeName)}
		positions, err := s.decode(data)
		if err != nil {
			return
		}
		if err := s.save(positions); err != nil {
			t.Fatal(err)
		}
		saved, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.decode(saved)
		if err != nil {
			t.Fatal(err)
		}
		for key, p := range positions {
			q, ok := again[key]
			if !ok || p.File != q.File || p.Offset != q.Offset || p.Boot != q.Boot || p.Left != q.Left || len(p.Passed) != len(q.Passed) ||
				!reflect.DeepEqual(p.marks(), q.marks()) {
				t.Fatalf("%q: %+v became %+v", key, p, q)
			}
		}
	})
}

// A compressed file reads like the plain one, whatever was read before: steps
// are pairs of an offset and a length.
func FuzzGzipSteps(f *testing.F) {
	f.Add([]byte("hello\nworld\n"), uint16(20000), []byte("\x00\x05\xff\x10\x80\x01"))
	f.Fuzz(func(t *testing.T, seed []byte, repeat uint16, steps []byte) {
		data := bytes.Repeat(seed, int(repeat))
		data = data[:min(len(data), 5*keepBack)]
		z := compressed(t, data)
		plain := bytes.NewReader(data)
		for steps = steps[:min(len(steps), 40)]; len(steps) >= 2; steps = steps[2:] {
			off, length := int64(steps[0])*int64(len(data)+99)/255, int(steps[1])*300+1
			got, want := make([]byte, length), make([]byte, length)
			n, err := z.ReadAt(got, off)
			m, _ := plain.ReadAt(want, off)
			if n != m || !bytes.Equal(got[:n], want[:m]) || n < length && err != io.EOF {
				t.Fatalf("at %d: %d bytes and %v, want %d", off, n, err, m)
			}
		}
	})
}

// A fingerprint grows with its file, and never fits another beginning.
func FuzzPrint(f *testing.F) {
	f.Add([]byte("2026-01-01T00:00:00Z stdout F a\n"), []byte("2026-01-01T00:00:00Z stdout F b\n"), uint16(20))
	f.Add([]byte("2026-01-01T00:00:00Z stdout F a\n"), []byte("2026-01-01T00:00:00Z stdout F b\n"), uint16(32))
	f.Add([]byte(strings.Repeat("x", 600)), []byte(strings.Repeat("x", 599)), uint16(0))
	f.Fuzz(func(t *testing.T, a, b []byte, n uint16) {
		young := min(int(n), len(a), printLength)
		p := Print{}.grow(a[:young])
		if grown := p.grow(a[:min(len(a), printLength)]); grown != printOf(a[:min(len(a), printLength)]) {
			t.Fatalf("%+v grew to %+v", p, grown)
		}
		sameBeginning := bytes.HasPrefix(b, a[:young])
		if grown := p.grow(b[:min(len(b), printLength)]); !sameBeginning && grown != p {
			t.Fatal("it took in the beginning of another file")
		}
		other := plainFile(t, "0.log.20260101-000001", b)
		id := FileID{Device: other.id.Device, Inode: other.id.Inode, Print: p}
		if got := other.is(&id, 0); got != (sameBeginning || young == 0) {
			t.Fatalf("the same inode: is %v, want %v", got, sameBeginning)
		}
		id.Inode++
		if got := other.is(&id, 0); got != (sameBeginning && young > 0) {
			t.Fatalf("another inode: is %v, want %v", got, sameBeginning)
		}
		if passed := (Passed{Inode: id.Inode, Print: p}); passed.is(other) != (sameBeginning && young > 0) {
			t.Fatal("passed, or not")
		}
	})
}

func FuzzHeldName(f *testing.F) {
	f.Add("0000000001-0.log")
	f.Add("12345678901-7.log.20260101-000001.gz")
	f.Add("0000000001-0.log.given-up")
	f.Fuzz(func(t *testing.T, name string) {
		seq, e, ok := parseHeld(name)
		if ok && (heldName(seq, e) != name || seq < 1 || strings.ContainsRune(name, '/')) {
			t.Fatalf("%q: %d and %+v", name, seq, e)
		}
		if log, fine := parseName(name); fine {
			seq, again, ok := parseHeld(heldName(len(name), log))
			if !ok || seq != len(name) || again != log {
				t.Fatalf("%q: %d, %+v, %v", name, seq, again, ok)
			}
		}
	})
}

func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"version":1,"file":{"restart":1,"device":2,"inode":3,"print":{"length":4,"sum":"5"}},"from":6,"to":7,"records":8,"ended":[true,false],"open":[false,true],"counted":true}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := parseNote(data)
		if (err == nil) != (n.Version == spoolVersion) {
			t.Fatalf("%+v with error %v", n, err)
		}
	})
}

// The count of a file that is given up is that of its records.
func FuzzScan(f *testing.F) {
	f.Add([]byte("2026-01-01T00:00:00Z stdout P a\n2026-01-01T00:00:00Z stderr F b\n2026-01-01T00:00:00Z stdout F c\n\nx"), uint16(0), true)
	f.Add([]byte("2026-01-01T00:00:00Z stdout P a\n"), uint16(3), true)
	f.Fuzz(func(t *testing.T, data []byte, from uint16, join bool) {
		start := min(int64(from), int64(len(data)))
		got, err := scan(plainFile(t, "0.log", data), start, join)
		if err != nil {
			t.Fatal(err)
		}
		want := given{From: start, To: int64(len(data))}
		rest := data[start:]
		for len(rest) > 0 {
			line, after, _ := bytes.Cut(rest, []byte{'\n'})
			rest = after
			l, ok := cri.Parse(line[:min(len(line), headLength)])
			stream := 0
			if ok && l.Stderr {
				stream = 1
			}
			partial := ok && join && l.Partial()
			if ok {
				want.Open[stream] = partial
			}
			if !partial {
				want.Records++
			}
			if ok && !partial {
				want.Ended[stream] = true
			}
		}
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}
