package cri

import "sync"

// Joiner puts the pieces of one stream's long lines together. It belongs to a
// container and stream, not to a file, because a line may begin before a
// rotation and end after it. The zero value is ready; not for concurrent use.
type Joiner struct {
	time []byte // of the first piece
	text []byte
	cut  bool
	open bool
}

// Open says whether pieces are waiting for the rest of their line.
func (j *Joiner) Open() bool { return j.open }

// Add takes a piece. At most limit bytes of a line are kept; what is beyond is
// forgotten. The line's bytes are copied.
func (j *Joiner) Add(piece *Line, limit int) {
	if !j.open {
		j.open, j.cut = true, false
		j.time = append(j.time[:0], piece.Time...)
		if p, ok := texts.Get().(*[]byte); ok {
			j.text = *p
		}
		j.text = j.text[:0]
	}
	room := limit - len(j.text)
	if len(piece.Text) > room {
		j.cut = true
		j.text = append(j.text, piece.Text[:room]...)
		return
	}
	j.text = append(j.text, piece.Text...)
}

// texts are the buffers of lines that are done. They are shared: few containers
// have a line in pieces at the same time.
var texts sync.Pool

// keepText is how much memory is kept for another line.
const keepText = 64 << 10

// Take ends the line and returns the time of its first piece, its text, and
// whether text was forgotten. The bytes are good until the next Add or Drop.
func (j *Joiner) Take() (time, text []byte, cut bool) {
	j.open = false
	return j.time, j.text, j.cut
}

// Drop forgets what is waiting or was taken, and lets go of the memory.
func (j *Joiner) Drop() {
	if text := j.text; cap(text) > 0 && cap(text) <= keepText {
		texts.Put(&text)
	}
	*j = Joiner{}
}
