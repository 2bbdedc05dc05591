// Package line makes the numbered lines of a chaos run. Everything about a
// line follows from the seed and its name, so that whoever reads it can tell
// whether it is whole, and whoever misses it knows how large it was.
package line

import (
	"strconv"
	"strings"
)

// Source is one stream of one container. Containers are numbered; a container
// keeps its number over restarts, a pod's successor has other ones.
type Source struct {
	Container int
	Stderr    bool
}

// Stream is "stdout" or "stderr".
func (s Source) Stream() string {
	if s.Stderr {
		return "stderr"
	}
	return "stdout"
}

// String names a source in reports.
func (s Source) String() string { return "c" + strconv.Itoa(s.Container) + "/" + s.Stream() }

// DropPattern is a regular expression that matches the lines that an agent's
// filter has to drop, and no others.
const DropPattern = "^drop "

// Lines are sized so that most fit one piece of the container runtime (16
// KiB), some end right at its edge and some need several. None needs more
// than four pieces: see Raw.
const (
	pieceSize = 16 << 10
	longest   = 60_000
)

// filler is what lines are filled with: characters that JSON escapes, and
// enough variation that a piece in the wrong place shows.
var filler = func() string {
	var b strings.Builder
	for i := 0; b.Len() < 2*longest; i++ {
		b.WriteString(`"q` + strconv.Itoa(i) + `" \ <a&b>` + "\ttab ")
	}
	return b.String()
}()

// Dropped tells whether the filter has to drop line n of a source: one of
// fifty.
func Dropped(seed uint64, s Source, n int64) bool { return mix(seed, s, n)%50 == 7 }

// Text is line n of a source, counted from 0: its name, and after it as much
// as the seed says.
func Text(seed uint64, s Source, n int64) string {
	kind := "keep"
	if Dropped(seed, s, n) {
		kind = "drop"
	}
	h := mix(seed, s, n) / 50
	name := kind + " " + strconv.Itoa(s.Container) + " " + s.Stream() + " " + strconv.FormatInt(n, 10) + " "
	size := max(0, size(h)-len(name))
	from := int(h>>32) % longest
	return name + filler[from:from+size] + "."
}

// size is the wanted length of a line.
func size(h uint64) int {
	span := func(from, to int) int { return from + int(h>>16)%(to-from) }
	switch k := h % 1000; {
	case k < 830:
		return span(20, 200)
	case k < 995:
		return span(200, 2000)
	case k < 998:
		return span(pieceSize-3, pieceSize+3)
	default:
		return span(pieceSize, longest)
	}
}

// Long tells whether the container runtime has to write the text in pieces.
func Long(text string) bool { return len(text) > pieceSize }

// Raw is the number of bytes that a text takes in a log file of the container
// runtime, where each piece has a time of 30 bytes (UTC, nine digits of which
// the last is not 0), a stream and a tag.
func Raw(text string) int64 {
	pieces := max(1, (len(text)+pieceSize-1)/pieceSize)
	return int64(len(text) + pieces*len("2026-11-23T06:49:20.705005071Z stdout F \n"))
}

// Parse reads the name at the beginning of a text. It does not look at the
// rest: compare with Text.
func Parse(text string) (s Source, n int64, ok bool) {
	part := strings.SplitN(text, " ", 5)
	if len(part) != 5 || part[0] != "keep" && part[0] != "drop" || part[2] != "stdout" && part[2] != "stderr" {
		return s, 0, false
	}
	c, err := strconv.Atoi(part[1])
	n, nerr := strconv.ParseInt(part[3], 10, 64)
	return Source{c, part[2] == "stderr"}, n, err == nil && nerr == nil && c >= 0 && n >= 0
}

// mix is a random number that belongs to a line: the finaliser of SplitMix64
// over all that names it.
func mix(seed uint64, s Source, n int64) uint64 {
	x := seed ^ uint64(n)*0x9e3779b97f4a7c15 ^ uint64(s.Container)<<40
	if s.Stderr {
		x ^= 0xd1b54a32d192ed03
	}
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
