package kafka

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/pipeline"
)

// resume reads what was committed before the takeover. It decides what became
// of a slice in doubt, and in the first session it gives the source its
// positions.
func (t *tenure) resume(ctx context.Context, s *session) error {
	keys := []string{t.life.Key}
	if t.renamed() {
		keys = append(keys, t.life.Former.Key)
	}
	states, err := s.states(ctx, reading{place: t.place}, keys...)
	if err != nil {
		return err
	}
	if by := states[0].owner; by == nil || by.Instance != t.instance {
		return &stopError{t.ousted(by)}
	}
	if !t.restored {
		return t.restore(ctx, s, states)
	}
	// Between the question whether the id is ours and the takeover this
	// process may have been paused for any time.
	last := states[0].slice
	if last == nil || last.Instance != t.instance && last.Instance != t.before {
		return &stopError{t.overtaken(last)}
	}
	if t.doubt != nil {
		s.out.decide(last)
	}
	return nil
}

// overtaken is what a process says that took the positions over from one that
// had gone on from them.
func (t *tenure) overtaken(last *sliceRecord) error {
	by := "none"
	if last != nil {
		by = last.Disk
	}
	return say("another agent with transactional id %q (data_dir %s) has committed positions of %q on topic %q since this one did (pod %s on node %s, data_dir %s): two agents of one node and pipeline must not run at once, so stop one of them, then restart this pod",
		t.life.TransactionalID, by, t.life.Key, t.place.Topic, t.life.Pod, t.life.Node, t.life.Disk)
}

// decide ends the slice in doubt: it counts if its record is the last.
func (o *Output) decide(last *sliceRecord) {
	t := o.tenure
	sl := t.doubt
	t.doubt = nil
	if last != nil && last.Instance == t.instance && last.Slice == sl.number {
		o.committed(sl)
		return
	}
	o.aborted("unconfirmed")
	o.discard(sl, pipeline.ErrAborted)
}

// restore gives the source the positions. Where they are not on the topic as
// they are to be from here on, it writes them first.
func (t *tenure) restore(ctx context.Context, s *session, states []*state) error {
	committed, err := t.choose(states)
	if err != nil {
		return err
	}
	recs := t.corrections(states, committed)
	t.before = t.instance
	if last := states[0].slice; len(recs) > 0 || last == nil || last.Disk != t.life.Disk {
		t.number++
		recs = append(recs, t.sliceRecord(t.number))
		if err := t.commitPositions(ctx, s, recs); err != nil {
			return err
		}
	} else {
		t.before = last.Instance
	}
	if t.life.Adopt || t.life.Former != nil || t.life.Place != t.place {
		if err := t.commission(t.place); err != nil {
			return say("note where the positions are: %w", err)
		}
	}
	if err := t.positions.Restore(committed); err != nil {
		return &stopError{say("take the positions of %q from topic %q: %w", t.life.Key, t.place.Topic, err)}
	}
	t.restored = true
	t.life.Adopt, t.life.Former, t.life.Place = false, nil, t.place
	return nil
}

// choose returns the positions that count.
func (t *tenure) choose(states []*state) (map[string][]byte, error) {
	if t.life.Adopt {
		local, err := t.positions.Local()
		if err != nil {
			return nil, &stopError{say("take over the positions in data_dir: %w", err)}
		}
		return local, nil
	}
	var strange *sliceRecord
	for _, st := range states { // a rename that was committed counts before what it renamed
		if st.slice == nil {
			continue
		}
		if st.slice.Disk != t.life.Disk {
			strange = st.slice
			continue
		}
		ours := map[string][]byte{}
		for container, p := range st.positions {
			if p.Disk == t.life.Disk {
				ours[container] = p.Pos
			}
		}
		return ours, nil
	}
	if strange != nil {
		return nil, &stopError{say("the positions of %q on topic %q are those of another disk now (data_dir %s, this one is %s), which ran under the same name: give the nodes different names, or, to read every container from where start_at says, stop the agent and remove its data_dir",
			t.life.Key, t.place.Topic, strange.Disk, t.life.Disk)}
	}
	return nil, &stopError{say("topic %q holds no positions of %q any more, although they were written there: %s",
		t.place.Topic, t.life.Key, choices)}
}

// renamed tells that the positions are to move to another key.
func (t *tenure) renamed() bool { return t.life.Former != nil && t.life.Former.Key != t.life.Key }

// corrections are the records that make the topic hold the committed positions
// under our key, and nothing else of ours; none if it does.
func (t *tenure) corrections(states []*state, committed map[string][]byte) []*kgo.Record {
	var recs []*kgo.Record
	present := states[0]
	for _, container := range slices.Sorted(maps.Keys(committed)) {
		p, ok := present.positions[container]
		if !ok || p.Disk != t.life.Disk || !bytes.Equal(p.Pos, committed[container]) {
			recs = append(recs, t.positionRecord(container, committed[container]))
		}
	}
	for _, container := range slices.Sorted(maps.Keys(present.positions)) {
		if _, ok := committed[container]; !ok {
			recs = append(recs, t.positionRecord(container, nil))
		}
	}
	for _, former := range states[1:] {
		for _, container := range slices.Sorted(maps.Keys(former.positions)) {
			recs = append(recs, t.record(t.life.Former.Key+positionSuffix+container, nil))
		}
		if former.slice != nil {
			recs = append(recs, t.record(t.life.Former.Key+sliceSuffix, nil))
		}
	}
	return recs
}
