// Package lines makes the numbered lines that pods of a test print. Program
// and test make the same ones, so that the test knows each line without
// reading it anywhere.
package lines

import (
	"time"

	"millrace/demo/traffic"
)

// Lines are those of one run of one container: Kong's, made up by package
// traffic from the source, with a clock of their own that ticks once a line.
// It is for one goroutine.
type Lines struct {
	kong *traffic.Kong
	at   time.Time
}

// New returns the lines of a source from the first one on. Those of two
// sources have no line in common.
func New(source uint16) *Lines {
	return &Lines{kong: traffic.NewKong(1, source), at: time.Date(2026, 8, 21, 8, 15, 30, 0, traffic.Zone)}
}

// Next is the next line.
func (l *Lines) Next() traffic.Line {
	l.at = l.at.Add(time.Millisecond)
	return l.kong.Next(l.at)
}
