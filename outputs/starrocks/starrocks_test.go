package starrocks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/config"
	"millrace/outputs/starrocks/starrockstest"
)

func TestRecordsBecomeRows(t *testing.T) {
	r := newRig(t, nil, nil)
	r.delivered(r.write(line("one"), line(strings.Repeat("x", 101)), `{"time":"2026-08-21T08:15:30Z","kubernetes":{"pod_name":"kong-1"},"status":404,"unknown":1}`))
	want := []string{
		"2026-08-21 08:15:30.217676 +0000 UTC|2026-08-21 17:15:30.217676 +0000 UTC|stdout|one|<nil>|<nil>|<nil>|0|0",
		"2026-08-21 08:15:30.217676 +0000 UTC|2026-08-21 17:15:30.217676 +0000 UTC|stdout|" + strings.Repeat("x", 97) + "…|<nil>|<nil>|1|0|1",
		`2026-08-21 08:15:30 +0000 UTC|2026-08-21 17:15:30 +0000 UTC|<nil>|<nil>|404|{"pod_name": "kong-1"}|<nil>|0|2`,
	}
	if got := r.rows("time", "kst_time", "stream", "message", "status", "kubernetes", "truncated", "kafka_partition", "kafka_offset"); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	r.ready()
	if n := r.account.Balance(); n.Delivered != 3 || n.Cut != 1 {
		t.Errorf("the ledger says %+v", n)
	}
}

// Whatever happens to an answer, each row is in the table once, and the output
// says in between what is wrong.
func TestEachRowOnceWhateverHappens(t *testing.T) {
	fault := func(k starrockstest.FaultKind) starrockstest.Fault { return starrockstest.Fault{Kind: k} }
	for _, c := range []struct {
		faults []starrockstest.Fault
		says   []string
	}{
		// It is in, but the answer does not say so.
		{[]starrockstest.Fault{fault(starrockstest.DropAfterCommit)}, []string{"the backend's answer is lost", "closed the connection"}},
		{[]starrockstest.Fault{fault(starrockstest.CutAnswer)}, []string{"the backend's answer is lost"}},
		{[]starrockstest.Fault{fault(starrockstest.UnknownCommitted)}, []string{"Transaction status unknown", "the state of the label decides"}},
		{[]starrockstest.Fault{{Kind: starrockstest.PublishTimeout, Delay: time.Millisecond}}, nil},
		{[]starrockstest.Fault{{Kind: starrockstest.HoldTransaction, Delay: 500 * time.Millisecond, Then: starrockstest.StateVisible}}, []string{"is still running"}},
		{[]starrockstest.Fault{fault(starrockstest.DropAfterCommit), fault(starrockstest.LoadStateFailed), fault(starrockstest.FrontendError500)},
			[]string{"does not tell the state of a label"}},
		// It is not in.
		{[]starrockstest.Fault{fault(starrockstest.DropBeforeCommit)}, []string{"the backend's answer is lost"}},
		{[]starrockstest.Fault{fault(starrockstest.UnknownAborted)}, []string{"Transaction status unknown"}},
		{[]starrockstest.Fault{{Kind: starrockstest.HoldTransaction, Delay: 500 * time.Millisecond, Then: starrockstest.StateAborted}}, []string{"is still running"}},
		{[]starrockstest.Fault{fault(starrockstest.TooManyVersions)}, []string{"too many versions", "lower load.max_per_second"}},
		{[]starrockstest.Fault{fault(starrockstest.TxnLimit)}, []string{"current running txns", "max_running_txn_num_per_db"}},
		{[]starrockstest.Fault{fault(starrockstest.BackendError500)}, []string{"HTTP 500 and not JSON"}},
		{[]starrockstest.Fault{fault(starrockstest.FrontendError500)}, []string{"StarRocks refuses the load"}},
		{[]starrockstest.Fault{fault(starrockstest.FrontendFailed)}, []string{"the frontend refuses"}},
		{[]starrockstest.Fault{fault(starrockstest.Unauthorized)}, []string{"refuses the user or the password", "GRANT INSERT", "quickstart.kong_log_events", "user millrace"}},
		{[]starrockstest.Fault{fault(starrockstest.RedirectDead)}, []string{"the backend that the frontend", "connection refused", "can be reached from here"}},
		{[]starrockstest.Fault{fault(starrockstest.RedirectLoop), fault(starrockstest.RedirectLoop), fault(starrockstest.RedirectLoop), fault(starrockstest.RedirectLoop)},
			[]string{"redirects lead from one address to the next"}},
		// One after the other.
		{[]starrockstest.Fault{fault(starrockstest.DropBeforeCommit), fault(starrockstest.Unauthorized), fault(starrockstest.CutAnswer)}, nil},
	} {
		for _, generic := range []bool{false, true} {
			name := fmt.Sprintf("%v generic=%t", kinds(c.faults), generic)
			t.Run(name, func(t *testing.T) {
				r := newRig(t, func(c *starrockstest.Config) { c.GenericLabelFailure = generic }, nil)
				r.ready()
				for _, f := range c.faults {
					r.srv.Inject(f)
				}
				r.delivered(r.write(line("one"), line("two")))
				for _, f := range c.faults {
					if r.srv.Struck(f.Kind) == 0 {
						t.Errorf("%s did not strike", f.Kind)
					}
				}
				if c.says != nil {
					r.reported(c.says...)
				}
				r.ready()
				eventually(t, func() string { return "the rows" }, func() bool { return r.srv.Count("quickstart", "kong_log_events") > 0 })
				if got := r.rows("message"); !slices.Equal(got, []string{"one", "two"}) {
					t.Errorf("the table holds %q", got)
				}
			})
		}
	}
}

