package cri

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

// keepText is how much memory a joiner keeps for its next line.
const keepText = 64 << 10

// Take ends the line and returns the time of its first piece, its text, and
// whether text was forgotten. The bytes are good until the next Add.
func (j *Joiner) Take() (time, text []byte, cut bool) {
	j.open = false
	time, text = j.time, j.text
	if cap(j.text) > keepText {
		j.text = nil
	}
	return time, text, j.cut
}

// Drop forgets what is waiting, and lets go of memory that only a giant line
// needed.
func (j *Joiner) Drop() {
	*j = Joiner{}
}
