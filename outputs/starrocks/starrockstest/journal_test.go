package starrockstest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// copyLog is what a kill -9 at this moment leaves, cut to size bytes when size
// is not negative.
func copyLog(t *testing.T, dir string, size int) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(dir, "edit.log"))
	if err != nil {
		t.Fatal(err)
	}
	if size >= 0 {
		log = log[:size]
	}
	to := t.TempDir()
	if err := os.WriteFile(filepath.Join(to, "edit.log"), log, 0o644); err != nil {
		t.Fatal(err)
	}
	return to
}

func dump(s *Server) (lines []string) {
	for row := range s.Rows("quickstart", "kong_log_events") {
		lines = append(lines, fmt.Sprint(row.TxnID, row.Label, row.Values))
	}
	return lines
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	for i := range 3 {
		put(t, s, goodRow+`{"stream":"x","kubernetes":{"b":2,"a":1}}`, "label", fmt.Sprint("r", i))
	}
	put(t, s, "nonsense", "label", "bad")
	step(t, s, "begin", "prepared", "")
	step(t, s, "load", "prepared", `[{"stream":"p"}]`)
	step(t, s, "prepare", "prepared", "")
	s.Inject(Fault{Kind: HoldTransaction})
	_, _ = tryPut(t, s, "kong_log_events", goodRow, "label", "lost")
	if _, err := New(Config{Dir: dir}); err == nil {
		t.Error("two servers on one directory")
	}

	again := start(t, Config{Dir: copyLog(t, dir, -1)})
	if got, want := dump(again), dump(s); !slices.Equal(got, want) || len(got) != 6 {
		t.Errorf("rows after restart:\n%v\nbefore:\n%v", got, want)
	}
	for label, want := range map[string]string{"r0": "VISIBLE", "r2": "VISIBLE", "bad": "ABORTED", "prepared": "PREPARED", "lost": "UNKNOWN"} {
		if got := loadState(t, again.URL(), label); got != want {
			t.Errorf("%s is %s, want %s", label, got, want)
		}
	}
	step(t, again, "commit", "prepared", "").want(t, "OK")
	if r := put(t, again, goodRow, "label", "r1"); r.ExistingJobStatus != "FINISHED" {
		t.Errorf("a label of before: %s", r.raw)
	}
	r := put(t, again, goodRow, "label", "lost")
	if r.Status != "Success" || r.TxnID <= 1006 || again.Count("quickstart", "kong_log_events") != 8 {
		t.Errorf("after restart: %s", r.raw)
	}
	third := start(t, Config{Dir: copyLog(t, again.cfg.Dir, -1)})
	if got, want := dump(third), dump(again); !slices.Equal(got, want) {
		t.Errorf("rows after the second restart:\n%v\nbefore:\n%v", got, want)
	}
}

// TestTornLog cuts the log at every byte: what comes back is a prefix of the
// loads, whole ones, and the log can be written on.
func TestTornLog(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	var sizes []int64
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "edit.log"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	sizes = append(sizes, size())
	for i := range 2 {
		put(t, s, goodRow+goodRow, "label", fmt.Sprint("r", i))
		sizes = append(sizes, size())
	}
	for cut := sizes[0]; cut <= sizes[2]; cut += 41 {
		whole := int64(0)
		for _, end := range sizes[1:] {
			if cut >= end {
				whole += 2
			}
		}
		torn := copyLog(t, dir, int(cut))
		for range 2 {
			again, err := New(Config{Dir: torn})
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if n := again.Count("quickstart", "kong_log_events"); n != whole {
				t.Errorf("cut at %d: %d rows, want %d", cut, n, whole)
			}
			if r := put(t, again, goodRow); r.Status == "Success" {
				whole++
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestReplayDefinitions(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	put(t, s, goodRow)
	for _, q := range []string{
		"ALTER TABLE kong_log_events ADD COLUMN app VARCHAR(64) AS get_json_string(kubernetes, '$.pod_name')",
		"CREATE TABLE other (k INT) DUPLICATE KEY(k)", "DROP TABLE other", "CREATE TABLE other (k BIGINT) DUPLICATE KEY(k)",
		"ALTER TABLE kong_log_events DROP COLUMN logtag",
	} {
		if err := s.Exec("quickstart", q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	put(t, s, goodRow)
	again := start(t, Config{Dir: copyLog(t, dir, -1)})
	if got, want := dump(again), dump(s); !slices.Equal(got, want) || len(got) != 2 {
		t.Errorf("after restart:\n%v\nbefore:\n%v", got, want)
	}
	for row := range again.Rows("quickstart", "kong_log_events") {
		if row.Get("app") != "kong-x2x7k" || slices.Contains(row.Columns, "logtag") {
			t.Errorf("row %v", row)
		}
	}
}

// TestFullDisk: a load whose record does not fit fails, and so do all after it,
// since nothing behind a torn record is read again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	put(t, s, goodRow, "label", "before")
	good := s.journal.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer full.Close()
	s.mu.Lock()
	s.journal.file = full
	s.mu.Unlock()
	if r := put(t, s, goodRow, "label", "full"); r.Status != "Fail" {
		t.Errorf("on a full disk: %s", r.raw)
	}
	s.mu.Lock()
	s.journal.file = good
	s.mu.Unlock()
	if r := put(t, s, goodRow, "label", "after"); r.Status != "Fail" {
		t.Errorf("behind a torn record: %s", r.raw)
	}
	again := start(t, Config{Dir: copyLog(t, dir, -1)})
	if got := dump(again); len(got) != 1 {
		t.Errorf("rows after a restart: %v", got)
	}
}
