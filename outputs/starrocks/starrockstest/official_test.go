package starrockstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// official is StarRocks' own Java client in Kafka Connect between a topic of a
// real broker and a server of ours: the Stream Load SDK, or the Kafka connector
// when connector names a folder with its jar.
type official struct {
	*testing.T
	srv       *Server
	topic     string
	control   string // the command of the test bed
	connector string
	written   int
}

func newOfficial(t *testing.T, connector string, cfg Config) *official {
	o := &official{T: t, control: os.Getenv("KAFKA_CONTROL"), connector: connector, topic: fmt.Sprintf("official-%08x", rand.Uint32())}
	if o.control == "" {
		t.Skip("official clients: KAFKA_CONTROL is not set")
	}
	o.srv = start(t, cfg)
	o.run("topic", o.topic, "2")
	t.Cleanup(func() {
		cmd := exec.Command(o.control, "connect-down") // the test's context is over
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("connect-down: %v %s", err, out)
		}
	})
	return o
}

func (o *official) run(args ...string) string {
	o.Helper()
	cmd := exec.CommandContext(o.Context(), o.control, args...)
	cmd.Env = append(os.Environ(), "KTB_CONNECTOR="+o.connector, "KTB_WAIT=180")
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (o *official) connect() {
	o.Helper()
	o.run("connect-up", o.topic, "quickstart", "kong_log_events", o.srv.URL())
}

// write puts n more records on the topic; each has a message of its own, with
// what JSON escapes in it.
func (o *official) write(n int) {
	o.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("BOOTSTRAP_PLAIN")), kgo.DefaultProduceTopic(o.topic))
	if err != nil {
		o.Fatal(err)
	}
	defer c.Close()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = kgo.StringRecord(fmt.Sprintf(`{"time":"2026-08-21 08:15:30.217676","stream":"stdout","logtag":"F","message":%q,"kubernetes":{"pod_name":"kong-%d","labels":{"a":"é\u0000","b":null}}}`,
			message(o.written+i), i%40))
	}
	if err := c.ProduceSync(o.Context(), records...).FirstErr(); err != nil {
		o.Fatal(err)
	}
	o.written += n
}

func message(i int) string { return fmt.Sprintf(`%d "quoted" 한글 \ end`, i) }

// wait waits until cond holds; it is asked again whenever a transaction ends.
func (o *official) wait(what string, cond func() bool) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 5*time.Minute)
	defer cancel()
	s := o.srv
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !cond() {
		if ctx.Err() != nil {
			log, _ := os.ReadFile(filepath.Join(os.Getenv("KTB_DIR"), "connect", "out.log")) // for a person; its absence says nothing
			o.Fatalf("waited five minutes for %s; the client says:\n%s", what, log[max(0, len(log)-4000):])
		}
		s.changed.Wait()
	}
}

// rows counts how often each message is in the table.
func (o *official) rows() map[string]int {
	count := map[string]int{}
	for row := range o.srv.Rows("quickstart", "kong_log_events") {
		count[row.Get("message").(string)]++
		if at, ok := row.Get("time").(time.Time); !ok || at.Nanosecond() != 217676000 || row.Get("logtag") != "F" {
			o.Errorf("row %v", row.Values)
		}
	}
	return count
}

// repeated counts the messages from a number on that are there more than once.
// Like allThere it may run with the server's lock held.
func (o *official) repeated(t *table, from int) (n int) {
	count := map[string]int{}
	for row := range t.snapshot().all() {
		count[row.Get("message").(string)]++
	}
	for i := from; i < o.written; i++ {
		if count[message(i)] > 1 {
			n++
		}
	}
	return n
}

// check wants each message once; more than once is counted.
func (o *official) check() (repeated int) {
	o.Helper()
	count := o.rows()
	for i := range o.written {
		switch n := count[message(i)]; {
		case n == 0:
			o.Errorf("message %d is lost", i)
		case n > 1:
			repeated++
		}
		delete(count, message(i))
	}
	for m := range count {
		o.Errorf("nobody wrote %q", m)
	}
	return repeated
}

