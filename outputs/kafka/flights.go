package kafka

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// flights knows where every flight is: free, in the client (the air), or with
// records that came back from it, refused. Its lock is a leaf.
type flights struct {
	mu      sync.Mutex
	free    []*flight
	spare   int // flights that were free all the time since trimmed
	trimmed time.Time
	busy    int // batches that were written and are not Done
	air     map[*flight]struct{}
	refused []*flight     // other records of them may still be in the air
	empty   chan struct{} // closed when busy is 0, if somebody waits for it
}

// trimEvery is how often flights that nobody needed are let go: what a burst
// took does not stay for ever.
const trimEvery = 10 * time.Second

// get returns a flight to board.
func (fs *flights) get() *flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.busy++
	if n := len(fs.free); n > 0 {
		f := fs.free[n-1]
		fs.free[n-1] = nil
		fs.free = fs.free[:n-1]
		fs.spare = min(fs.spare, n-1)
		return f
	}
	return &flight{}
}

// put takes a flight that is over.
func (fs *flights) put(f *flight) {
	f.batch = nil
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.air, f)
	fs.free = append(fs.free, f)
	if now := time.Now(); now.Sub(fs.trimmed) > trimEvery {
		fs.free = slices.Delete(fs.free, 0, fs.spare) // those that were used longest ago
		fs.spare, fs.trimmed = len(fs.free), now
	}
}

// done notes that n batches are Done.
func (fs *flights) done(n int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.busy -= n
	if fs.busy == 0 && fs.empty != nil {
		close(fs.empty)
		fs.empty = nil
	}
}

// idle is closed when every batch that was written is Done.
func (fs *flights) idle() <-chan struct{} {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.empty == nil {
		fs.empty = make(chan struct{})
	}
	ch := fs.empty
	if fs.busy == 0 {
		close(ch)
		fs.empty = nil
	}
	return ch
}

// takeOff lets f into the air, but not from a refusal to takeBack: it would
// overtake.
func (fs *flights) takeOff(f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.refused) > 0 {
		return false
	}
	if fs.air == nil {
		fs.air = map[*flight]struct{}{}
	}
	fs.air[f] = struct{}{}
	return true
}

// refuse notes the first refusal of a record of f.
func (fs *flights) refuse(f *flight, why error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.refusal = why
	fs.refused = append(fs.refused, f)
}

// land takes a refused flight out of the air: its last promise came.
func (fs *flights) land(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.air, f)
}

// allDown tells that the client holds no record of ours.
func (fs *flights) allDown() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.air) == 0
}

// refusal is why the earliest of the refused flights was, nil when none is.
func (fs *flights) refusal() error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.refused) == 0 {
		return nil
	}
	return slices.MinFunc(fs.refused, bySeq).refusal
}

// takeBack returns the refused flights when all are down, and clears the way.
func (fs *flights) takeBack() []*flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	back := fs.refused
	fs.refused = nil
	return back
}

// oldest is when the earliest flight in the air was produced, zero when there
// is none.
func (fs *flights) oldest() (since time.Time) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for f := range fs.air {
		if since.IsZero() || f.produced.Before(since) {
			since = f.produced
		}
	}
	return since
}

func bySeq(f, g *flight) int { return cmp.Compare(f.seq, g.seq) }
