package collector

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"millrace/internal/config"
	"millrace/internal/ops"
	"millrace/outputs/starrocks/starrockstest"
)

// replayAll replays, with changes to the configuration, and returns what it prints.
func (w *world) replayAll(oldnew ...string) (string, error) {
	w.t.Helper()
	text := fmt.Sprintf(testYAML, w.t.TempDir(), strings.Join(w.b.addrs, ","), w.srv.URL(), w.srv.MySQLAddr())
	f, err := config.Parse("test.yaml", []byte(strings.NewReplacer(oldnew...).Replace(text)))
	if err != nil {
		w.t.Fatal(err)
	}
	c := new(Config)
	if err := f.Decode(c); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	var out strings.Builder
	err = Replay(ctx, c, ops.NewProcess(ops.LogConfig{}, io.Discard), &out)
	return out.String(), err
}

// Dead letters are loaded once the table fits them, with the provenance of the
// first time. Replaying again, or what StarRocks refuses still, changes nothing.
func TestReplay(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
	w.makeDeadTopic()
	w.sow(0, "a", 50, 3, 17)
	w.sow(1, "b", 50, 49)
	w.b.produce(2, "no JSON at all")
	p := run(t, w.b, w.srv)
	tableHolds(t, w.srv, w.want)
	w.b.letters(4)
	p.shutDown()

	const counts = "pipeline kong: %d dead letters loaded, %d were in the table, %d refused again, 0 cannot be replayed"
	expect := func(loaded, present, refused int) {
		t.Helper()
		said, err := w.replayAll()
		if err != nil || !strings.HasPrefix(said, fmt.Sprintf(counts, loaded, present, refused)) {
			t.Errorf("it says %q (%v), want %d, %d, %d", said, err, loaded, present, refused)
		}
		tableHolds(t, w.srv, w.want)
	}
	expect(0, 0, 4) // nothing was mended
	if err := w.srv.Exec("quickstart", "ALTER TABLE kong_log_events DROP COLUMN status"); err != nil {
		t.Fatal(err)
	}
	w.want = append(w.want, "bad-a3-0", "bad-a17-0", "bad-b49-0")
	expect(3, 0, 1)
	expect(0, 0, 1)
	if _, err := w.b.admin.DeleteGroup(t.Context(), testGroup+".kong"+replayGroup); err != nil {
		t.Fatal(err)
	}
	said, err := w.replayAll() // all letters there ever were
	if err != nil || !strings.Contains(said, ": 0 dead letters loaded, ") {
		t.Errorf("it says %q (%v)", said, err)
	}
	tableHolds(t, w.srv, w.want)
	var from []string
	for row := range w.srv.Rows("quickstart", "kong_log_events") {
		if strings.HasPrefix(row.Get("message").(string), "bad-") {
			from = append(from, fmt.Sprintf("%v/%v/%v", row.Get("kafka_topic_id"), row.Get("kafka_partition"), row.Get("kafka_offset")))
		}
	}
	slices.Sort(from)
	id := w.b.topicID()
	if want := []string{id + "/0/43", id + "/0/57", id + "/1/89"}; !slices.Equal(from, want) {
		t.Errorf("the rows are from %q, want %q", from, want)
	}
}

// Answers get lost while letters are replayed.
func TestReplayWithLostAnswers(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
	w.makeDeadTopic()
	bad := make([]int, 20)
	for i := range bad {
		bad[i] = i
	}
	w.sow(0, "a", 20, bad...)
	p := run(t, w.b, w.srv)
	eventually(t, "everything is committed", func() bool { return w.b.committed()[0] == 60 })
	tableHolds(t, w.srv, w.want)
	p.shutDown()
	if err := w.srv.Exec("quickstart", "ALTER TABLE kong_log_events DROP COLUMN status"); err != nil {
		t.Fatal(err)
	}
	for i := range bad {
		w.want = append(w.want, fmt.Sprintf("bad-a%d-0", i))
	}
	inject(starrockstest.DropAfterCommit)(w)
	if said, err := w.replayAll(); err != nil || !strings.Contains(said, ": 20 dead letters loaded, 0 ") {
		t.Errorf("it says %q (%v)", said, err)
	}
	tableHolds(t, w.srv, w.want)
	if said, err := w.replayAll(); err != nil || !strings.Contains(said, ": 0 dead letters loaded, 0 ") {
		t.Errorf("it says %q (%v)", said, err)
	}
	tableHolds(t, w.srv, w.want)
}

// Without the columns that tell, it is said that letters cannot be replayed.
func TestReplayNeedsProvenance(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{plainDDL}})
	w.makeDeadTopic()
	w.b.produce(0, "no JSON")
	p := run(t, w.b, w.srv)
	w.b.letters(1)
	p.shutDown()
	if _, err := w.replayAll(); err == nil || !strings.Contains(err.Error(), "do not tell where they came from") {
		t.Errorf("it says %v", err)
	}
}
