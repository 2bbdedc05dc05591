package tail

import "github.com/cespare/xxhash/v2"

// Position says how much of a container's log counts as read: everything
// before Offset of File, and all files before File, except the pieces of a
// line that is not complete yet. It can be written down and found again after
// a restart, whatever the files are called by then.
type Position struct {
	File   FileID `json:"file"`
	Offset int64  `json:"offset"`
	// Stdout and Stderr are where the first piece of an unfinished line of
	// the stream begins; nil when none is open.
	Stdout *Mark `json:"stdout,omitempty"`
	Stderr *Mark `json:"stderr,omitempty"`

	// Discard says for which stream the line that goes on behind the position was
	// sent as far as it went: its other pieces are passed over.
	Discard [2]bool `json:"discard,omitzero"`

	// Seq is File's place in the container's chain, rising from file to file.
	Seq int `json:"seq"`
	// Boot tells the run of the node's kernel in which the position was true:
	// an unclean end of one may take bytes back that were read.
	Boot string `json:"boot,omitempty"`
	// Passed are files before File that were still there. Nobody changes them.
	Passed []Passed `json:"passed,omitempty"`
	// Left says that the container was not selected any more: what it wrote
	// from then on is not read, should it be selected again.
	Left bool `json:"left,omitempty"`

	records int64 // emitted up to here, in this process
}

// marks are the beginnings of unfinished lines, nil where none is.
func (p *Position) marks() [2]*Mark { return [2]*Mark{p.Stdout, p.Stderr} }

// clone is a position that shares nothing with p but Passed.
func (p Position) clone() Position {
	for _, m := range []**Mark{&p.Stdout, &p.Stderr} {
		if *m != nil {
			mark := **m
			*m = &mark
		}
	}
	return p
}

// Mark is the beginning of a line in a file.
type Mark struct {
	File   FileID `json:"file"`
	Offset int64  `json:"offset"`
	Seq    int    `json:"seq"`
}

// begin is where reading has to start to continue from the position: at the
// earliest unfinished line, or at the position itself.
func (p *Position) begin() Mark {
	first := Mark{File: p.File, Offset: p.Offset, Seq: p.Seq}
	for _, m := range p.marks() {
		if m != nil && (m.Seq < first.Seq || m.Seq == first.Seq && m.Offset < first.Offset) {
			first = *m
		}
	}
	return first
}

// FileID tells a file from all others a container has had: by device and
// inode, which the file system gives to the next file as soon as this one is
// deleted, and therefore by what it begins with, too. A log file begins with
// the time of its first line in nanoseconds.
type FileID struct {
	// Restart is the container's restart count, from the file's name.
	Restart int `json:"restart"`
	// Rotated is the time stamp in the file's name, as far as it was rotated
	// when it was last looked at.
	Rotated string `json:"rotated,omitempty"`
	// Previous is the stamp of the youngest rotated file there was before it.
	Previous string `json:"previous,omitempty"`
	Device   uint64 `json:"device"`
	Inode    uint64 `json:"inode"`
	Print    Print  `json:"print"`
}

// printLength is the length of a complete fingerprint: room for the time stamp
// and the beginning of the text of a first line.
const printLength = 512

// Print is a fingerprint of the first Length bytes of a file. It grows with
// the file, so that a file of one short line has one already.
type Print struct {
	Length int    `json:"length"`
	Sum    uint64 `json:"sum,string"`
}

func printOf(head []byte) Print {
	return Print{Length: len(head), Sum: xxhash.Sum64(head)}
}

// grow is the print of a longer head, or p where head is of other content.
func (p Print) grow(head []byte) Print {
	if p.Length < 0 || len(head) < p.Length || p.Length > 0 && printOf(head[:p.Length]) != p {
		return p
	}
	return printOf(head)
}

func (p Print) complete() bool { return p.Length == printLength }

// begins says whether the content of f begins with what the print was taken
// of. An empty print says nothing about any file.
func (p Print) begins(f *file) bool {
	if p.Length == 0 || p.Length > printLength {
		return false
	}
	var head [printLength]byte
	n, err := f.head(head[:p.Length])
	if err != nil {
		return false
	}
	return n == p.Length && printOf(head[:n]) == p
}
