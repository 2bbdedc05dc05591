package book

import (
	"path/filepath"
	"reflect"
	"testing"
)

func TestBookIsReadAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Entry{
		{Kind: Started, Container: 2, Namespace: "chaos", Pod: "web-0", UID: "u", Name: "c0"},
		{Kind: Wrote, Container: 2, Lines: Counts{10, 1}},
		{Kind: Rotated, Container: 2},
		{Kind: Wrote, Container: 2, Lines: Counts{900, 30}},
		{Kind: Restarted, Container: 2},
		{Kind: Deleted, Container: 2, File: "0.log.1", Lines: Counts{0, 0}, To: Counts{10, 1}, Bytes: 700},
		{Kind: Started, Container: 3},
		{Kind: Gone, Container: 3},
	} {
		if err := w.Enter(&e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Book{Rotations: 1, Restarts: 1, Gone: 1, Containers: map[int]*Container{
		2: {Namespace: "chaos", Pod: "web-0", UID: "u", Name: "c0", Lines: Counts{900, 30},
			Deleted: []File{{Name: "0.log.1", To: Counts{10, 1}, Bytes: 700}}},
		3: {},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	all, dropped := got.Lines(1)
	if all != 930 || dropped < 5 || dropped > 60 {
		t.Errorf("%d lines, %d of them dropped", all, dropped)
	}
}
