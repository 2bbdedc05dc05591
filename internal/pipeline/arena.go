package pipeline

// Arena hands out pieces of one reusable block of memory. What it handed out
// stays valid until Reset: when the block is full a new one is begun and the
// old one stays with the slices that point into it. Not for concurrent use.
// The zero value is ready.
type Arena struct {
	buf []byte // len = used
	// keep is the block that survives Reset, when the arena had to grow.
	keep []byte
	// full is what was used of the blocks before this one; size is how much
	// the next first block has to hold.
	full, size int
}

// Reserve returns n bytes of undefined content that the caller may fill. Its
// capacity is n, so that an append cannot run into the next piece.
func (a *Arena) Reserve(n int) []byte {
	a.grow(n)
	i := len(a.buf)
	a.buf = a.buf[:i+n]
	return a.buf[i : i+n : i+n]
}

// Copy returns a copy of p that lives in the arena.
func (a *Arena) Copy(p []byte) []byte {
	q := a.Reserve(len(p))
	copy(q, p)
	return q
}

// Free returns the unused rest of the block without taking it; bytes written
// into its beginning are taken by a Reserve of that many bytes.
func (a *Arena) Free() []byte {
	return a.buf[len(a.buf):cap(a.buf)]
}

// Grow makes sure that Free is at least n bytes long.
func (a *Arena) Grow(n int) { a.grow(n) }

// Used is the number of bytes taken from the current block.
func (a *Arena) Used() int { return len(a.buf) }

// Reset takes back everything that was handed out. A block larger than max is
// given to the garbage collector, so that one giant line does not stay in
// memory for ever. When several blocks were needed, though not for a giant, the
// next first one is as large as all of them: what filters make of each record
// then costs no allocation.
func (a *Arena) Reset(max int) {
	used := a.full + len(a.buf)
	if a.keep != nil {
		a.buf, a.keep = a.keep, nil
	}
	if first := cap(a.buf); used > first && used <= 4*first && used <= max {
		a.buf, a.size = nil, used+used/8
	}
	if cap(a.buf) > max {
		a.buf = nil
	}
	a.buf, a.full = a.buf[:0], 0
}

func (a *Arena) grow(n int) {
	if cap(a.buf)-len(a.buf) >= n {
		return
	}
	size := max(n, cap(a.buf), 4096)
	if cap(a.buf) == 0 {
		size = max(size, a.size)
		a.size = 0
	}
	a.full += len(a.buf)
	if cap(a.buf) > 0 && a.keep == nil {
		a.keep = a.buf[:0]
	}
	a.buf = make([]byte, 0, size)
}
