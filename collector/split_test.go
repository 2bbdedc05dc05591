package collector

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/outputs/starrocks/starrockstest"
)

// strictDDL has a column that refuses texts.
var strictDDL = strings.Replace(testDDL, "cluster STRING", "cluster STRING, status INT", 1)

// refusable is a record that strictDDL's table refuses.
func refusable(name string) string {
	return strings.TrimSuffix(logRecords(name, 1)[0], "}") + `,"status":"none of your numbers"}`
}

// sow writes n records to a partition, some of which are refused.
func (w *world) sow(partition int32, prefix string, n int, bad ...int) {
	w.t.Helper()
	values := logRecords(prefix, n)
	for i := range values {
		if slices.Contains(bad, i) {
			values[i] = refusable(fmt.Sprintf("bad-%s%d-", prefix, i))
			continue
		}
		w.want = append(w.want, fmt.Sprintf("%s%d", prefix, i))
	}
	w.b.produce(partition, values...)
}

// refusedOffsets are the dead letters, as partition/offset, each once.
func (w *world) refusedOffsets(n int) []string {
	w.t.Helper()
	var all []string
	for _, r := range w.b.letters(n) {
		_, at, _ := strings.Cut(string(r.Key), "/")
		all = append(all, at)
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		if !strings.Contains(headers["reason"], "status") || headers["table"] != "quickstart.kong_log_events" || headers["topic_id"] != w.b.topicID() {
			w.t.Errorf("a dead letter says %q", headers)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// 14: the rows that StarRocks refuses are found, and only they are left out.
func TestRefusedRowsAreFound(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
	w.makeDeadTopic()
	w.sow(0, "a", 100, 30)
	w.sow(1, "b", 100)
	w.sow(2, "c", 100, 0, 50, 99)
	p := run(t, w.b, w.srv)
	tableHolds(t, w.srv, w.want)
	want := []string{"0/70", "2/139", "2/40", "2/90"}
	if got := w.refusedOffsets(4); !slices.Equal(got, want) {
		t.Errorf("the dead letters are of %v, want %v", got, want)
	}
	eventually(t, "everything is committed", func() bool { at := w.b.committed(); return at[0] == 140 && at[1] == 140 && at[2] == 140 })
	p.shutDown()
	loads := len(w.srv.Transactions("quickstart"))
	if limit := 1 + 3 + 4*2*9; loads > limit {
		t.Errorf("%d loads to find 4 of 420 rows, more than %d", loads, limit)
	}
	labels := map[string]int{}
	for _, x := range w.srv.Transactions("quickstart") {
		labels[x.Label]++
	}
	for label, n := range labels {
		if n > 1 {
			t.Errorf("the refused label %s was sent %d times", label, n)
		}
	}
}

func (w *world) makeDeadTopic() {
	w.t.Helper()
	if _, err := w.b.admin.CreateTopic(w.t.Context(), 1, 1, nil, deadTopic); err != nil {
		w.t.Fatal(err)
	}
}

// The collector is killed at each commit of a search, before the broker takes it
// and after: nothing is lost or repeated but dead letters.
func TestCrashesWhileARowIsSearched(t *testing.T) {
	long(t)
	for step := range 8 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
			w.makeDeadTopic()
			w.sow(0, "a", 30, 17)
			n := 0
			w.killAtCommit(func(kmsg.OffsetCommitRequestTopicPartition) bool { n++; return n > 2*step })
			w.begin()
			<-w.dead
			second := spawn(t, w.b, w.srv)
			tableHolds(t, w.srv, w.want)
			eventually(t, "everything is committed", func() bool { at := w.b.committed(); return at[0] == 70 && at[1] == 40 && at[2] == 40 })
			if got := w.refusedOffsets(1); !slices.Equal(got, []string{"0/57"}) {
				t.Errorf("the dead letters are of %v", got)
			}
			second.shutDown()
			tableHolds(t, w.srv, w.want)
		})
	}
}

// The table is altered while nobody runs, so that what was refused fits: the
// plans that are found are still each sent once.
func TestTableIsAlteredWhileARowIsSearched(t *testing.T) {
	long(t)
	for step := 1; step < 6; step++ {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			w := newWorld(t, starrockstest.Config{DDL: []string{strictDDL}})
			w.makeDeadTopic()
			w.sow(0, "a", 30, 17)
			commits := 0
			w.killAtCommit(func(kmsg.OffsetCommitRequestTopicPartition) bool { commits++; return commits > 2*step })
			w.begin()
			<-w.dead
			if err := w.srv.Exec("quickstart", "ALTER TABLE kong_log_events DROP COLUMN status"); err != nil {
				t.Fatal(err)
			}
			second := spawn(t, w.b, w.srv)
			w.want = append(w.want, "bad-a17-0")
			tableHolds(t, w.srv, w.want)
			second.shutDown()
			tableHolds(t, w.srv, w.want)
		})
	}
}
