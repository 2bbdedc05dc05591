package collector

import (
	"strings"
	"testing"

	"millrace/outputs/starrocks/starrockstest"
)

// The letters of a topic that is gone are replayed: none of its loads is open.
func TestReplayAfterTheTopicIsGone(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
	w.makeDeadTopic()
	w.sow(0, "a", 5, 2)
	p := run(t, w.b, w.srv)
	tableHolds(t, w.srv, w.want)
	w.b.letters(1)
	eventually(t, "everything is committed", func() bool { return w.b.committed()[0] == 45 })
	p.shutDown()
	if err := w.srv.Exec("quickstart", "ALTER TABLE kong_log_events DROP COLUMN status"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.b.admin.DeleteTopic(t.Context(), testTopic); err != nil {
		t.Fatal(err)
	}
	w.want = append(w.want, "bad-a2-0")
	if said, err := w.replayAll(); err != nil || !strings.Contains(said, ": 1 dead letters loaded, 0 ") {
		t.Errorf("it says %q (%v)", said, err)
	}
	tableHolds(t, w.srv, w.want)
}
