package generator

import (
	"fmt"
	"path/filepath"
	"time"

	"millrace/chaos/book"
	"millrace/chaos/line"
	"millrace/demo/kubelet"
)

// container is one container and its files.
type container struct {
	id     int
	log    *kubelet.Container
	weight float64 // of its rate
	owed   float64 // lines

	lines    book.Counts // written
	begun    time.Time   // when the present run began
	before   book.Counts // lines of earlier runs
	file     file        // being written
	files    map[string]file
	rotated  []file    // of the present run, oldest first
	due      time.Time // of the next rotation
	straddle bool      // it is to happen within a line, if there is a long one
	last     time.Time // before this moment
	stamp    time.Time // in the name of the last rotated file
	missed   int       // rotations since whoever follows is away
}

// file is what a log file holds; from and to are counts of lines.
type file struct {
	from, to book.Counts
	bytes    int64
}

// schedule draws the next rotation.
func (c *container) schedule(g *generator) {
	c.last = g.at.Add(time.Duration((0.85 + 0.1*g.r.Float64()) * float64(g.cfg.Rotate)))
	c.due = c.last
	if c.straddle = g.cfg.Straddle && g.r.IntN(3) == 0; c.straddle {
		c.due = c.last.Add(-g.cfg.Rotate / 2)
	}
}

// step writes the lines that a container owes, and rotates or restarts it when
// that is due.
func (g *generator) step(c *container) error {
	lines := g.make(c)
	switch {
	case g.paused:
		return nil
	case !g.at.Before(c.due) && g.mayRotate(c):
		return g.rotate(c, lines)
	case g.cfg.Churn && g.r.IntN(int(15*time.Second/tick)) == 0 && g.mayRestart(c):
		if err := g.write(c, lines); err != nil {
			return err
		}
		return g.restart(c)
	default:
		return g.write(c, lines)
	}
}

// make makes the lines that a container owes. A quarter of them goes to
// stderr, in runs and alone.
func (g *generator) make(c *container) []kubelet.Line {
	n := int(c.owed)
	c.owed -= float64(n)
	lines := make([]kubelet.Line, n)
	stream := 0
	numbers := c.lines
	for i := range lines {
		if g.r.IntN(4) == 0 {
			stream = g.r.IntN(4) / 3
		}
		// The last digit of a time is never 0, so that all take 30 bytes.
		at := g.at.Truncate(time.Microsecond).Add(time.Duration(10*i+1) * time.Nanosecond)
		lines[i] = g.line(c.id, stream, numbers[stream])
		lines[i].At = at
		numbers[stream]++
	}
	return lines
}

func (g *generator) line(container, stream int, n int64) kubelet.Line {
	s := source(container, stream)
	return kubelet.Line{Stream: s.Stream(), Text: line.Text(g.cfg.Seed, s, n)}
}

// write writes lines and counts them.
func (g *generator) write(c *container, lines []kubelet.Line) error {
	if err := c.log.Write(lines...); err != nil {
		return err
	}
	for i := range lines {
		g.count(c, lines[i].Stream, line.Raw(lines[i].Text))
	}
	g.wrote(c)
	return nil
}

// count counts one line that was written.
func (g *generator) count(c *container, stream string, bytes int64) {
	i := 0
	if stream == "stderr" {
		i = 1
	}
	if !line.Dropped(g.cfg.Seed, source(c.id, i), c.lines[i]) {
		g.status.Due++
	}
	c.lines[i]++
	c.file.bytes += bytes
	g.status.Lines++
}

func (g *generator) wrote(c *container) {
	g.enter(&book.Entry{Kind: book.Wrote, Container: c.id, Lines: c.lines})
}

// mayRotate tells whether one more rotation is fair: not one too many while
// whoever follows is away, and without trust none that deletes a file whose
// lines were not seen.
func (g *generator) mayRotate(c *container) bool {
	if g.away && c.missed >= g.limit {
		return false
	}
	excess := len(c.rotated) - (g.cfg.Files - 2)
	return excess <= 0 || g.cfg.Trust || g.away && g.limit > g.cfg.Files || g.wereSeen(c, c.rotated[excess-1].to)
}

