package pipeline

import (
	"context"
	"sync"
	"time"
)

// Pool is a bounded number of batches: the memory limit and the backpressure of
// a pipeline in one. Batches are made when they are first needed, and let go
// when nobody needed them for a while: what a burst took does not stay for
// ever.
type Pool struct {
	maxMem int
	slowly time.Duration
	free   chan *Batch // its capacity is the pool's size

	mu      sync.Mutex
	made    int // batches that exist
	spare   int // of these, how many were free all the time since trimmed
	trimmed time.Time

	// waiting is how many wait for a batch to come back, and want by how much
	// longer than not somebody did, as of wantAt: from slowly on there are too
	// few batches.
	waiting int
	want    time.Duration
	wantAt  time.Time
}

// trimEvery is how often a pool lets go of batches that nobody needed.
const trimEvery = 10 * time.Second

// eager is how many batches a pool makes without waiting.
const eager = 2

// NewPool allows n batches to be out at once. The memory of a batch that has
// grown beyond maxMem bytes is not kept when it comes back.
func NewPool(n, maxMem int) *Pool {
	return &Pool{maxMem: maxMem, free: make(chan *Batch, n)}
}

// GrowSlowly has Get make another batch only when it has waited for one to come
// back by so much more than it did not have to, and returns the pool: short
// bursts then share a few batches, and a flood has all there are before long,
// however fast each comes back. Call it before the first Get.
func (p *Pool) GrowSlowly(wait time.Duration) *Pool {
	p.slowly = wait
	return p
}

// Get returns an empty batch; it waits while all of them are out. It fails
// only when ctx ends first.
func (p *Pool) Get(ctx context.Context) (*Batch, error) {
	for {
		select {
		case b := <-p.free:
			return p.take(b), nil
		default:
		}
		if p.grow() {
			return &Batch{pool: p}, nil
		}
		due := p.await()
		select {
		case b := <-p.free:
			p.waited()
			return p.take(b), nil
		case <-due:
			p.waited()
		case <-ctx.Done():
			p.waited()
			return nil, context.Cause(ctx)
		}
	}
}

// grow says whether there may be another batch now, and counts it.
func (p *Pool) grow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed()
	if p.made == p.Size() || p.made >= eager && p.want < p.slowly {
		return false
	}
	if p.made >= eager {
		p.want = p.slowly / 2 // the next one sooner, if it goes on
	}
	p.made++
	p.spare = 0
	return true
}

// await says when to ask grow again, if no batch comes back until then; never
// where there are all already. Then, or when one came, waited is to be called.
func (p *Pool) await() (due <-chan time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
	if p.made == p.Size() {
		return nil
	}
	return time.After(p.slowly - p.want)
}

func (p *Pool) waited() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed()
	p.waiting--
}

// passed counts the time since its last call for another batch or against it.
// The caller holds p.mu.
func (p *Pool) passed() {
	now := time.Now()
	if d := now.Sub(p.wantAt); p.waiting > 0 {
		p.want += d
	} else {
		p.want = max(0, p.want-d)
	}
	p.wantAt = now
}

// Made is the number of batches that exist.
func (p *Pool) Made() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// Out is the number of batches that are in flight.
func (p *Pool) Out() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made - len(p.free)
}

// Size is the number of batches that exist at most.
func (p *Pool) Size() int { return cap(p.free) }

// Put gives a batch back that was not emitted: nothing was read into it. It
// panics when there was, because those lines would be forgotten.
func (p *Pool) Put(b *Batch) {
	if len(b.Spans) > 0 {
		panic("BUG: batch put back with lines in it")
	}
	p.put(b)
}

func (p *Pool) take(b *Batch) *Batch {
	b.pool = p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare = min(p.spare, len(p.free))
	return b
}

func (p *Pool) put(b *Batch) {
	if b.pool != p {
		panic("BUG: batch done twice or put into another pool")
	}
	b.pool = nil
	next := b.strip(p.maxMem)
	clear(b.Spans)
	next.Spans, b.Spans = b.Spans[:0], nil
	p.keep(next)
}

// keep takes an empty batch.
func (p *Pool) keep(b *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.free <- b:
	default:
		panic("BUG: more batches came back than the pool has")
	}
	if now := time.Now(); now.Sub(p.trimmed) > trimEvery {
		p.trim()
		p.spare, p.trimmed = len(p.free), now
	}
}

// trim lets go of the batches that were to spare. The caller holds p.mu.
func (p *Pool) trim() {
	for range p.spare {
		select {
		case <-p.free:
			p.made--
		default:
			return
		}
	}
}