func kinds(faults []starrockstest.Fault) (names []string) {
	for _, f := range faults {
		names = append(names, string(f.Kind))
	}
	return names
}

// A label that an earlier try of ours holds is asked for, in both shapes of
// that answer.
func TestLabelAlreadyUsed(t *testing.T) {
	for _, generic := range []bool{false, true} {
		r := newRig(t, func(c *starrockstest.Config) { c.GenericLabelFailure = generic }, nil)
		r.ready()
		first := &shipment{to: r.out.main, label: "again", body: []byte(`[` + `{"time":"2026-08-21 08:15:30.000000","message":"one"}]`), rows: 1}
		if err := r.out.deliver(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		again := &shipment{to: r.out.main, label: first.label, body: first.body, rows: 1}
		if err := r.out.deliver(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		if got := r.rows("message"); !slices.Equal(got, []string{"one"}) {
			t.Errorf("generic=%t: the table holds %q", generic, got)
		}
		r.reported("has already been used", "the state of the label decides")
	}
}

// The backend dies with the transaction begun: it ends at its timeout.
func TestOrphanEndsAtItsTimeout(t *testing.T) {
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) { o.Config.Load.Timeout = time.Second })
	r.srv.Inject(starrockstest.Fault{Kind: starrockstest.CrashBackend})
	r.delivered(r.write(line("one")))
	r.reported("does not take the load")
	if got := r.rows("message"); !slices.Equal(got, []string{"one"}) {
		t.Errorf("the table holds %q", got)
	}
}

// A load that StarRocks counts otherwise than we do is committed: it is neither
// repeated nor acknowledged.
func TestWrongCountStops(t *testing.T) {
	r := newRig(t, nil, nil)
	r.srv.Inject(starrockstest.Fault{Kind: starrockstest.RowCountMismatch})
	done := r.write(line("one"), line("two"))
	r.reported("rows are missing or too many: sent 2, StarRocks counted 1", "the load is committed",
		"compare the rows of logging.kong[0] 0 to 1 with the topic", "a restart goes on behind them")
	r.close()
	if err := <-done; err == nil {
		t.Error("the batch is acknowledged")
	}
	if n := r.srv.Count("quickstart", "kong_log_events"); n != 1 {
		t.Errorf("the table holds %d rows", n)
	}
}

func TestWrongPasswordUntilItIsMended(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) {
		o.Config.Password = config.Password{File: file}
		o.Config.QueryAddr = ""
	})
	done := r.write(line("one"))
	r.reported("refuses the user or the password", "user millrace")
	if err := os.WriteFile(file, []byte(testPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.delivered(done)
	r.ready()
}

func TestWrongPasswordAtTheQueryPort(t *testing.T) {
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) { o.Config.Password.Value = config.NewSecret("wrong") })
	r.reported("the table's description cannot be read", "check username and password")
}

func TestTableIsMissingUntilItIsMade(t *testing.T) {
	r := newRig(t, func(c *starrockstest.Config) { c.DDL = []string{"CREATE DATABASE quickstart"} }, nil)
	done := r.write(line("one"))
	r.reported("there is no such table", "create the table")
	if err := r.srv.Exec("", strings.TrimPrefix(testDDL, "CREATE DATABASE quickstart;")); err != nil {
		t.Fatal(err)
	}
	r.delivered(done)
}

func TestTableIsDroppedWhileWeRun(t *testing.T) {
	r := newRig(t, nil, nil)
	r.ready()
	if err := r.srv.Exec("quickstart", "DROP TABLE kong_log_events"); err != nil {
		t.Fatal(err)
	}
	r.write(line("one"))
	r.reported("unknown table", "create the table")
}

func TestColumnIsMissing(t *testing.T) {
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) { o.Config.Columns = map[string]string{"level": "lvl"} })
	r.reported("the table does not fit: there is no column lvl for the field level")
}

func TestCompression(t *testing.T) {
	for _, codec := range []string{"none", "lz4", "zstd", "gzip"} {
		r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) { o.Config.Compression = codec })
		r.delivered(r.write(line("one"), line("two")))
		r.delivered(r.write(line("three")))
		if got := r.rows("message"); !slices.Equal(got, []string{"one", "two", "three"}) {
			t.Errorf("%s: the table holds %q", codec, got)
		}
	}
}

