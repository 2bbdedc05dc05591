package collector

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// Members come and go while records flow: each is delivered, and as every load
// on its way is waited for, none twice.
func TestRebalancesUnderLoad(t *testing.T) {
	const partitions, rounds, perRound = 6, 40, 50
	b := newBroker(t, partitions)
	var producing sync.WaitGroup
	round := make(chan struct{}, rounds)
	producing.Go(func() {
		for i := range rounds {
			for p := range int32(partitions) {
				b.produce(p, numbered(fmt.Sprintf("%d.", i), perRound)...)
			}
			round <- struct{}{}
		}
		close(round)
	})
	out := newRecorder()
	small := func(o *sourceOptions) { o.limits.rows, o.limits.age = 30, time.Millisecond }
	members := []*member{b.start(out, small)}
	for i := range 8 {
		for range rounds / 8 {
			<-round
		}
		if i%2 == 0 {
			members = append(members, b.start(out, small))
		} else {
			members[0].shutDown()
			members = members[1:]
		}
	}
	producing.Wait()
	got := collected(t, partitions*rounds*perRound, out)
	for _, m := range members {
		m.shutDown()
	}
	got = append(got, out.Take()...)
	if len(got) != partitions*rounds*perRound {
		t.Errorf("%d records were delivered %d times", partitions*rounds*perRound, len(got))
	}
	at := b.committed()
	for p := range int32(partitions) {
		if at[p] != rounds*perRound {
			t.Errorf("partition %d is committed at %d", p, at[p])
		}
	}
}

// A load that hangs while its partition is taken away does not hold up the
// group, and its late outcome moves no offset of the next owner's.
func TestLateOutcomeOfALostPartitionIsNotCommitted(t *testing.T) {
	b := newBroker(t, 2)
	for p := range int32(2) {
		b.produce(p, numbered("line ", 100)...)
	}
	stuck, out := newRecorder(), newRecorder()
	stuck.SetMode(pipelinetest.Hold)
	first := b.start(stuck, func(o *sourceOptions) { o.revokeWait, o.limits.rows = time.Millisecond, 60 })
	eventually(t, "a batch in each lane", func() bool { return stuck.Held() == 2 })
	second := b.start(out, nil)
	got := collected(t, 100, out) // of the partition that moved
	moved := int32(got[0][0] - '0')
	eventually(t, "the new owner's commit", func() bool { return b.committed()[moved] == 100 })
	stuck.SetMode(pipelinetest.Deliver)
	stuck.Release(nil)
	eventually(t, "the commit of the partition that stayed", func() bool { return b.committed()[1-moved] == 100 })
	if at := b.committed()[moved]; at != 100 {
		t.Errorf("the new owner's offset was moved to %d", at)
	}
	first.shutDown()
	second.shutDown()
}

// A batch that is given back after its partition was lost is not read again
// here, and does not disturb what is.
func TestAbortAfterLoss(t *testing.T) {
	b := newBroker(t, 2)
	for p := range int32(2) {
		b.produce(p, numbered("line ", 100)...)
	}
	stuck, out := newRecorder(), newRecorder()
	stuck.SetMode(pipelinetest.Hold)
	first := b.start(stuck, func(o *sourceOptions) { o.revokeWait = time.Millisecond })
	eventually(t, "a batch in each lane", func() bool { return stuck.Held() == 2 })
	second := b.start(out, nil)
	got := collected(t, 100, out)
	stuck.SetMode(pipelinetest.Deliver)
	stuck.Release(pipeline.ErrAborted)
	got = append(got, collected(t, 100, stuck)...)
	first.shutDown()
	second.shutDown()
	distinct := maps.Collect(func(yield func(string, bool) bool) {
		for _, s := range got {
			yield(s, true)
		}
	})
	if all := slices.Collect(maps.Keys(distinct)); len(all) != 200 || len(got) != 200 {
		t.Errorf("got %d records, %d different ones", len(got), len(all))
	}
	if books := first.ledger.Total(); books.Pending != 0 || books.HandedOver != 100 {
		t.Errorf("what the other member has read is not handed over: %+v", books)
	}
}
