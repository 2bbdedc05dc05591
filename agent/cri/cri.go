// Package cri reads the lines that container runtimes write to a container's
// log file, and joins the pieces of long ones.
//
// The format is the CRI log format of Kubernetes (kubelet's
// pkg/kubelet/kuberuntime/logs and the CRI logging design): time, stream, tag
// and text, separated by single spaces. containerd and CRI-O both cut what the
// container wrote at 16 KiB into pieces tagged P and a last one tagged F.
package cri

import "bytes"

// Line is one line of a log file in its parts, which are slices of the line.
type Line struct {
	// Time is RFC 3339 with up to nine decimals and any offset, as written.
	Time []byte
	// Stderr tells the stream: standard error or standard output.
	Stderr bool
	// Tag is the whole tag: F or P, possibly with more tags after colons.
	Tag []byte
	// Text is what the container wrote, any bytes.
	Text []byte
}

// Partial says that the next line of the same stream goes on where Text ends.
func (l *Line) Partial() bool { return l.Tag[0] == 'P' && (len(l.Tag) == 1 || l.Tag[1] == ':') }

const (
	streamLength = len("stdout")
	// minTime is the length of 2006-01-02T15:04:05Z.
	minTime = 20
)

// Parse splits a line, given without its end; ok is false when it is not a
// line of a container runtime. A line's parts are checked as strictly as the
// record needs it: the time is a valid RFC 3339 one, so that it can be copied
// into JSON and parsed by everyone down the line.
func Parse(line []byte) (l Line, ok bool) {
	end := bytes.IndexByte(line, ' ')
	if end < minTime || !validTime(line[:end]) {
		return Line{}, false
	}
	l.Time = line[:end]
	rest := line[end+1:]
	if len(rest) <= streamLength || rest[streamLength] != ' ' {
		return Line{}, false
	}
	switch string(rest[:streamLength]) {
	case "stdout":
	case "stderr":
		l.Stderr = true
	default:
		return Line{}, false
	}
	rest = rest[streamLength+1:]
	end = bytes.IndexByte(rest, ' ')
	if end < 1 {
		return Line{}, false
	}
	l.Tag, l.Text = rest[:end], rest[end+1:]
	return l, true
}

// validTime checks YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm).
func validTime(t []byte) bool {
	if t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' {
		return false
	}
	year, month, day := two(t[0:])|two(t[2:]), two(t[5:]), two(t[8:])
	hour, minute, second := two(t[11:]), two(t[14:]), two(t[17:])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > 31 ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return false
	}
	rest := t[19:]
	if rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n]-'0' <= 9 {
			n++
		}
		if n < 2 || n > 10 || n == len(rest) {
			return false
		}
		rest = rest[n:]
	}
	if len(rest) == 1 {
		return rest[0] == 'Z'
	}
	if len(rest) != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':' {
		return false
	}
	hour, minute = two(rest[1:]), two(rest[4:])
	return hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59
}

// two is the number that two digits make, -1 if they are not digits.
func two(p []byte) int {
	a, b := p[0]-'0', p[1]-'0'
	if a > 9 || b > 9 {
		return -1
	}
	return int(a)*10 + int(b)
}