func TestBadRecordsGoToTheDeadLetters(t *testing.T) {
	var mu sync.Mutex
	var letters []string
	fail := 2
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) {
		o.DeadLetters = func(_ context.Context, ls []DeadLetter) error {
			mu.Lock()
			defer mu.Unlock()
			if fail--; fail >= 0 {
				return fmt.Errorf("the broker is away")
			}
			for _, l := range ls {
				letters = append(letters, fmt.Sprintf("%d/%d %s: %s", l.Partition, l.Offset, l.Value, l.Reason))
			}
			return nil
		}
	})
	r.delivered(r.write("junk", line("one"), `{"message":"no time"}`, line("two"), "{"))
	r.delivered(r.write("only junk"))
	r.reported("store dead letters of logging.kong[0]: the broker is away")
	want := []string{
		"0/0 junk: not one valid JSON object: the first byte is not an opening brace at byte 0",
		`0/2 {"message":"no time"}: the field time holds no RFC 3339 time between the years 0 and 9999`,
		"0/4 {: not one valid JSON object: a member's name is missing at byte 1",
		"0/5 only junk: not one valid JSON object: the first byte is not an opening brace at byte 0",
	}
	if !slices.Equal(letters, want) {
		t.Errorf("got  %q\nwant %q", letters, want)
	}
	if got := r.rows("kafka_offset"); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("the table holds %q", got)
	}
	if n := r.account.Balance(); n.Delivered != 2 || n.Dropped["refused"] != 4 {
		t.Errorf("the ledger says %+v", n)
	}
}

func TestBadRecordStopsWithoutADeadLetterTopic(t *testing.T) {
	r := newRig(t, nil, nil)
	done := r.write(line("one"), "junk with private words")
	r.reported("the record at offset 1 of logging.kong[0] can be no row", "dead_letter.topic")
	r.close()
	if err := <-done; err == nil {
		t.Error("the batch is acknowledged")
	}
	if n := r.srv.Count("quickstart", "kong_log_events"); n != 0 {
		t.Errorf("the table holds %d rows of it", n)
	}
	for _, err := range r.reports {
		if err != nil && strings.Contains(err.Error(), "private") {
			t.Errorf("a report holds the record: %q", err)
		}
	}
}

// The drain ends with what StarRocks took; the rest is given back.
func TestCloseGivesBackWhatIsLeft(t *testing.T) {
	r := newRig(t, nil, nil)
	r.ready()
	r.delivered(r.write(line("one")))
	r.srv.Inject(starrockstest.Fault{Kind: starrockstest.FrontendFailed, Times: -1})
	done := r.write(line("two"))
	r.reported("the frontend refuses")
	r.close()
	if err := <-done; err == nil {
		t.Error("the batch is acknowledged")
	}
	if n := r.account.Balance(); n.Delivered != 1 || n.Pending != 1 {
		t.Errorf("the ledger says %+v", n)
	}
}

// A label that StarRocks does not know may be in. The table tells, if its rows
// say where they came from; else a load from before does, as long as it is
// known; else an operator decides.
func TestForgottenLabel(t *testing.T) {
	plain := strings.NewReplacer("kafka_topic_id STRING, ", "").Replace(testDDL)
	for name, c := range map[string]struct {
		ddl, on   string
		remember  bool // an older label is known
		loaded    bool // the forgotten one is in
		stops, in bool
	}{
		"provenance, in":           {testDDL, OnUnknownStop, false, true, false, true},
		"provenance, not in":       {testDDL, OnUnknownStop, false, false, false, false},
		"older label known":        {plain, OnUnknownStop, true, false, false, false},
		"nothing tells, stop":      {plain, OnUnknownStop, false, true, true, false},
		"nothing tells, resend":    {plain, OnUnknownResend, false, true, false, false},
		"provenance before resend": {testDDL, OnUnknownResend, false, true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(sc *starrockstest.Config) { sc.DDL = []string{c.ddl} }, func(o *Options, _ *starrockstest.Server) { o.Config.Load.OnUnknown = c.on })
			r.ready()
			l := Lookup{Label: "forgotten", Ranges: []Range{{Name: "logging.kong[0]", TopicID: testTopicID, Start: 0, End: 1}}}
			if c.loaded {
				r.label = l.Label
				r.delivered(r.write(line("one")))
				for _, set := range [][2]string{{"label_keep_max_num", "0"}} {
					if err := r.srv.Set(set[0], set[1]); err != nil {
						t.Fatal(err)
					}
				}
				r.srv.CleanLabels()
			}
			if c.remember {
				r.label = "older"
				r.delivered(r.write(line("older")))
				l.After = "older"
			}
			in, err := r.out.Resolve(t.Context(), l)
			if c.stops {
				if err == nil || !strings.Contains(err.Error(), "does not know the label forgotten any more") || !strings.Contains(err.Error(), "logging.kong[0] 0 to 0") {
					t.Errorf("it says %v", err)
				}
			} else if err != nil || in != c.in {
				t.Errorf("in: %v, %v", in, err)
			}
		})
	}
}

func TestLoadsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(20)
		began := time.Now()
		for i := range 5 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took, want := time.Since(began), time.Duration(i)*50*time.Millisecond; took != want {
				t.Errorf("load %d began after %s, not %s", i, took, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.wait(ctx); err == nil {
			t.Error("it waits although its context is over")
		}
	})
}
