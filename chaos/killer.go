package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"millrace/chaos/generator"
)

// killer kills the agent again and again. Its methods are for one goroutine,
// but for what is said of brokers.
type killer struct {
	*run
	r     *rand.Rand
	early int // kills in a row that came before the agent had taken up its work
}

// window is in what the agent was killed.
type window int

const (
	starting   window = iota // not ready yet
	catchingUp               // ready, and nothing new can be read yet
	working                  // lines arrive
	brokerAway               // a broker is dead
)

var windowNames = [...]string{"starting", "catching-up", "working", "broker-away"}

// String is the window's name in reports.
func (w window) String() string { return windowNames[w] }

// kills counts kills of one kind.
type kills struct {
	Counted   int            `json:"counted"`
	Uncounted int            `json:"uncounted"`
	Windows   map[string]int `json:"windows,omitempty"` // of those that count
}

// spree kills the agent until enough kills count. The agent runs before and
// after it.
func (k *killer) spree(ctx context.Context) error {
	for k.tally.Agent.Counted < k.opts.agentKills {
		if err := k.live(ctx); err != nil {
			return err
		}
		if err := k.strike(ctx); err != nil {
			return err
		}
	}
	_, err := k.resume(ctx, patience)
	return err
}

// patience bounds every wait for what has to happen. A broker on a machine with
// other work may take more than a minute to come back.
const patience = 4 * time.Minute

// live lets the agent live: as a rule until it has taken up its work and a
// while longer, now and then for less than that.
func (k *killer) live(ctx context.Context) error {
	if k.early < 2 && k.r.IntN(5) == 0 && !k.opts.missing() {
		k.early++
		back, err := k.resume(ctx, time.Duration(k.r.Int64N(int64(600*time.Millisecond))))
		if back || errors.Is(err, errPatience) {
			return nil
		}
		return err
	}
	k.early = 0
	if _, err := k.resume(ctx, patience); err != nil {
		return err
	}
	if err := k.progress(ctx); err != nil {
		return err
	}
	least := time.Duration(0)
	if k.opts.missing() {
		least = 1500 * time.Millisecond // it looks at each container at least once a second
	}
	return pause(ctx, least+time.Duration(k.r.Int64N(int64(k.opts.cycle))))
}

// enough is how many seconds of lines may be on their way when the agent is
// killed.
const enough = 10

// progress waits until something arrived that the agent's former processes did
// not deliver, or it would fall behind without end.
func (k *killer) progress(ctx context.Context) error {
	err := until(ctx, patience, func() (bool, error) {
		arrived := k.reader.checker.Arrived()
		behind := k.writer.last().Due - arrived - k.lost
		return arrived > k.arrived && float64(behind) < enough*k.opts.rate || k.opts.missing(), k.agent.died()
	})
	if err != nil {
		return fmt.Errorf("wait for life %d of the agent to deliver: %w; %s", k.agent.lives, err, k.agent.why())
	}
	return nil
}

// resume waits until the agent has taken up its work, and lets rotations go on
// then. It has, when with -trust it holds all files, and else when lines
// arrive that did not before.
func (r *run) resume(ctx context.Context, most time.Duration) (back bool, err error) {
	if !r.away {
		return true, nil
	}
	err = until(ctx, most, func() (bool, error) {
		if err := r.agent.died(); err != nil {
			return false, err
		}
		back = time.Since(r.agent.began) > 200*time.Millisecond && r.writer.last().Held
		if !r.opts.trust || r.opts.missing() {
			back = r.reader.checker.Arrived() > r.arrived
		}
		return back, nil
	})
	if err != nil {
		if most == patience {
			err = fmt.Errorf("wait for the agent, life %d, to take up its work: %w; %s", r.agent.lives, err, r.agent.why())
		}
		return false, err
	}
	r.away = false
	_, err = r.writer.tell(generator.Command{Do: generator.Back})
	return true, err
}

// leave says that the agent is about to be dead. The status is one of right
// after that.
func (r *run) leave(ctx context.Context) (generator.Status, error) {
	limit := r.opts.away
	if r.agent.lives == 0 {
		limit = min(limit, r.opts.files-2)
	}
	r.away = true
	return r.writer.do(ctx, generator.Command{Do: generator.Away, Limit: limit})
}

// window is where the agent is.
func (k *killer) window() window {
	switch {
	case k.brokersAway.Load() > 0:
		return brokerAway
	case !k.agent.isReady():
		return starting
	case k.reader.checker.Arrived() <= k.arrived:
		return catchingUp
	}
	return working
}

// strike kills the agent and starts it again.
func (k *killer) strike(ctx context.Context) error {
	if err := k.look(ctx); err != nil {
		return err
	}
	where, age := k.window(), time.Since(k.agent.began)
	status, err := k.leave(ctx)
	if err != nil {
		return err
	}
	if err := k.agent.died(); err != nil {
		return err
	}
	k.agent.kill()
	readable, err := k.readable(ctx)
	if err != nil {
		return err
	}
	if readable >= 0 {
		k.arrived = readable
	}
	k.note(&strike{what: "agent", count: &k.tally.Agent, windows: []string{where.String()}, words: "uncommitted", due: status.Due, there: readable,
		about: fmt.Sprintf("life %d, %s old, %s", k.agent.lives, age.Round(time.Millisecond), where)})
	if k.opts.missing() {
		if err := k.stayAway(ctx); err != nil {
			return err
		}
	}
	return k.agent.start()
}

