package tail

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestStoreKeepsPositions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "kong")
	st, positions, err := openStore(dir)
	if err != nil || len(positions) != 0 {
		t.Fatalf("first time: %v, %v", positions, err)
	}
	want := map[string]Position{
		"a/b": {File: FileID{Restart: 1, Rotated: "20260101-000001", Device: 1, Inode: 1 << 63, Print: Print{Length: 5, Sum: 1<<64 - 1}},
			Offset: 77, Stdout: &Mark{Offset: 66}},
	}
	if err := st.save(want); err != nil {
		t.Fatal(err)
	}
	_, got, err := openStore(dir)
	if err != nil || !maps.EqualFunc(got, want, func(a, b Position) bool {
		return a.File == b.File && a.Offset == b.Offset && *a.Stdout == *b.Stdout && a.Stderr == nil
	}) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// Where positions were, "none" is an answer only a person can give.
func TestStoreRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		content string // of the positions file; empty: it is missing
		want    string
	}{
		"missing":       {"", "exists but holds no positions.json"},
		"empty":         {"\n", "unexpected end of JSON input"},
		"torn":          {`{"version":1,"containers":{"a":{"file":`, "unexpected end of JSON input"},
		"not ours":      {`{}`, "it names no version"},
		"a later one's": {`{"version":2,"containers":["another","shape"]}`, "its version is 2"},
		"wrong type":    {`{"version":1,"containers":7}`, "cannot unmarshal number"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if tc.content != "" {
				if err := os.WriteFile(filepath.Join(dir, storeName), []byte(tc.content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := openStore(dir); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func TestChainOrder(t *testing.T) {
	want := []string{"0.log.20260101-000001.gz", "0.log.20260101-000002", "0.log", "2.log.20260101-000003", "2.log", "10.log"}
	dir := t.TempDir()
	for _, name := range append(slices.Clone(want), "0.log.20260101-000002.gz", "0.log.20260101-000002.tmp", "00.log", "-1.log",
		"x.log", "0.log.old", ".log", "0.log.20260101.000001", "0.logx20260101-000001") {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	chain, err := listNames(dir)
	var got []string
	for _, e := range chain {
		got = append(got, e.name)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("0.log")
	f.Add("12.log.20260101-000001.gz")
	f.Fuzz(func(t *testing.T, name string) {
		e, ok := parseName(name)
		if !ok {
			return
		}
		if again, ok := parseName(e.name); !ok || again != e || compareEntries(e, again) != 0 {
			t.Fatalf("%q: %+v and %+v", name, e, again)
		}
	})
}

func FuzzStore(f *testing.F) {
	f.Add([]byte(`{"version":1,"containers":{"a":{"file":{"restart":0,"device":1,"inode":2,"print":{"length":3,"sum":"4"}},"offset":5}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		positions, err := (&store{path: "p"}).decode(data)
		if (err == nil) != (positions != nil) {
			t.Fatalf("positions %v with error %v", positions, err)
		}
	})
}

// compressed makes a gzip file of data and opens it.
func compressed(t testing.TB, data []byte) *file {
	dir := t.TempDir()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	z.Write(data)
	z.Close()
	const name = "0.log.20260101-000001.gz"
	if err := os.WriteFile(filepath.Join(dir, name), buf.Bytes(), 0o644); err != nil {
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

// A compressed file reads like the plain one at any offsets, forward, a little
// back, and back beyond what is kept.
func TestGzipReadsLikePlain(t *testing.T) {
	data := make([]byte, 3*keepBack)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(random.IntN(7))
	}
	f := compressed(t, data)
	plain := bytes.NewReader(data)
	for range 300 {
		off := random.Int64N(int64(len(data)) + 10)
		got, want := make([]byte, random.IntN(9000)+1), make([]byte, 9001)
		want = want[:len(got)]
		n, err := f.ReadAt(got, off)
		m, wantErr := plain.ReadAt(want, off)
		if n != m || !bytes.Equal(got[:n], want[:m]) || !errors.Is(err, wantErr) {
			t.Fatalf("at %d: got %d bytes and %v, want %d and %v", off, n, err, m, wantErr)
		}
	}
}

func FuzzGzip(f *testing.F) {
	f.Add([]byte("hello\nworld\n"), uint16(3), uint16(4))
	f.Fuzz(func(t *testing.T, data []byte, off, length uint16) {
		z := compressed(t, data)
		got := make([]byte, length)
		n, err := z.ReadAt(got, int64(off))
		want := data[min(len(data), int(off)):]
		want = want[:min(len(want), int(length))]
		if !bytes.Equal(got[:n], want) || n < int(length) && err != io.EOF {
			t.Fatalf("got %q and %v, want %q", got[:n], err, want)
		}
	})
}
