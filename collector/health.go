package collector

import (
	"slices"
	"sync"
)

// health puts together what the parts of a source say about themselves, and
// reports the trouble that has lasted longest. Safe for concurrent use.
type health struct {
	report func(error)

	mu     sync.Mutex
	joined bool // before the group has let us in there is nothing to be ready for
	list   []trouble
}

type trouble struct {
	part string
	err  error
}

// set says how a part is; nil is fine.
func (h *health) set(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.list, func(t trouble) bool { return t.part == part })
	switch {
	case err == nil && i >= 0:
		h.list = slices.Delete(h.list, i, i+1)
	case err != nil && i >= 0:
		h.list[i].err = err
	case err != nil:
		h.list = append(h.list, trouble{part, err})
	}
	h.tell()
}

// join says that the group has let us in.
func (h *health) join() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.joined = true
	h.tell()
}

func (h *health) tell() {
	switch {
	case h.report == nil:
	case len(h.list) > 0:
		h.report(h.list[0].err)
	case h.joined:
		h.report(nil)
	}
}