// rotate writes lines with a rotation among them: the last of them may reach
// the renamed file, and a long line may begin before it and end after it.
func (g *generator) rotate(c *container, lines []kubelet.Line) error {
	if c.straddle {
		for i, l := range lines {
			if line.Long(l.Text) {
				return g.rotateWithin(c, lines[:i], lines[i:])
			}
		}
		if g.at.Before(c.last) {
			return g.write(c, lines) // there may be a long one among the next
		}
	}
	late := min(g.r.IntN(4), len(lines))
	if err := g.write(c, lines[:len(lines)-late]); err != nil {
		return err
	}
	if err := g.rotateFile(c, lines[len(lines)-late:]); err != nil {
		return err
	}
	g.wrote(c)
	return nil
}

// rotateWithin rotates within the first of the lines after.
func (g *generator) rotateWithin(c *container, before, after []kubelet.Line) error {
	if err := g.write(c, before); err != nil {
		return err
	}
	long := after[0]
	rest, err := c.log.Piece(long)
	if err != nil {
		return err
	}
	first := line.Raw(long.Text) - line.Raw(rest.Text)
	c.file.bytes += first
	if err := g.rotateFile(c, nil); err != nil {
		return err
	}
	if err := c.log.Write(append([]kubelet.Line{rest}, after[1:]...)...); err != nil {
		return err
	}
	g.count(c, long.Stream, line.Raw(rest.Text))
	for _, l := range after[1:] {
		g.count(c, l.Stream, line.Raw(l.Text))
	}
	g.status.Straddled++
	g.wrote(c)
	return nil
}

// rotateFile does one rotation.
func (g *generator) rotateFile(c *container, late []kubelet.Line) error {
	if c.stamp = c.stamp.Add(time.Second); c.stamp.Before(g.at) {
		c.stamp = g.at
	}
	path := c.path() + "." + c.stamp.UTC().Format("20060102-150405")
	g.current = c
	if err := c.log.Rotate(c.stamp, late...); err != nil {
		return err
	}
	for _, l := range late {
		g.count(c, l.Stream, line.Raw(l.Text))
	}
	c.rotated = append(c.rotated, g.close(c, path))
	c.rotated = c.rotated[max(0, len(c.rotated)-(g.cfg.Files-1)):]
	if g.away {
		c.missed++
	}
	c.schedule(g)
	g.status.Rotations++
	g.enter(&book.Entry{Kind: book.Rotated, Container: c.id})
	return nil
}

// path is that of the file being written.
func (c *container) path() string {
	return filepath.Join(c.log.Dir(), fmt.Sprintf("%d.log", c.log.Attempt()))
}

// close ends the current file, which is to be found at path from now on.
func (g *generator) close(c *container, path string) file {
	f := c.file
	f.to = c.lines
	if c.files == nil {
		c.files = map[string]file{}
	}
	c.files[path] = f
	c.file = file{from: c.lines}
	return f
}

// mayRestart tells whether a restart is fair: it deletes the files of the run
// before this one.
func (g *generator) mayRestart(c *container) bool {
	last := filepath.Join(c.log.Dir(), fmt.Sprintf("%d.log", c.log.Attempt()-1))
	return g.at.Sub(c.begun) > time.Second && (g.wereSeen(c, c.before) || g.isHeld(last))
}

// restart ends a container's run, perhaps in the middle of a line that nobody
// ends, and starts the next.
func (g *generator) restart(c *container) error {
	tail := g.line(c.id, 0, c.lines[0])
	if g.r.IntN(2) == 0 || line.Long(tail.Text) {
		tail.Text = ""
	}
	at := g.at.Truncate(time.Microsecond).Add(999 * time.Nanosecond)
	if err := c.log.Exit(at, tail.Text); err != nil {
		return err
	}
	if tail.Text != "" {
		g.count(c, tail.Stream, line.Raw(tail.Text))
		g.status.Tails++
	}
	g.wrote(c)
	g.close(c, c.path())
	g.current = c
	c.before, c.begun, c.rotated = c.lines, g.at, nil
	g.status.Restarts++
	g.enter(&book.Entry{Kind: book.Restarted, Container: c.id})
	return c.log.Restart(g.at)
}
