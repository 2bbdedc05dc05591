package kubelet

import "time"

// pieceSize is containerd's max_container_log_line_size: a longer line is
// written in pieces of that many bytes, wherever they end.
const pieceSize = 16 << 10

// pieceTime is by how much each piece is later than the one before.
const pieceTime = 3011 * time.Nanosecond

// appendPiece writes one line of the CRI log format: time, stream, tag, text.
// The time is RFC 3339 with nanoseconds, of which trailing zeros are cut.
//
//nolint:revive // the parts of a line
func appendPiece(buf []byte, at time.Time, stream string, tag byte, text string) []byte {
	buf = at.AppendFormat(buf, time.RFC3339Nano)
	buf = append(buf, ' ')
	buf = append(buf, stream...)
	buf = append(buf, ' ', tag, ' ')
	buf = append(buf, text...)
	return append(buf, '\n')
}

// appendLine writes a line in as many pieces as it needs, each with a later
// time: P for those that go on, F for the last.
func appendLine(buf []byte, l Line) []byte {
	for len(l.Text) > pieceSize {
		buf = appendPiece(buf, l.At, l.Stream, 'P', l.Text[:pieceSize])
		l.Text = l.Text[pieceSize:]
		l.At = l.At.Add(pieceTime)
	}
	return appendPiece(buf, l.At, l.Stream, 'F', l.Text)
}

// appendMixed writes a long line with another, of the other stream, after its
// first piece.
func appendMixed(buf []byte, long, other Line) []byte {
	other.At = other.At.In(long.At.Location())
	buf = appendPiece(buf, long.At, long.Stream, 'P', long.Text[:pieceSize])
	buf = appendLine(buf, other)
	return appendLine(buf, Line{other.At.Add(2003 * time.Nanosecond), long.Stream, long.Text[pieceSize:]})
}
