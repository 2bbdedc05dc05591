package collector

import (
	"testing"

	"millrace/outputs/starrocks/starrockstest"
)

// A letter is stored once for each time its record is met, under one key; a
// replay in which the first load of it is committed and not visible yet loads it
// once.
func TestReplayOfALetterStoredTwice(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
	w.makeDeadTopic()
	w.sow(0, "a", 5, 2)
	p := run(t, w.b, w.srv)
	tableHolds(t, w.srv, w.want)
	letters := w.b.letters(1)
	eventually(t, "committed", func() bool { return w.b.committed()[0] == 45 })
	p.shutDown()
	// As after a crash between the letter and the advance.
	again := *letters[0]
	again.Topic, again.Partition, again.Attrs, again.Context = deadTopic, 0, letters[0].Attrs, nil
	if err := w.b.client.ProduceSync(t.Context(), &again).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := w.srv.Exec("quickstart", "ALTER TABLE kong_log_events DROP COLUMN status"); err != nil {
		t.Fatal(err)
	}
	w.want = append(w.want, "bad-a2-0")
	w.srv.Inject(starrockstest.Fault{Kind: starrockstest.PublishTimeout, Delay: 2e9})
	if said, err := w.replayAll("max_rows: 400", "max_rows: 1"); err != nil {
		t.Errorf("it says %q (%v)", said, err)
	}
	eventually(t, "all is visible", func() bool {
		for _, x := range w.srv.Transactions("quickstart") {
			if x.State == starrockstest.StateCommitted {
				return false
			}
		}
		return true
	})
	tableHolds(t, w.srv, w.want)
}
