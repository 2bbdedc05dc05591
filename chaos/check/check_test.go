package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"millrace/chaos/book"
	"millrace/chaos/generator"
	"millrace/chaos/line"
	"millrace/internal/pipeline"
)

const seed = 3

// written is the book of two containers.
func written() *book.Book {
	b := &book.Book{Containers: map[int]*book.Container{}}
	for id := range 2 {
		b.Containers[id] = &book.Container{Namespace: "chaos", Pod: "web-0", Name: fmt.Sprint("c", id), Lines: book.Counts{800, 200}}
	}
	return b
}

// arrival is a record on its way to the checker.
type arrival struct {
	partition int32
	src       line.Source
	n         int64
	message   string
}

func (a arrival) value(t *testing.T) []byte {
	t.Helper()
	var r record
	pod, name := generator.PodOf(a.src.Container)
	r.Stream, r.Message, r.Kubernetes.PodID, r.Kubernetes.ContainerName = a.src.Stream(), a.message, generator.UID(seed, pod), name
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// arrivals are the records of the book as an agent sends them: slices of 100
// lines, to one partition each.
func arrivals(b *book.Book, keyed bool) (all []arrival) {
	for n := range int64(800) {
		for id := range b.Containers {
			for i, lines := range b.Containers[id].Lines {
				src := line.Source{Container: id, Stderr: i == 1}
				if n < lines && !line.Dropped(seed, src, n) {
					partition := int32(n/100) % 4
					if keyed {
						partition = int32(id)
					}
					all = append(all, arrival{partition, src, n, line.Text(seed, src, n)})
				}
			}
		}
	}
	return all
}

func verdict(t *testing.T, keyed bool, fault Fault, change func([]arrival) []arrival) *Verdict {
	t.Helper()
	b := written()
	all := arrivals(b, keyed)
	if change != nil {
		all = change(all)
	}
	p := Planter{Checker: New(seed, keyed), Fault: fault}
	for _, a := range all {
		p.Read(a.partition, a.value(t))
	}
	return p.Checker.Verdict(b)
}

func TestNothingWrong(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		v := verdict(t, keyed, NoFault, nil)
		if v.Lines != 2000 || v.Due != v.Arrived || v.Due < 1850 || v.Lost+v.Repeated+v.Reordered+v.Unexpected != 0 || len(v.Sources)+len(v.Samples) != 0 {
			t.Errorf("%v\n%s", v, v.Report(10))
		}
	}
}

// Each planted fault is found, alone, and with the name of its source.
func TestPlantedFaultsAreFound(t *testing.T) {
	for _, f := range []Fault{Lost, Repeated, Reordered} {
		v := verdict(t, false, f, nil)
		if err := f.Found(&Findings{Topic: v}); err != nil || len(v.Sources) != 1 {
			t.Errorf("%v\n%s", err, v.Report(10))
		}
		for _, other := range Faults {
			if other != f && other.Found(&Findings{Topic: v}) == nil {
				t.Errorf("a line was %s, and found %s", f, other)
			}
		}
	}
}

// find is the first arrival of a source with at least that number.
func find(all []arrival, src line.Source, n int64) int {
	for i, a := range all {
		if a.src == src && a.n >= n {
			return i
		}
	}
	panic("BUG: no such arrival")
}

func TestFaults(t *testing.T) {
	src := line.Source{Container: 1}
	for _, c := range []struct {
		name                                    string
		keyed                                   bool
		change                                  func([]arrival) []arrival
		lost, repeated, reordered, unexpectedly int64
	}{
		{"a slice twice", false, func(all []arrival) []arrival { return append(all, all[100:150]...) }, 0, 50, 0, 0},
		{"a slice late, in the same partition", false, func(all []arrival) []arrival {
			i := find(all, src, 50)
			late := all[i]
			return append(append(append([]arrival{}, all[:i]...), all[i+1:]...), late)
		}, 0, 0, 1, 0},
		{"a slice late, in another partition", false, func(all []arrival) []arrival {
			i := find(all, src, 50)
			late := all[i]
			late.partition = 9
			return append(append(append([]arrival{}, all[:i]...), all[i+1:]...), late)
		}, 0, 0, 0, 0},
		{"keyed, and a line in another partition", true, func(all []arrival) []arrival {
			all[find(all, src, 50)].partition = 9
			return all
		}, 0, 0, 1, 0},
		{"a line cut short", false, func(all []arrival) []arrival {
			a := &all[find(all, src, 50)]
			a.message = a.message[:len(a.message)-1]
			return all
		}, 1, 0, 0, 1},
		{"two pieces joined that do not belong together", false, func(all []arrival) []arrival {
			i := find(all, src, 50)
			all[i].message += all[i+1].message
			return all
		}, 1, 0, 0, 1},
		{"a line of the other stream", false, func(all []arrival) []arrival {
			all[find(all, src, 50)].src.Stderr = true
			return all
		}, 1, 0, 0, 1},
		{"a line that nobody wrote", false, func(all []arrival) []arrival {
			src := line.Source{Container: 77}
			return append(all, arrival{0, src, 5, line.Text(seed, src, 5)})
		}, 0, 0, 0, 1},
		{"a line beyond the last", false, func(all []arrival) []arrival {
			n := int64(800)
			for line.Dropped(seed, src, n) {
				n++
			}
			return append(all, arrival{0, src, n, line.Text(seed, src, n)})
		}, 0, 0, 0, 1},
		{"a line that the filter has to drop", false, func(all []arrival) []arrival {
			n := int64(0)
			for !line.Dropped(seed, src, n) {
				n++
			}
			return append(all, arrival{0, src, n, line.Text(seed, src, n)})
		}, 0, 0, 0, 1},
		{"something else", false, func(all []arrival) []arrival { return append(all, arrival{0, src, 1, "hello"}) }, 0, 0, 0, 1},
	} {
		v := verdict(t, c.keyed, NoFault, c.change)
		if v.Lost != c.lost || v.Repeated != c.repeated || v.Reordered != c.reordered || v.Unexpected != c.unexpectedly {
			t.Errorf("%s: %v\n%s", c.name, v, v.Report(10))
		}
	}
}

