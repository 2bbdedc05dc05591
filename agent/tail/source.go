// Package tail follows the log files of selected containers and turns their
// lines into batches of records.
//
// What is followed is a container's directory: the chain of files that kubelet
// leaves there, oldest first, across rotation, compression and restarts of the
// container. A position moves only when everything before it is delivered, and
// is saved every second, so that a crash repeats at most what was in flight
// plus one second, and loses nothing.
//
// Source.Run owns all goroutines: one poller, which looks at each container
// four times a second (less often at quiet ones), some workers, which read
// from whichever container has something new, and the saver of positions. A
// container is read by one of them at a time. Workers take containers in turn
// and read at most one batch's worth from each, so that a busy container
// cannot hold up the others.
package tail

import (
	"cmp"
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/pipeline"
)

const (
	pollInterval = 250 * time.Millisecond
	saveInterval = time.Second
	// hintInterval is the same where committed positions decide.
	hintInterval = 10 * time.Second
	// A container without news for quietAfter polls is looked at every
	// quietEvery-th time only.
	quietAfter = 40
	quietEvery = 4
)

// Source follows containers. It implements pipeline.Source.
type Source struct {
	options Options
	store   store
	spool   *spool
	touched atomic.Bool // a position has moved since the last save

	mu         sync.Mutex
	saved      map[string]Position // of containers that have not begun
	wake       sync.Cond           // there is something to send, or the end
	awaiting   bool                // Restore has not been called and is to be
	notices    map[string]*Position
	containers map[string]*container
	ready      []*container
	stopped    bool
	tick       int
	onDone     func(*pipeline.Batch, error) // settled: made once, not for each batch
	// notified is whose records notices are: there are none.
	notified pipeline.Account
}

// state says who reads a container.
type state uint8

const (
	idle    state = iota // nobody has it
	queued               // it is in ready; a worker will take it
	reading              // a worker has it, until its batch is emitted
)

// leaving says whether and why a container is to be let go.
type leaving uint8

const (
	staying    leaving = iota
	unfollowed         // no longer selected: what is there now is the last
	podGone            // its pod is gone: finished when its directory is, too
)

// New returns a source that goes on where the positions in Options.Dir say. It
// fails when they cannot be read or are missing although there were some.
func New(o Options) (*Source, error) {
	st, saved, err := openStore(o.DataDir)
	if err != nil {
		return nil, err
	}
	o.metrics, o.started, o.BootID = newMetrics(o.Registerer), time.Now(), cmp.Or(o.BootID, bootID())
	if o.since = st.since; o.since.IsZero() {
		o.since = o.started
	}
	sp, err := openSpool(&o)
	if err != nil {
		return nil, err
	}
	dropGone(saved, o.LogDir, sp)
	s := &Source{options: o, store: st, spool: sp, saved: saved, awaiting: o.Transactional,
		notices: map[string]*Position{}, containers: map[string]*container{}}
	s.wake.L = &s.mu
	s.onDone = s.settled
	return s, nil
}

// Follow begins to follow a container, or goes on with one that was to be let
// go. It does not block.
func (s *Source) Follow(t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[t.Key]; c != nil {
		c.leaving.Store(uint32(staying))
		c.metadata.Store(&t.Metadata)
		return
	}
	name := t.Namespace + "/" + t.Pod + "/" + t.Name
	c := &container{
		target:  t,
		log:     s.options.Logger.With("namespace", t.Namespace, "pod", t.Pod, "container", t.Name),
		options: &s.options,
		account: s.options.Ledger.Open(name, t.Namespace, t.Pod, t.Name),
	}
	c.chain.dir, c.chain.spoolDir = filepath.Join(s.options.LogDir, t.Key), s.spool.container(t.Key)
	c.chain.spool, c.chain.log, c.chain.metrics = s.spool, c.log, &s.options.metrics
	c.followed = time.Now()
	c.metadata.Store(&t.Metadata)
	if c.awaiting = s.awaiting; !c.awaiting {
		c.resumeFrom(s.saved, t.Key)
	}
	s.containers[t.Key] = c
	delete(s.notices, t.Key)
	s.options.metrics.containers.Inc()
}

// Unfollow lets a container go once what it has written up to now is
// delivered. Followed again, it goes on with what is written from then on.
func (s *Source) Unfollow(key string) { s.leave(key, unfollowed) }

// Gone says that a container's pod does not exist any more: its files are
// read to their end and the container is let go when its directory is gone.
func (s *Source) Gone(key string) { s.leave(key, podGone) }

func (s *Source) leave(key string, why leaving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[key]; c != nil {
		c.leaving.Store(uint32(why))
	}
}

