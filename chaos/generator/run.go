package generator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"millrace/chaos/book"
)

// Command is one line of JSON on the generator's standard input.
type Command struct {
	// Seq is that of the sender's; the status repeats the last one.
	Seq int `json:"seq"`
	Do  Do  `json:"do"`
	// Limit is for Away: rotations of each container until Back.
	Limit int `json:"limit,omitempty"`
	// On is for Churn.
	On bool `json:"on,omitempty"`
	// Seen is for Seen: the lines of each container that were delivered
	// without a gap from its first.
	Seen map[int]book.Counts `json:"seen,omitempty"`
}

// Do is what a command asks for.
type Do string

// The commands.
const (
	Away  Do = "away"  // whoever follows the files is about to be killed
	Back  Do = "back"  // it holds the files again
	Pause Do = "pause" // write nothing
	Write Do = "write" // write again
	Churn Do = "churn" // containers restart and pods go, or not
	Seen  Do = "seen"  // these lines were delivered
	End   Do = "end"   // the end: the book is closed
)

// Status is one line of JSON on the generator's standard output, fifty times a
// second.
type Status struct {
	Seq int `json:"seq"`
	// Lines were written, and Due of them must arrive: the others the filter
	// drops.
	Lines int64 `json:"lines"`
	Due   int64 `json:"due"`
	// Rotations, Restarts and so on are of all containers together.
	Rotations int `json:"rotations"`
	Restarts  int `json:"restarts"`
	Gone      int `json:"gone"` // pods
	// GoneUnseen are those of which lines were only held when they went.
	GoneUnseen int `json:"gone_unseen"`
	Straddled  int `json:"straddled"` // lines that began in one file and ended in the next
	Tails      int `json:"tails"`     // lines that a crash cut off
	// AwayLeast and AwayMost are the rotations of a container since Away.
	AwayLeast int `json:"away_least"`
	AwayMost  int `json:"away_most"`
	// Held says, with Trust and while away, that the newest files of all
	// containers are held.
	Held bool `json:"held"`
	// Counts are the lines of the containers whose pods are there.
	Counts map[int]book.Counts `json:"counts"`
	// Pods are the names of their pods.
	Pods map[int]string `json:"pods"`
}

// Run writes lines until the command End or the end of in. It returns when the
// book is closed and in is not read any more.
func Run(cfg Config, in io.Reader, out io.Writer) error {
	g, err := newGenerator(cfg)
	if err != nil {
		return err
	}
	commands := make(chan Command)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		readCommands(in, commands, quit)
	}()
	err = g.loop(commands, json.NewEncoder(out))
	close(quit)
	if err == nil {
		<-done // on an error the process ends, whatever may still come
	}
	return errors.Join(err, g.book.Close())
}

// readCommands sends on what is in the stream, up to its end or the last
// command.
func readCommands(in io.Reader, out chan<- Command, quit <-chan struct{}) {
	defer close(out)
	d := json.NewDecoder(in)
	for {
		var c Command
		if err := d.Decode(&c); err != nil {
			return
		}
		select {
		case out <- c:
		case <-quit:
			return
		}
		if c.Do == End {
			return
		}
	}
}

func (g *generator) loop(commands <-chan Command, out *json.Encoder) error {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for {
		select {
		case c, ok := <-commands:
			if !ok {
				return nil
			}
			g.obey(&c)
		case now := <-ticks.C:
			if err := g.advance(now); err != nil {
				return err
			}
			if err := out.Encode(g.tell()); err != nil {
				return fmt.Errorf("tell the status: %w", err)
			}
		}
	}
}

func (g *generator) obey(c *Command) {
	switch c.Do {
	case Away:
		g.leave(c.Limit)
	case Back:
		g.away = false
	case Pause:
		g.paused = true
	case Write:
		g.paused = false
	case Churn:
		g.cfg.Churn = c.On
	case Seen:
		for id, n := range c.Seen {
			g.seen[id] = n
		}
	case End:
	}
	g.status.Seq = max(g.status.Seq, c.Seq)
}

// leave begins to count rotations, unless they are being counted already.
func (g *generator) leave(limit int) {
	if !g.away {
		for _, p := range g.slots {
			for _, c := range p.containers {
				c.missed = 0
			}
		}
	}
	g.away, g.limit = true, limit
}

// tell brings the status up to date.
func (g *generator) tell() *Status {
	s := &g.status
	s.Counts, s.Pods = map[int]book.Counts{}, map[int]string{}
	s.AwayLeast, s.AwayMost = 0, 0
	s.Held = g.away && g.allHeld()
	first := true
	for _, p := range g.slots {
		for _, c := range p.containers {
			s.Counts[c.id], s.Pods[c.id] = c.lines, p.Name
			if p.over {
				continue
			}
			if first || c.missed < s.AwayLeast {
				s.AwayLeast, first = c.missed, false
			}
			s.AwayMost = max(s.AwayMost, c.missed)
		}
	}
	return s
}
