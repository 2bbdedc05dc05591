package collector

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/config"
	"millrace/internal/ops"
	"millrace/outputs/starrocks/starrockstest"
)

// replayUntil replays until stop is true, and gives up then.
func (w *world) replayUntil(stop func() bool, oldnew ...string) {
	w.t.Helper()
	text := "drain: 1s" + fmt.Sprintf(testYAML, w.t.TempDir(), strings.Join(w.b.addrs, ","), w.srv.URL(), w.srv.MySQLAddr())
	f, err := config.Parse("test.yaml", []byte(strings.NewReplacer(oldnew...).Replace(text)))
	if err != nil {
		w.t.Fatal(err)
	}
	c := new(Config)
	if err := f.Decode(c); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Replay(ctx, c, ops.NewProcess(ops.LogConfig{}, io.Discard), io.Discard) }()
	eventually(w.t, "the replay is where it shall end", stop)
	cancel()
	<-ended
}

// replayPlanned says that the replay has stored a plan.
func (w *world) replayPlanned() bool {
	offsets, err := w.b.admin.FetchOffsets(w.t.Context(), testGroup+".kong"+replayGroup)
	if err != nil {
		return false
	}
	found := false
	offsets.Each(func(o kadm.OffsetResponse) { found = found || strings.Contains(o.Metadata, `"plan":`) })
	return found
}

// A replay ends after its plan is stored and before anything is sent. The next
// one loads the letters.
func TestReplayEndsBeforeItsLoad(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
	w.makeDeadTopic()
	w.sow(0, "a", 50, 3, 17)
	p := run(t, w.b, w.srv)
	tableHolds(t, w.srv, w.want)
	w.b.letters(2)
	eventually(t, "everything is committed", func() bool { return w.b.committed()[0] == 90 })
	p.shutDown()
	if err := w.srv.Exec("quickstart", "ALTER TABLE kong_log_events DROP COLUMN status"); err != nil {
		t.Fatal(err)
	}
	w.want = append(w.want, "bad-a3-0", "bad-a17-0")
	w.srv.Inject(starrockstest.Fault{Kind: starrockstest.FrontendFailed, Times: -1})
	w.replayUntil(w.replayPlanned)
	w.srv.ClearFaults()
	if said, err := w.replayAll(); err != nil || !strings.Contains(said, ": 2 dead letters loaded, 0 ") {
		t.Errorf("it says %q (%v)", said, err)
	}
	tableHolds(t, w.srv, w.want)
}

// killAtLetter kills the collector as soon as a dead letter is on its way; the
// broker takes it.
func (w *world) killAtLetter() {
	w.b.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.b.cluster.KeepControl()
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			if t.Topic == deadTopic || t.TopicID == w.deadID() {
				w.kill()
			}
		}
		return nil, nil, false
	})
}

func (w *world) deadID() (id [16]byte) {
	if ti := w.b.cluster.TopicInfo(deadTopic); ti != nil {
		id = ti.TopicID
	}
	return id
}

// A collector stores a dead letter and is killed before the rest of its load is
// sent. Before it is back, the letter is replayed into the table as it was altered.
// The rest of the load is not lost.
func TestReplayBeforeTheRestOfTheLoad(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}})
	w.makeDeadTopic()
	w.b.produce(0, `{"time":"2026-01-02T03:04:05Z","message":"late","kubernetes_namespace":1e999}`)
	w.killAtLetter()
	w.begin()
	<-w.dead
	w.b.letters(1)
	if err := w.srv.Exec("quickstart", "ALTER TABLE kong_log_events DROP COLUMN kubernetes_namespace"); err != nil {
		t.Fatal(err)
	}
	if said, err := w.replayAll(); err == nil || !strings.Contains(err.Error(), "the load that they are of is not finished") {
		t.Errorf("it says %q (%v)", said, err)
	}
	w.want = append(w.want, "late")
	second := spawn(t, w.b, w.srv)
	eventually(t, "everything is committed", func() bool { at := w.b.committed(); return at[0] == 41 && at[1] == 40 && at[2] == 40 })
	second.shutDown()
	if said, err := w.replayAll(); err != nil {
		t.Errorf("it says %q (%v)", said, err)
	}
	tableHolds(t, w.srv, w.want)
}

// A collector stores the dead letter of a row that StarRocks refused and is
// killed before its offset is committed. The table is altered, the letter is
// replayed, the collector is back. The row is there once.
func TestReplayBeforeTheAdvance(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
	w.makeDeadTopic()
	w.sow(0, "a", 30, 17)
	w.killAtLetter()
	w.begin()
	<-w.dead
	w.b.letters(1)
	if err := w.srv.Exec("quickstart", "ALTER TABLE kong_log_events DROP COLUMN status"); err != nil {
		t.Fatal(err)
	}
	if said, err := w.replayAll(); err == nil || !strings.Contains(err.Error(), "the load that they are of is not finished") {
		t.Errorf("it says %q (%v)", said, err)
	}
	second := spawn(t, w.b, w.srv)
	w.want = append(w.want, "bad-a17-0")
	eventually(t, "everything is committed", func() bool { at := w.b.committed(); return at[0] == 70 && at[1] == 40 && at[2] == 40 })
	second.shutDown()
	if said, err := w.replayAll(); err != nil {
		t.Errorf("it says %q (%v)", said, err)
	}
	tableHolds(t, w.srv, w.want)
}

// Two pipelines of one group have one dead-letter topic: the letters of both are
// replayed.
func TestPipelinesShareDeadLetters(t *testing.T) {
	other := strings.NewReplacer("kong_log_events", "other", "CREATE DATABASE quickstart;", "").Replace(strictDDL)
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL, other}})
	w.makeDeadTopic()
	if _, err := w.b.admin.CreateTopic(t.Context(), 1, 1, nil, "other.topic"); err != nil {
		t.Fatal(err)
	}
	w.sow(0, "a", 5, 2)
	_, line, _ := strings.Cut(testYAML, "  - name: kong")
	second := "  - name: other" + strings.NewReplacer("topic: logging.kong,", "topic: other.topic,", "table: kong_log_events", "table: other").Replace(line)
	text := fmt.Sprintf(testYAML, t.TempDir(), strings.Join(w.b.addrs, ","), w.srv.URL(), w.srv.MySQLAddr()) +
		strings.TrimPrefix(fmt.Sprintf(second, strings.Join(w.b.addrs, ","), w.srv.URL(), w.srv.MySQLAddr()), "\n")
	parse := func() *Config {
		f, err := config.Parse("test.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c := new(Config)
		if err := f.Decode(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	c := parse()
	go func() {
		ended <- ops.NewProcess(ops.LogConfig{}, io.Discard).Run(ctx, "", func(ctx context.Context, p *ops.Process) error { return Run(ctx, c, p) })
	}()
	if err := w.b.client.ProduceSync(t.Context(), &kgo.Record{Topic: "other.topic", Value: []byte(refusable("bad-other-"))}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.b.letters(2)
	tableHolds(t, w.srv, w.want)
	eventually(t, "committed", func() bool { return w.b.committed()[0] == 45 })
	cancel()
	<-ended
	for _, table := range []string{"kong_log_events", "other"} {
		if err := w.srv.Exec("quickstart", "ALTER TABLE "+table+" DROP COLUMN status"); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := Replay(t.Context(), parse(), ops.NewProcess(ops.LogConfig{}, io.Discard), &out); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if n := w.srv.Count("quickstart", "other"); n != 1 {
		t.Errorf("%d rows of the other pipeline's letter, want 1", n)
	}
}
