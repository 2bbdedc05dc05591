package collector

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"millrace/outputs/starrocks/starrockstest"
)

// A later version has planned: this one does not begin from nothing.
func TestPlanOfALaterVersion(t *testing.T) {
	b := newBroker(t, 2)
	b.produce(0, "line")
	b.produce(1, "line")
	commit := kadm.Offsets{}
	commit.Add(kadm.Offset{Topic: testTopic, Partition: 0, At: 0, LeaderEpoch: -1, Metadata: notePrefix + `{"v":2}`})
	if _, err := b.admin.CommitOffsets(t.Context(), testGroup, commit); err != nil {
		t.Fatal(err)
	}
	out := newRecorder()
	m := b.start(out, nil)
	m.reported("a sentence about the version", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "its version is 2, and this program knows version 1")
	})
	if got := collected(t, 1, out); !slices.Equal(got, want(1, 0, []string{"line"})) {
		t.Errorf("got %q", got)
	}
	m.shutDown()
	if at := b.committed()[0]; at != 0 {
		t.Errorf("the offset was moved to %d", at)
	}
}

// The topic was made anew under its name: its records are not skipped, and not
// read as if they were the old ones'.
func TestTopicIsMadeAnew(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, numbered("old ", 5)...)
	out := newRecorder()
	m := b.start(out, nil)
	collected(t, 5, out)
	m.shutDown()
	if err := b.cluster.DeleteTopic(testTopic); err != nil {
		t.Fatal(err)
	}
	if err := b.cluster.CreateTopic(testTopic, 1, nil); err != nil {
		t.Fatal(err)
	}
	// This broker forgets the offsets with the topic; not all do.
	n := note{TopicID: "formerly"}
	commit := kadm.Offsets{}
	commit.Add(kadm.Offset{Topic: testTopic, Partition: 0, At: 5, LeaderEpoch: -1, Metadata: n.text()})
	eventually(t, "the client knows the topic", func() bool {
		res, err := b.admin.CommitOffsets(t.Context(), testGroup, commit)
		return errors.Join(err, res.Error()) == nil
	})
	m = b.start(out, nil)
	m.reported("a sentence about the topic", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "is of a topic of that name which is gone") && strings.Contains(err.Error(), "--delete-offsets")
	})
	m.shutDown()
	if got := out.Take(); len(got) > 0 {
		t.Errorf("read %q", got)
	}
}

// Offsets that were lost, or set back, or plans that were erased: what the table
// has is not loaded again.
func TestLostOffsets(t *testing.T) {
	for name, lose := range map[string]func(w *world) error{
		"deleted": func(w *world) error {
			_, err := w.b.admin.DeleteGroup(w.t.Context(), testGroup)
			return err
		},
		"set back": func(w *world) error {
			commit := kadm.Offsets{}
			for p := range int32(worldPartitions) {
				commit.AddOffset(testTopic, p, 7, -1)
			}
			_, err := w.b.admin.CommitOffsets(w.t.Context(), testGroup, commit)
			return err
		},
	} {
		for _, startAt := range []string{startAtBeginning, startAtEnd} {
			t.Run(name+", start_at "+startAt, func(t *testing.T) {
				w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}})
				p := run(t, w.b, w.srv)
				w.each()
				p.shutDown()
				if err := lose(w); err != nil {
					t.Fatal(err)
				}
				w.produce("later", 10)
				p = run(t, w.b, w.srv, "group: millrace-kong", "group: millrace-kong, start_at: "+startAt)
				w.each()
				p.shutDown()
			})
		}
	}
}

// Somebody resets offsets over a plan whose load is in.
func TestErasedPlan(t *testing.T) {
	w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}})
	w.killAtCommit(advanced)
	w.begin()
	<-w.dead
	w.expel("kong-0")
	commit := kadm.Offsets{}
	for p := range int32(worldPartitions) {
		commit.AddOffset(testTopic, p, 0, -1)
	}
	if res, err := w.b.admin.CommitOffsets(t.Context(), testGroup, commit); errors.Join(err, res.Error()) != nil {
		t.Fatal(err, res.Error())
	}
	p := run(t, w.b, w.srv)
	w.each()
	p.shutDown()
}
