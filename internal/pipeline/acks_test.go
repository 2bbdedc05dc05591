package pipeline_test

import (
	"testing"

	"millrace/internal/pipeline"
)

// ackModel is the obvious way to do what Acks does: everything that was ever
// added is in a list, and each answer is looked for in it.
type ackModel struct {
	added []added
	from  int // of added: what was before is done or forgotten
	low   int
}

type added struct {
	seq   uint64
	pos   int
	state string
}

func (m *ackModel) settle() (moved bool) {
	for m.from < len(m.added) && m.added[m.from].state == "done" {
		m.low = m.added[m.from].pos
		m.from++
		moved = true
	}
	return moved
}

func (m *ackModel) open() (is []int) {
	for i, a := range m.added {
		if a.state == "open" {
			is = append(is, i)
		}
	}
	return is
}

// panics says whether do does.
func panics(do func()) (did bool) {
	defer func() { did = recover() != nil }()
	do()
	return false
}

// FuzzAcks compares with the model after each step, also what is refused.
func FuzzAcks(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 1, 3, 0, 9, 5})
	f.Add([]byte{0, 0, 0, 0, 0x13, 0x09, 0x05, 0x01, 4, 0, 0, 1, 6, 6, 4})
	f.Add([]byte{0, 0, 3, 0, 1, 1, 4, 0, 7, 15, 1})
	f.Add([]byte{0, 0, 9, 15, 3, 7})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1, 1, 9, 1, 0, 0, 1, 1, 7, 15, 23, 1, 1, 3, 4, 0, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		var acks pipeline.Acks[int]
		m := ackModel{low: -1}
		acks.Begin(-1)
		for step, op := range script {
			open := m.open()
			switch op % 8 {
			case 0, 5, 6:
				seq := acks.Add(step)
				if n := len(m.added); seq == 0 || n > 0 && seq != m.added[n-1].seq+1 {
					t.Fatalf("step %d: sequence number %d after %d others", step, seq, n)
				}
				m.added = append(m.added, added{seq, step, "open"})
			case 1, 2, 3:
				if len(open) == 0 {
					continue
				}
				a := &m.added[open[int(op/8)%len(open)]]
				if op%8 == 3 {
					a.state = "failed"
					acks.Fail(a.seq)
					break
				}
				a.state = "done"
				want := m.settle()
				if low, moved := acks.Done(a.seq); low != m.low || moved != want {
					t.Fatalf("step %d: low %d, moved %v, want %d, %v", step, low, moved, m.low, want)
				}
			case 4:
				if len(open) > 0 {
					if !panics(func() { acks.Rewind() }) {
						t.Fatalf("step %d: rewound while %d are open", step, len(open))
					}
					break
				}
				if low := acks.Rewind(); low != m.low {
					t.Fatalf("step %d: rewound to %d, want %d", step, low, m.low)
				}
				m.from = len(m.added)
			case 7: // an outcome that comes twice, or from before a rewind
				if len(m.added) == 0 {
					continue
				}
				if a := m.added[int(op/8)%len(m.added)]; a.state != "open" &&
					(!panics(func() { acks.Done(a.seq) }) || !panics(func() { acks.Fail(a.seq) })) {
					t.Fatalf("step %d: settled again: %+v", step, a)
				}
			}
			if acks.Low() != m.low || acks.Open() != len(m.open()) {
				t.Fatalf("step %d: low %d, %d open, want %d, %d", step, acks.Low(), acks.Open(), m.low, len(m.open()))
			}
		}
	})
}
