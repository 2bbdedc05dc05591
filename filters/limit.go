package filters

import (
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Limit is the filter that drops what a container writes beyond a number of
// lines a second, both streams together. Of each second of the lines' own
// times it keeps the first ones: how fast they are read, and that they are
// read late after an outage, changes nothing.
//
// It is the one filter that depends on more than the record, so it is for the
// agent only: what the collector reads twice must be the same both times.
// At the agent each line still has one outcome, kept or filtered, because
// what counts of a line that is read again is the last time: none of what came
// before was committed. After an abort the counts begin anew where reading goes
// on, and so they do after a restart. Of the second in which that is, up to
// LinesPerSecond more are kept; never fewer, because lines that are read again
// are not counted twice. What is kept is the same to the last byte.
type Limit struct {
	// LinesPerSecond is how many records of each container are kept.
	LinesPerSecond int `yaml:"lines_per_second"`
}

// Validate implements config.Validator.
func (l *Limit) Validate(e *config.Errors) {
	if l.LinesPerSecond < 1 {
		e.Add("lines_per_second", "must be at least 1")
	}
}

// limiting is the filter.
type limiting struct {
	most    int
	count   *counters
	windows sync.Map // *pipeline.Account -> *window

	mu      sync.Mutex
	known   int // windows, about
	sweepAt int // how many make it look for those of containers that are gone
}

// window counts the lines of one container. Two streams are not in the exact
// order of their times, so it has two seconds.
type window struct {
	used atomic.Bool // since the last sweep

	mu        sync.Mutex
	rewinds   int64
	now, last second
}

type second struct {
	at   int64 // Unix time
	kept int
}

func newLimiting(c *Limit, count *counters) *limiting {
	return &limiting{most: c.LinesPerSecond, count: count, sweepAt: 256}
}

// Apply implements pipeline.Filter.
func (l *limiting) Apply(r *pipeline.Record, _ *pipeline.Arena) bool {
	var second int64 // the same for all whose time cannot be read
	if at := (time.Time{}); at.UnmarshalText(r.Time) == nil {
		second = at.Unix()
	}
	account := r.Origin.Account
	if l.window(account).take(second, account.Rewinds(), l.most) {
		return true
	}
	l.count.limited.Inc()
	return false
}

// take says whether one more line of a second may pass.
func (w *window) take(at, rewinds int64, most int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.now
	switch {
	case rewinds != w.rewinds, at < w.last.at:
		// The source, or the node's clock, has gone back.
		w.rewinds = rewinds
		w.now, w.last = second{at: at}, second{}
	case at > w.now.at:
		w.now, w.last = second{at: at}, w.now
	case at < w.now.at:
		s = &w.last
		if at > s.at {
			*s = second{at: at}
		}
	}
	if s.kept >= most {
		return false
	}
	s.kept++
	return true
}

func (l *limiting) window(of *pipeline.Account) *window {
	found, ok := l.windows.Load(of)
	if !ok {
		fresh := &window{}
		fresh.used.Store(true)
		if found, ok = l.windows.LoadOrStore(of, fresh); !ok {
			l.sweep()
		}
	}
	w := found.(*window)
	if !w.used.Load() {
		w.used.Store(true)
	}
	return w
}

// sweep is called for each new window. When they have doubled it forgets those
// that nobody has used since: most of them are of containers that are gone.
func (l *limiting) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known++; l.known < l.sweepAt {
		return
	}
	l.known = 0
	l.windows.Range(func(of, w any) bool {
		if w.(*window).used.Swap(false) {
			l.known++
		} else {
			l.windows.Delete(of)
		}
		return true
	})
	l.sweepAt = max(256, 2*l.known)
}
