package collector

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"millrace/outputs/starrocks"
)

func samplePlan(parts int) *plan {
	p := &plan{
		Label: newLabel(), Owner: strings.Repeat("o", maxOwner), Cluster: widestID, Created: math.MaxInt64, Lead: math.MaxInt32,
		To: &starrocks.Target{URLs: []string{"http://starrocks-fe-0.starrocks:8030"}, Query: "starrocks-fe:9030", Database: "d", Table: "t"},
	}
	for range parts {
		p.Parts = append(p.Parts, part{math.MaxInt32, math.MaxInt64 - math.MaxInt32, math.MaxInt64, math.MaxInt32})
	}
	return p
}

// However many partitions a lane has, a plan takes only so many that it fits
// beside an offset.
func TestPlanFitsBesideAnOffset(t *testing.T) {
	n := note{TopicID: widestID, After: newLabel(), Plan: samplePlan(0)}
	room := roomForParts(n)
	n.Plan = samplePlan(room)
	if size := len(n.text()); room < 40 || size > maxNote || size < maxNote-2*partSize {
		t.Errorf("%d parts take %d bytes", room, size)
	}
	urls := make([]string, 200)
	for i := range urls {
		urls[i] = "http://starrocks-fe-0.starrocks.svc.cluster.local:8030"
	}
	n.Plan = samplePlan(0)
	n.Plan.To = shorten(&starrocks.Target{URLs: urls})
	if room := roomForParts(n); room < 10 || len(n.Plan.To.URLs) < 2 {
		t.Errorf("with %d addresses there is room for %d parts", len(n.Plan.To.URLs), room)
	}
}

func TestNoteIsReadAsItWasWritten(t *testing.T) {
	p := samplePlan(0)
	p.Lead, p.Parts = 3, []part{{3, 10, 20, 9}, {4, 0, 1, 1}}
	n := note{TopicID: "id", After: "older", Plan: p.beside(4)}
	got, err := readNote(n.text(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if got.Plan.after != "older" || got.Plan.topicID != "id" {
		t.Errorf("the plan knows %+v", got.Plan)
	}
	got.Plan.after, got.Plan.topicID = "", ""
	if !reflect.DeepEqual(*got, n) || len(got.Plan.Parts) != 1 || got.Plan.Lead != 3 {
		t.Errorf("got %+v", got.Plan)
	}
	if whole, err := readNote((&note{TopicID: "id", Plan: p.beside(3)}).text(), 3); err != nil || len(whole.Plan.Parts) != 2 {
		t.Errorf("beside the lead: %+v, %v", whole, err)
	}
}

func TestNotesThatAreNotRead(t *testing.T) {
	for _, text := range []string{"", "member-0-1b2c", "{}"} {
		if n, err := readNote(text, 0); n != nil || err != nil {
			t.Errorf("%q: %+v, %v", text, n, err)
		}
	}
	for text, why := range map[string]string{
		notePrefix + `{"v":2,"new":"things"}`: "its version is 2, and this program knows version 1",
		notePrefix + `{"v":1`:                 "damaged",
		notePrefix + `{"v":1,"plan":{"label":"x","parts":[[0,5,5,1]],"to":{"urls":["u"]}}}`: "no range",
		notePrefix + `{"v":1,"plan":{"label":"x","parts":[[1,5,6,1]],"to":{"urls":["u"]}}}`: "not complete",
		notePrefix + `{"v":1,"plan":{"label":"x","parts":[[0,5,6,1]]}}`:                     "not complete",
	} {
		if _, err := readNote(text, 0); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
}

// FuzzReadNote: whatever stands beside an offset, it is understood or refused.
func FuzzReadNote(f *testing.F) {
	p := samplePlan(0)
	p.Lead, p.Parts = 0, []part{{0, 10, 20, 9}}
	f.Add((&note{TopicID: "id", Plan: p}).text(), int32(0))
	f.Fuzz(func(t *testing.T, text string, partition int32) {
		n, err := readNote(text, partition)
		if n == nil || err != nil {
			return
		}
		again, err := readNote(n.text(), partition)
		if err != nil || !reflect.DeepEqual(n, again) {
			t.Errorf("%q: %+v, then %+v (%v)", text, n, again, err)
		}
	})
}

// The search for a bad record takes a logarithmic number of loads.
func TestSearchForABadRecord(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 100, 1000, 500_000} {
		for _, bad := range []int{0, n / 3, n / 2, n - 1} {
			var b badRun
			b.refused(n, true)
			low, loads := 0, 0
			if n == 1 {
				b = badRun{1, 1}
			}
			for ; b.next > 0; loads++ {
				take := b.next
				switch {
				case bad < low || bad >= low+take:
					low += take
					b.passed(take)
				case take == 1:
					low++
					b.passed(take)
					if low != bad+1 {
						t.Errorf("%d of %d: found at %d", bad, n, low)
					}
					b = badRun{}
				default:
					b.refused(take, true)
				}
				if loads > 60 {
					t.Fatalf("%d of %d: not found, %+v", bad, n, b)
				}
			}
			if limit := int(math.Ceil(math.Log2(float64(n)))) + 2; loads > limit {
				t.Errorf("%d of %d: %d loads, more than %d", bad, n, loads, limit)
			}
		}
	}
}
