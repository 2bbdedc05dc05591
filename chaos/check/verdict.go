package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"millrace/chaos/book"
	"millrace/chaos/line"
)

// Verdict is what became of the lines of a book.
type Verdict struct {
	// Lines were written, Due of them had to arrive, Arrived did.
	Lines, Due, Arrived int64
	// Lost lines never arrived; repeated ones arrived again; reordered ones
	// arrived for the first time after a later one (see New); unexpected
	// records hold no line, or not as it was written, or one that had to be
	// dropped.
	Lost, Repeated, Reordered, Unexpected int64
	// Sources are those with a fault, the worst first.
	Sources []SourceVerdict
	// Deleted is what is known of the lost lines whose files were deleted.
	Deleted Deleted
	// Samples describe a few of the faults.
	Samples []string
}

// SourceVerdict is the verdict on one stream of one container.
type SourceVerdict struct {
	Source                     line.Source
	Lost, Repeated, Reordered  int64
	FirstLost, LastLost, Lines int64
}

// String is the verdict on a source as it is reported.
func (s SourceVerdict) String() string {
	text := fmt.Sprintf("%v lines=%d lost=%d repeated=%d reordered=%d", s.Source, s.Lines, s.Lost, s.Repeated, s.Reordered)
	if s.Lost > 0 {
		text += fmt.Sprintf(" (lost between %d and %d)", s.FirstLost, s.LastLost)
	}
	return text
}

// Deleted is about lost lines in deleted files.
type Deleted struct {
	// Lines that were lost and stood in files that were deleted. Those of
	// Verdict.Lost that are not among them were lost without need.
	Lines int64
	// Files that held such lines, and the gaps that they make: files of a
	// container that follow each other are one.
	Files, Gaps int64
	// Least and Most bound the bytes of log files that nobody read: a line
	// that was to be dropped may have been read or not.
	Least, Most int64
}

// Verdict compares what arrived so far with a book.
func (c *Checker) Verdict(b *book.Book) *Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines, dropped := b.Lines(c.seed)
	v := &Verdict{Lines: lines, Due: lines - dropped, Arrived: c.arrived, Unexpected: c.unexpected, Samples: slices.Clone(c.samples)}
	for id, container := range b.Containers {
		for i := range container.Lines {
			c.judge(v, line.Source{Container: id, Stderr: i == 1}, container.Lines[i])
		}
		c.gaps(&v.Deleted, id, container.Deleted)
	}
	for src, s := range c.sources {
		known := int64(0)
		if container := b.Containers[src.Container]; container != nil {
			known = container.Lines.At(src.Stderr)
		}
		for n := known; n < s.most; n++ {
			if s.has(n) {
				v.Unexpected++
				v.Samples = append(v.Samples, fmt.Sprintf("unexpected: line %d of %v, which has only %d", n, src, known))
			}
		}
	}
	slices.SortFunc(v.Sources, func(a, b SourceVerdict) int {
		return cmp.Or(cmp.Compare(b.Lost+b.Repeated+b.Reordered, a.Lost+a.Repeated+a.Reordered), cmp.Compare(a.Source.Container, b.Source.Container))
	})
	return v
}

// judge adds what became of the lines of one source.
func (c *Checker) judge(v *Verdict, src line.Source, lines int64) {
	one := SourceVerdict{Source: src, Lines: lines}
	s := c.sources[src]
	if s == nil {
		s = &source{}
	}
	for n := range lines {
		if s.has(n) || line.Dropped(c.seed, src, n) {
			continue
		}
		if one.Lost == 0 {
			one.FirstLost = n
		}
		one.LastLost = n
		one.Lost++
	}
	one.Repeated, one.Reordered = s.repeated, s.reordered
	v.Lost += one.Lost
	v.Repeated += one.Repeated
	v.Reordered += one.Reordered
	if one.Lost+one.Repeated+one.Reordered > 0 {
		v.Sources = append(v.Sources, one)
	}
}

// gaps adds what was lost of a container's deleted files.
func (c *Checker) gaps(d *Deleted, container int, files []book.File) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b book.File) int { return cmp.Compare(a.From.Sum(), b.From.Sum()) })
	before := false
	for i := range files {
		missed := c.missed(d, container, &files[i])
		if missed && !before {
			d.Gaps++
		}
		before = missed
	}
}

// missed adds what was lost of a deleted file, and says whether anything was.
func (c *Checker) missed(d *Deleted, container int, f *book.File) bool {
	lost, sure, unsure := int64(0), int64(0), int64(0)
	whole := true
	for i := range f.From {
		src := line.Source{Container: container, Stderr: i == 1}
		s := c.sources[src]
		if s == nil {
			s = &source{}
		}
		for n := f.From[i]; n < f.To[i]; n++ {
			switch {
			case line.Dropped(c.seed, src, n):
				unsure += line.Raw(line.Text(c.seed, src, n))
			case s.has(n):
				whole = false
			default:
				lost++
				sure += line.Raw(line.Text(c.seed, src, n))
			}
		}
	}
	if lost == 0 {
		return false
	}
	d.Lines += lost
	d.Files++
	if whole {
		sure, unsure = f.Bytes, 0
	}
	d.Least += sure
	d.Most += sure + unsure
	return true
}

// String is the verdict in one line.
func (v *Verdict) String() string {
	return fmt.Sprintf("lines=%d due=%d arrived=%d lost=%d repeated=%d reordered=%d unexpected=%d",
		v.Lines, v.Due, v.Arrived, v.Lost, v.Repeated, v.Reordered, v.Unexpected)
}

// Report lists the sources with faults, at most so many, and the samples.
func (v *Verdict) Report(most int) string {
	var b strings.Builder
	for i, s := range v.Sources {
		if i == most {
			fmt.Fprintf(&b, "  ... and %d more\n", len(v.Sources)-most)
			break
		}
		fmt.Fprintf(&b, "  %v\n", s)
	}
	for _, s := range v.Samples {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	return b.String()
}
