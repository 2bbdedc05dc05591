package jsonscan_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"millrace/internal/jsonscan"
)

// What is remembered changes nothing of what is found: with it and without it
// the answers are the same, whatever came before.
func TestKnownChangesNothing(t *testing.T) {
	long := strings.Repeat(`"app.kubernetes.io/name":"kong",`, 8)
	record := func(object string) string { return `{"before":1,"it":` + object + `,"after":{"x":2}}` }
	var known jsonscan.Known
	for _, data := range []string{
		record(`{` + long + `"a":1}`), record(`{` + long + `"a":1}`),
		record(`{` + long + `"a":12}`), record(`{` + long + `"a":1,"b":2}`),
		record(`{` + long + `"a":1e999}`), record(`{` + long + `"a":1e999}`),
		record(`{` + long + `"a":{"b":[]}}`), record(`{` + long + `"a":1}}`),
		record(`{` + long + `"a":1`), record(`{` + long + `"a":1} 2`), record(`{` + long + `"a":1}{}`),
		record(`{` + long + `"a":1}` + strings.Repeat(" ", 9)), record(`[{` + long + `"a":1}]`),
		record(`{` + long + `"a":"` + strings.Repeat("x", 5000) + `"}`), record(`{` + long + `"a":1}`),
		record(`{` + long + `"a":01}`), record(`{` + long + `"a":01}`),
	} {
		both(t, &known, []byte(data))
	}
	// More objects than are remembered, of one beginning and of many, again
	// and again.
	for round := range 3 {
		for i := range 700 {
			both(t, &known, []byte(record(fmt.Sprintf(`{%s"a":%d}`, long, i))))
			both(t, &known, []byte(record(fmt.Sprintf(`{"pod":"%d",%s"a":%d}`, i, long, round))))
		}
	}
}

// What is remembered is a copy: the data's memory is used again for others.
func TestKnownKeepsACopy(t *testing.T) {
	var known jsonscan.Known
	good := `{"it":{` + strings.Repeat(`"a":"b",`, 30) + `"c":1}}`
	data := []byte(good)
	both(t, &known, data)
	for i := range data {
		changed := []byte(good)
		changed[i] = 0
		copy(data, changed)
		both(t, &known, data)
	}
}

func both(t *testing.T, known *jsonscan.Known, data []byte) {
	t.Helper()
	want, wantErr := jsonscan.Members(data, nil)
	got, gotErr := known.Members(data, nil)
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
		t.Fatalf("%.300s:\ngot  %.300v, %v\nwant %.300v, %v", data, got, gotErr, want, wantErr)
	}
	for i := range got {
		if m := &got[i]; len(m.Value) > 0 && &m.Value[0] != &data[m.Start] {
			t.Fatalf("%.300s: the value of %s is not the data's", data, m.Key)
		}
	}
}

// FuzzKnown reads one object, and then a second that begins like it.
func FuzzKnown(f *testing.F) {
	f.Add([]byte(`{"a":{"b":"`+strings.Repeat("x", 200)+`"},"c":{}}`), 150, []byte(`y"}}`))
	f.Add([]byte(`{"a":{"b":"`+strings.Repeat("x", 200)+`","d":1e999}}`), 225, []byte(`,"e":1}`))
	f.Fuzz(func(t *testing.T, first []byte, shared int, end []byte) {
		var known jsonscan.Known
		both(t, &known, first)
		shared = max(0, min(shared, len(first)))
		both(t, &known, append(first[:shared:shared], end...))
		both(t, &known, first)
	})
}

// BenchmarkKnown is records of as many containers in turn.
func BenchmarkKnown(b *testing.B) {
	for _, containers := range []int{1, 100, 200, 1000} {
		b.Run(fmt.Sprint(containers), func(b *testing.B) {
			var data [][]byte
			for i := range containers {
				data = append(data, fmt.Appendf(nil, `{"time":"2026-08-21T08:15:30.217676062Z","stream":"stdout","logtag":"F","message":"10.42.3.17 - - [21/Aug/2026:08:15:30 +0000] \"GET /orders/42 HTTP/1.1\" 200 512 \"-\" \"curl/8.5.0\"","kubernetes":{"pod_name":"kong-%05d",%s"host":"worker-07"},"kubernetes_namespace":{"name":"kong"}}`,
					i, strings.Repeat(`"app.kubernetes.io/name":"kong",`, 26)))
			}
			var known jsonscan.Known
			var members []jsonscan.Member
			for i := 0; b.Loop(); i++ {
				var err error
				if members, err = known.Members(data[i%containers], members[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
