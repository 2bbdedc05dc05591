package pipeline_test

import (
	"bytes"
	"testing"

	"millrace/internal/pipeline"
)

// What many small pieces need together is there from the second time on; what
// one giant needed is not kept.
func TestArenaLearns(t *testing.T) {
	var mem pipeline.Arena
	const most = 1 << 20
	mem.Grow(64 << 10)
	use := func() {
		mem.Reserve(60 << 10)
		for range 200 {
			mem.Copy([]byte("a field that a filter made, of about the usual size, and then some more of it, so that it does not fit........................."))
		}
		mem.Reset(most)
	}
	use()
	use()
	if n := testing.AllocsPerRun(10, use); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
	giant := func() {
		mem.Reserve(800 << 10)
		mem.Reset(most)
	}
	giant()
	mem.Grow(1)
	if room := len(mem.Free()); room > 200<<10 {
		t.Errorf("%d bytes are kept after one giant", room)
	}
}

// What was handed out stays as it was until Reset, whatever comes after it.
func TestArenaKeepsPieces(t *testing.T) {
	var mem pipeline.Arena
	for range 3 {
		var pieces [][]byte
		for i := range 100 {
			pieces = append(pieces, mem.Copy(bytes.Repeat([]byte{byte(i)}, 10*i)))
		}
		for i, p := range pieces {
			if !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, 10*i)) {
				t.Fatalf("piece %d was changed", i)
			}
		}
		mem.Reset(1 << 20)
	}
}