// What was lost with deleted files is known in lines and bytes.
func TestDeletedFiles(t *testing.T) {
	b := written()
	src := line.Source{Container: 0}
	bytes := func(from, to int64) (n int64) {
		for i := from; i < to; i++ {
			n += line.Raw(line.Text(seed, src, i))
		}
		return n
	}
	b.Containers[0].Deleted = []book.File{
		{Name: "read", To: book.Counts{100, 0}, Bytes: bytes(0, 100)},
		{Name: "half", From: book.Counts{100, 0}, To: book.Counts{200, 0}, Bytes: bytes(100, 200)},
		{Name: "missed", From: book.Counts{200, 0}, To: book.Counts{300, 0}, Bytes: bytes(200, 300)},
	}
	c := New(seed, false)
	for _, a := range arrivals(b, false) {
		if a.src != src || a.n < 150 || a.n >= 300 {
			c.Read(a.partition, a.value(t))
		}
	}
	v := c.Verdict(b)
	least, most := bytes(200, 300), bytes(100, 300)
	if v.Lost != v.Deleted.Lines || v.Deleted.Files != 2 || v.Deleted.Gaps != 1 || v.Deleted.Least <= least || v.Deleted.Most >= most || bytes(150, 300) > v.Deleted.Most || bytes(150, 300) < v.Deleted.Least {
		t.Errorf("%v %+v, want between %d and %d, and %d among them", v, v.Deleted, least, most, bytes(150, 300))
	}
}

func status(t *testing.T) []byte {
	t.Helper()
	s := pipeline.Status{Name: "p"}
	for _, name := range []string{"chaos/web-0/c0", "chaos/web-1/c0"} {
		b := pipeline.Balance{Read: 1000, Delivered: 980, Filtered: 20, Dropped: map[string]int64{}, Reread: 5}
		s.Accounts = append(s.Accounts, pipeline.AccountStatus{Name: name, Balance: b})
		s.Ledger = s.Ledger.Plus(b)
	}
	body, err := json.Marshal(map[string]any{"pipelines": []pipeline.Status{s}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// A miscount of each term is found, also when the ledger as such balances.
func TestMiscountsAreFound(t *testing.T) {
	want := map[string]Count{"chaos/web-0/c0": {1000, 20}, "chaos/web-1/c0": {1000, 20}}
	read := func() *Ledger {
		l, err := ReadLedger(status(t))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if d := read().Differences(want); len(d) != 0 {
		t.Fatalf("nothing is wrong, and found %q", d)
	}
	for _, term := range Terms {
		l := read()
		l.Miscount(term)
		d := l.Differences(want)
		if len(d) == 0 || !strings.Contains(strings.Join(d, "\n"), strings.ReplaceAll(term, "_", " ")+" is ") {
			t.Errorf("%s is one too high, and found %q", term, d)
		}
		if len(l.Unbalanced()) == 0 {
			t.Errorf("%s is one too high, and the ledger balances", term)
		}
	}
	l := read()
	l.Miscount("read")
	l.Miscount("delivered")
	if d := l.Differences(want); len(l.Unbalanced()) != 0 || len(d) != 2 {
		t.Errorf("read and delivered are one too high, and found %q", d)
	}
	sum := read().Plus(read())
	if d := sum.Differences(map[string]Count{"chaos/web-0/c0": {2000, 40}, "chaos/web-1/c0": {2000, 40}}); len(d) != 0 {
		t.Errorf("two lives: %q", d)
	}
}