// Run implements pipeline.Source.
func (s *Source) Run(ctx context.Context, emit func(*pipeline.Batch)) error {
	stop := context.AfterFunc(ctx, s.stop)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { s.every(ctx, pollInterval, s.poll) })
	saving := saveInterval
	if s.options.Transactional {
		saving = hintInterval
	}
	wg.Go(func() { s.every(ctx, saving, s.save) })
	for range min(runtime.GOMAXPROCS(0), 4) {
		wg.Go(func() { s.work(ctx, emit) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// Close implements pipeline.Source: it saves what was acknowledged up to now
// and closes all files.
func (s *Source) Close() error {
	err := s.store.save(s.positions())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		c.mu.Lock()
		c.chain.close()
		c.mu.Unlock()
	}
	return err
}

func (s *Source) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.wake.Broadcast()
}

func (s *Source) every(ctx context.Context, interval time.Duration, do func()) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		do()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// poll looks at each container once: at those that wait to be read, too,
// because a rotated file has to be opened before it is deleted, whether or not
// there is room for its lines.
func (s *Source) poll() {
	s.mu.Lock()
	s.tick++
	look := make([]*container, 0, len(s.containers))
	for _, c := range s.containers {
		if c.quiet < quietAfter || (s.tick+c.quiet)%quietEvery == 0 {
			look = append(look, c)
		}
	}
	s.mu.Unlock()
	now := time.Now()
	for _, c := range look {
		news := c.poll(now)
		if news {
			c.quiet = 0
		} else {
			c.quiet++
		}
		s.found(c, news)
	}
	s.limitSpool(now)
}

// found queues a container that has something to read, unless it is queued or
// being read already, and lets go of one that is finished.
func (s *Source) found(c *container, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.state != idle:
	case news:
		s.queue(c)
	case c.done():
		s.remove(c)
	}
}

// release gives a container back that was read: to the queue if there is more.
func (s *Source) release(c *container, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.state = idle
	if more {
		s.queue(c)
	}
}

func (s *Source) queue(c *container) {
	c.state = queued
	s.ready = append(s.ready, c)
	s.wake.Signal()
}

// done says whether nothing is left to do for a container that is let go.
func (c *container) done() bool {
	why := leaving(c.leaving.Load())
	if why == staying || c.acks.Open() > 0 || c.failed.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaiting {
		return false
	}
	neverBegan := len(c.chain.files) == 0 && (why == unfollowed || !c.chain.exists)
	return c.finished.Load() || neverBegan
}

// remove lets a container go. The position of one whose pod is still there is
// kept, so that what was sent is not sent again should it come back.
func (s *Source) remove(c *container) {
	c.mu.Lock()
	c.chain.leave()
	c.mu.Unlock()
	key := c.target.Key
	delete(s.containers, key)
	switch {
	case leaving(c.leaving.Load()) == podGone:
		delete(s.saved, key)
		s.notify(key, nil)
	case c.begun.Load():
		pos := c.acks.Low()
		pos.Left = true
		s.saved[key] = pos
		s.notify(key, &pos)
	}
	s.touched.Store(true)
	s.options.Ledger.Close(c.account)
	s.options.metrics.containers.Dec()
}

// await waits until there is something to send; false at the end.
func (s *Source) await() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ready) == 0 && len(s.notices) == 0 && !s.stopped {
		s.wake.Wait()
	}
	return !s.stopped
}

// next takes the container that has been ready for longest, nil for none.
func (s *Source) next() *container {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || len(s.ready) == 0 {
		return nil
	}
	c := s.ready[0]
	s.ready = slices.Delete(s.ready, 0, 1) // keeps its memory, as s.ready[1:] would not
	c.state = reading
	return c
}

// work fills batches from ready containers and emits them. It holds no batch
// while it waits for a container, and no container while it waits for a batch.
func (s *Source) work(ctx context.Context, emit func(*pipeline.Batch)) {
	for s.await() {
		b, err := s.options.Pool.Get(ctx)
		if err != nil {
			return
		}
		s.fill(b, s.next(), emit)
	}
}

// fill reads from c and, as long as there is room, from other containers that
// are ready, and emits the batch. The containers are released only after
// that: no other worker may overtake with what comes next. c is nil when
// another worker was faster, or there are only notices.
func (s *Source) fill(b *pipeline.Batch, c *container, emit func(*pipeline.Batch)) {
	filling := filling{Batch: b, now: time.Now()}
	type visited struct {
		*container
		more bool
	}
	var held []visited
	for c != nil {
		held = append(held, visited{c, c.visit(&filling)})
		if filling.full() {
			break
		}
		c = s.next()
	}
	s.addNotices(b)
	s.options.metrics.readBytes.Add(float64(filling.raw))
	if len(b.Spans) == 0 {
		s.options.Pool.Put(b)
	} else {
		b.OnDone(s.onDone)
		b.Emitted()
		emit(b)
	}
	for _, v := range held {
		s.release(v.container, v.more)
	}
}

// settled takes in the outcome of a batch. The poller finds out what follows
// from it: it moves on, or goes back.
func (s *Source) settled(b *pipeline.Batch, err error) {
	for i := range b.Spans {
		span := &b.Spans[i]
		r := span.Position.(*reached)
		c := r.container
		if c == nil {
			s.settledNotice(r, err)
			continue
		}
		if err != nil {
			c.failed.Store(true)
			c.acks.Fail(span.Seq)
			continue
		}
		if _, moved := c.acks.Done(span.Seq); moved {
			s.touched.Store(true)
		}
	}
}

var _ pipeline.Source = (*Source)(nil)