// allThere is a condition for wait: no message is missing. It runs with the
// server's lock held, which Rows does not need for a table it has.
func (o *official) allThere(t *table) func() bool {
	return func() bool {
		seen := map[string]bool{}
		for row := range t.snapshot().all() {
			seen[row.Get("message").(string)] = true
		}
		return len(seen) >= o.written
	}
}

func (o *official) table() *table {
	o.Helper()
	_, t, err := o.srv.find("quickstart", "kong_log_events")
	if err != nil {
		o.Fatal(err)
	}
	return t
}

// officialClients runs a story with the SDK, and with the connector where its
// jar is.
func officialClients(t *testing.T, story func(t *testing.T, connector string)) {
	t.Run("SDK", func(t *testing.T) { story(t, "") })
	t.Run("connector", func(t *testing.T) {
		dir := os.Getenv("KTB_CONNECTOR")
		if dir == "" {
			t.Skip("connector: KTB_CONNECTOR names no folder with its jar")
		}
		story(t, dir)
	})
}

// TestOfficialClientLoads: every record is in the table once, by transactions
// that went through all states, and each label can be asked for.
func TestOfficialClientLoads(t *testing.T) {
	officialClients(t, func(t *testing.T, connector string) {
		o := newOfficial(t, connector, Config{Backends: 2})
		o.write(20_000)
		o.connect()
		all := o.allThere(o.table())
		o.wait("20,000 rows", all)
		o.write(500)
		o.wait("500 more", all)
		if n := o.check(); n != 0 {
			t.Errorf("%d messages more than once", n)
		}
		for _, x := range o.srv.Transactions("quickstart") {
			if x.State != StateVisible || !strings.HasPrefix(x.Label, "-") && connector == "" {
				t.Errorf("transaction %+v", x)
			}
		}
		t.Logf("%d loads; %s", len(o.srv.Transactions("quickstart")), o.run("connect-down"))
	})
}

// TestOfficialClientInTrouble is what the official clients do with answers that
// are bad or lost. They ask for the label's state, so a publish time-out or a
// commit whose outcome nobody knows costs nothing; a commit whose answer is cut,
// and one whose label was evicted before they asked, bring the rows again. The
// server would have told a client that asks, or counts rows, the truth.
func TestOfficialClientInTrouble(t *testing.T) {
	officialClients(t, func(t *testing.T, connector string) {
		o := newOfficial(t, connector, Config{})
		table := o.table()
		for _, trouble := range []struct {
			name    string
			kind    FaultKind
			evict   bool
			doubles bool
		}{
			{"publish time-out", PublishTimeout, false, false},
			{"commit of unknown outcome", UnknownCommitted, false, false},
			{"cut answer of a commit", CutAnswer, false, true},
			{"commit of unknown outcome, label evicted", UnknownCommitted, true, true},
		} {
			if trouble.evict {
				o.set("label_keep_max_num", "0")
				o.set("transaction_clean_interval_second", "0")
			}
			from, struck := o.written, o.srv.Struck(trouble.kind)
			o.srv.Inject(Fault{Kind: trouble.kind, Delay: time.Millisecond})
			o.write(1000)
			if from == 0 {
				o.connect()
			}
			o.wait(trouble.name, o.allThere(table))
			if trouble.doubles {
				if connector == "" { // the sink over the SDK gives up: start it again, as an operator would
					o.run("connect-down")
					o.connect()
				}
				o.wait("the rows again, after a "+trouble.name, func() bool { return o.repeated(table, from) > 0 })
			}
			again := o.repeated(table, from)
			if (again > 0) != trouble.doubles || o.srv.Struck(trouble.kind) != struck+1 {
				t.Errorf("%s: struck %d times, %d of 1000 messages repeated", trouble.name, o.srv.Struck(trouble.kind)-struck, again)
			}
			t.Logf("%s: %d of 1000 messages repeated by now", trouble.name, again)
		}
		o.check()
	})
}

func (o *official) set(name, val string) {
	o.Helper()
	if err := o.srv.Set(name, val); err != nil {
		o.Fatal(err)
	}
}