// look reads the agent's metrics and ledger right before it is killed, if it
// answers. Where it has to count gaps it has to answer.
func (k *killer) look(ctx context.Context) error {
	if !k.opts.missing() {
		_, err := k.agent.look()
		return err
	}
	return until(ctx, patience, k.agent.look)
}

// readable counts the lines that can be read now; -1 if nobody can tell
// because brokers are away.
func (r *run) readable(ctx context.Context) (int64, error) {
	if err := r.readAll(ctx, 5*time.Second); err != nil {
		return -1, r.reader.broken()
	}
	return r.reader.checker.Arrived(), nil
}

// readAll waits until everything that can be read now was read.
func (r *run) readAll(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, errPatience)
	defer cancel()
	ends, err := r.cluster.stable(ctx)
	if err != nil {
		return err
	}
	begun := r.reader.fetches.Load()
	return until(ctx, most, func() (bool, error) {
		// After a crash kfake takes open transactions for aborted without a
		// marker in the log, so that nobody ever gets a record that ends them.
		// The third answer from here on is one that was asked for after the
		// one before was taken.
		if r.cluster.fake && r.reader.fetches.Load() >= begun+3 {
			return true, r.reader.broken()
		}
		return r.reader.reached(ends)
	})
}

// stayAway waits until every container has rotated as often as it has to while
// the agent is dead.
func (k *killer) stayAway(ctx context.Context) error {
	most := patience + time.Duration(k.opts.away)*k.opts.rotate*2
	err := until(ctx, most, func() (bool, error) {
		return k.writer.last().AwayLeast >= k.opts.away, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %d rotations of each container: %w", k.opts.away, err)
	}
	return nil
}

// strike is a kill: of what, in which windows, and what was on its way.
type strike struct {
	what    string
	count   *kills
	windows []string
	// due were so many, and there so many of them; below 0: nobody can tell.
	words      string
	due, there int64
	sure       bool // it counts in any case
	about      string
}

// note counts a kill and says so.
func (r *run) note(s *strike) {
	verdict := "counts"
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.sure && (s.there < 0 || s.due <= s.there) {
		s.count.Uncounted++
		verdict = "does not count"
	} else {
		s.count.Counted++
		for _, w := range s.windows {
			if s.count.Windows == nil {
				s.count.Windows = map[string]int{}
			}
			s.count.Windows[w]++
		}
	}
	if r.opts.quiet {
		return
	}
	behind := fmt.Sprintf("%s=%d (%d of %d)", s.words, s.due-s.there, s.there, s.due)
	if s.there < 0 {
		behind = s.words + " unknown"
	}
	fmt.Fprintf(r.out, "%7.1fs kill -9 %s: %s, %s: %s, %d so far\n", time.Since(r.began).Seconds(), s.what, s.about, behind, verdict, s.count.Counted)
}

// killBrokers kills one broker after another until enough kills count or ctx
// is done.
func (r *run) killBrokers(ctx context.Context, rnd *rand.Rand) error {
	for r.tally.Broker.Counted < r.opts.brokerKills {
		if err := pause(ctx, time.Second+time.Duration(rnd.Int64N(int64(2*time.Second)))); err != nil {
			return nil
		}
		if r.ahead(&r.tally.Broker, r.opts.brokerKills) {
			continue
		}
		n := 1 + rnd.IntN(r.cluster.count)
		down := 200*time.Millisecond + time.Duration(rnd.Int64N(int64(2*time.Second)))
		if err := r.killBroker(ctx, n, down); err != nil {
			return err
		}
	}
	return nil
}

// ahead tells whether others have had more of their kills than the agent of
// its own: they are spread over the run.
func (r *run) ahead(k *kills, wanted int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return k.Counted*r.opts.agentKills > r.tally.Agent.Counted*wanted
}

// killBroker kills a broker and starts it again after a while. It counts if
// lines could not be read right before.
func (r *run) killBroker(ctx context.Context, n int, down time.Duration) error {
	due := r.writer.last().Due
	readable, err := r.readable(ctx)
	if err != nil {
		return err
	}
	r.brokersAway.Add(1)
	defer r.brokersAway.Add(-1)
	if err := r.cluster.brokers.kill(ctx, n); err != nil {
		return err
	}
	r.note(&strike{what: "broker", count: &r.tally.Broker, words: "uncommitted", due: due, there: readable,
		about: fmt.Sprintf("%d of %d, for %s", n, r.cluster.count, down.Round(time.Millisecond))})
	err = pause(ctx, down)
	// It has to run at the end, whatever happens.
	return errors.Join(err, r.cluster.brokers.start(context.WithoutCancel(ctx), n))
}
