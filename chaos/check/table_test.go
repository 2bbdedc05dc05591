package check

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"millrace/chaos/book"
	"millrace/chaos/generator"
	"millrace/chaos/line"
)

const topicID = "this-topic"

// tableOf is the topic of a book, with markers between the records, and the
// rows of a table that holds all of it, load after load.
func tableOf(t *testing.T, b *book.Book) (*Topic, []*Row) {
	t.Helper()
	topic, next := NewTopic(), map[int32]int64{}
	var rows []*Row
	for i, a := range arrivals(b, false) {
		value := a.value(t)
		if i%90 == 0 {
			next[a.partition]++
		}
		topic.Read(a.partition, next[a.partition], value)
		var r record
		if err := json.Unmarshal(value, &r); err != nil {
			t.Fatal(err)
		}
		origin, err := json.Marshal(r.Kubernetes)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, &Row{topicID, a.partition, next[a.partition], r.Stream, r.Message, string(origin)})
		next[a.partition]++
	}
	return topic, rows
}

func tableVerdict(t *testing.T, fault Fault, change func([]*Row) []*Row) *TableVerdict {
	t.Helper()
	b := written()
	topic, rows := tableOf(t, b)
	if change != nil {
		rows = change(rows)
	}
	p := RowPlanter{Table: NewTable(topic, topicID, New(seed, false)), Fault: fault}
	for _, r := range rows {
		p.Read(r)
	}
	return p.Table.Verdict(b)
}

// Rows come in any order.
func TestNothingWrongWithTheTable(t *testing.T) {
	v := tableVerdict(t, NoFault, func(rows []*Row) []*Row {
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		return rows
	})
	if v.Lines != 2000 || v.Rows != v.Due || v.Arrived != v.Due || v.Lost+v.Repeated+v.Reordered+v.Unexpected+v.Unlike != 0 {
		t.Errorf("%v\n%s", v, v.Report(10))
	}
}

// Each fault that is planted in the table is found, alone.
func TestPlantedRowFaultsAreFound(t *testing.T) {
	good := verdict(t, false, NoFault, nil)
	for _, f := range []Fault{RowLost, RowRepeated, RowReordered, RowForeign, RowMiscounted} {
		all := &Findings{Topic: good, Table: tableVerdict(t, f, nil)}
		if f == RowMiscounted || f == RowLost {
			all.RowDifferences = []string{"one"}
		}
		if err := f.Found(all); err != nil {
			t.Errorf("%v\n%s", err, all.Table.Report(10))
		}
		for _, other := range append(Faults, NoFault) {
			if other != f && other.Found(all) == nil {
				t.Errorf("a row was %s, and found %s", f, other)
			}
		}
	}
}

func TestTableFaults(t *testing.T) {
	foreign := line.Source{Container: 77}
	for name, c := range map[string]struct {
		change                                       func([]*Row) []*Row
		lost, repeated, reordered, unexpected, other int64
	}{
		"a load twice":         {func(rows []*Row) []*Row { return append(rows, rows[100:150]...) }, 0, 50, 0, 0, 50},
		"a load is not there":  {func(rows []*Row) []*Row { return append(rows[:100:100], rows[150:]...) }, 50, 0, 0, 0, 50},
		"of another topic":     {func(rows []*Row) []*Row { rows[9].TopicID = "former"; return rows }, 1, 0, 0, 1, 2},
		"of another offset":    {func(rows []*Row) []*Row { rows[9].Offset += 1 << 30; return rows }, 0, 0, 1, 0, 2},
		"of another partition": {func(rows []*Row) []*Row { rows[9].Partition = 9; return rows }, 0, 0, 0, 0, 2},
		"cut short":            {func(rows []*Row) []*Row { rows[9].Message = rows[9].Message[:9]; return rows }, 1, 0, 0, 1, 2},
		"of another container": {func(rows []*Row) []*Row { rows[9].Kubernetes = `{"pod_id":"x"}`; return rows }, 1, 0, 0, 1, 2},
		"no JSON":              {func(rows []*Row) []*Row { rows[9].Kubernetes = `{`; return rows }, 1, 0, 0, 1, 2},
		"nobody wrote it": {func(rows []*Row) []*Row {
			pod, container := generator.PodOf(foreign.Container)
			origin, _ := json.Marshal(kubernetes{generator.UID(seed, pod), container})
			return append(rows, &Row{topicID, 1, 1 << 30, foreign.Stream(), line.Text(seed, foreign, 5), string(origin)})
		}, 0, 0, 0, 1, 1},
	} {
		v := tableVerdict(t, NoFault, c.change)
		if v.Lost != c.lost || v.Repeated != c.repeated || v.Reordered != c.reordered || v.Unexpected != c.unexpected || v.Unlike != c.other {
			t.Errorf("%s: %v\n%s", name, v, v.Report(10))
		}
	}
}
