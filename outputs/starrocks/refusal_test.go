package starrocks

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"millrace/internal/pipeline"
	"millrace/outputs/starrocks/starrockstest"
)

// A batch with a row that StarRocks refuses is given back to be split; alone the
// row is a dead letter, with the reason and without its values in the log.
func TestRefusedRow(t *testing.T) {
	var letters []DeadLetter
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) {
		o.DeadLetters = func(_ context.Context, ls []DeadLetter) error {
			letters = append(letters, ls...)
			return nil
		}
	})
	const bad = `{"time":"2026-08-21T08:15:30Z","message":"private","status":"secret-status"}`
	if err := <-r.write(line("good"), bad); !errors.Is(err, pipeline.ErrRefused) {
		t.Fatalf("the outcome is %v", err)
	}
	r.delivered(r.write(bad))
	if len(letters) != 1 || string(letters[0].Value) != bad || letters[0].Table != "quickstart.kong_log_events" || letters[0].TopicID != testTopicID {
		t.Fatalf("the dead letters are %+v", letters)
	}
	if why := letters[0].Reason; !strings.Contains(why, "status") || strings.Contains(why, "secret-status") {
		t.Errorf("the reason is %q", why)
	}
	if n := r.account.Balance(); n.Delivered != 0 || n.Dropped["refused"] != 1 {
		t.Errorf("the ledger says %+v", n)
	}
}

// A load that is larger than StarRocks takes is split, too.
func TestRefusedSize(t *testing.T) {
	r := newRig(t, func(c *starrockstest.Config) { c.Set = map[string]string{"streaming_load_max_mb": "0"} }, nil)
	if err := <-r.write(line("one"), line("two")); !errors.Is(err, pipeline.ErrRefused) {
		t.Fatalf("the outcome is %v", err)
	}
}

// The table was altered, not the records: nothing is a dead letter, and the
// column is named until it fits again.
func TestTableNoLongerFits(t *testing.T) {
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) {
		o.DeadLetters = func(context.Context, []DeadLetter) error { return errors.New("there are dead letters") }
	})
	r.delivered(r.write(line("one")))
	for _, ddl := range []string{"DROP TABLE kong_log_events", strings.Replace(createTable(testDDL), "status INT", "status INT, tenant VARCHAR(9) NOT NULL", 1)} {
		if err := r.srv.Exec("quickstart", ddl); err != nil {
			t.Fatal(err)
		}
	}
	done := r.write(line("two"), line("three"))
	r.reported("the table does not fit the records: its column tenant is NOT NULL")
	for _, ddl := range []string{"DROP TABLE kong_log_events", strings.Replace(createTable(testDDL), "message VARCHAR(100)", "message VARCHAR(50)", 1)} {
		if err := r.srv.Exec("quickstart", ddl); err != nil {
			t.Fatal(err)
		}
	}
	r.delivered(done)
	if got := r.rows("message"); !slices.Equal(got, []string{"two", "three"}) {
		t.Errorf("the table holds %q", got)
	}
}
