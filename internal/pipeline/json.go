package pipeline

import (
	"unicode/utf8"

	"millrace/internal/jsonscan"
)

// truncatedField marks a record whose message is not whole.
const truncatedField = `,"truncated":true`

// AppendJSON appends the record as the JSON object that goes to Kafka: the
// keys, their order and their omissions are those of the Logging operator's
// stock pipeline (Fluent Bit's cri parser and kubernetes filter, Fluentd's
// kafka2 with format json), with no space and no end of line. Added fields and
// the truncation mark follow the stock keys.
//
// An object longer than limit bytes is made to fit by cutting the message;
// fits is false, and dst is returned as it came, when even an empty message
// does not help. marks says what was changed on the way.
func (r *Record) AppendJSON(dst []byte, limit int) (out []byte, marks Marks, fits bool) {
	start := len(dst)
	out, message := r.appendJSON(dst, -1, &marks)
	over := len(out) - start - limit
	if over <= 0 {
		return out, marks, true
	}
	marks = Marks{Cut: true}
	if !r.Cut {
		over += len(truncatedField)
	}
	room := message - over
	if room < 0 {
		return dst, marks, false
	}
	was := r.Cut
	r.Cut = true
	out, _ = r.appendJSON(out[:start], room, &marks)
	r.Cut = was
	return out, marks, true
}

// Marks says how an encoded record differs from the line as it was written.
type Marks struct {
	Replaced bool // invalid UTF-8 became U+FFFD
	Cut      bool // only the beginning of the message fitted the limit
}

// appendJSON encodes the record with at most room bytes of encoded message,
// or all of it when room is negative. message is the encoded length of it.
func (r *Record) appendJSON(dst []byte, room int, marks *Marks) (out []byte, message int) {
	dst = append(dst, `{"time":"`...)
	dst = append(dst, r.Time...)
	if len(r.Origin.Stream) > 0 {
		dst = append(dst, `","stream":"`...)
		dst = append(dst, r.Origin.Stream...)
	}
	if r.Tag != nil {
		dst = append(dst, `","logtag":"`...)
		dst, marks.Replaced = AppendString(dst, r.Tag, -1)
	}
	dst = append(dst, '"')
	// Fluent Bit's parser skips empty values: an empty line has no message.
	if len(r.Message) > 0 {
		dst = append(dst, `,"message":"`...)
		start := len(dst)
		var replaced bool
		dst, replaced = AppendString(dst, r.Message, room)
		marks.Replaced = marks.Replaced || replaced
		message = len(dst) - start
		dst = append(dst, '"')
	}
	dst = append(dst, r.Origin.Tail...)
	for i := range r.Added {
		dst = append(dst, ',', '"')
		dst = append(dst, r.Added[i].Name...)
		dst = append(dst, '"', ':')
		dst = append(dst, r.Added[i].JSON...)
	}
	if r.Cut {
		dst = append(dst, truncatedField...)
	}
	return append(dst, '}'), message
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as the inside of a JSON string, as Oj's compat mode
// writes it: quotation mark, backslash and control characters are escaped,
// the slash and everything beyond ASCII are not. Each byte that is not part
// of valid UTF-8 becomes U+FFFD, and replaced says so. With room >= 0 it stops
// before the character that would make it append more than room bytes.
func AppendString(dst, s []byte, room int) (out []byte, replaced bool) {
	limit := len(dst) + room
	if room < 0 {
		limit = int(^uint(0) >> 1)
	}
	for len(s) > 0 {
		n := jsonscan.PlainLength(s)
		n = min(n, limit-len(dst))
		dst = append(dst, s[:n]...)
		s = s[n:]
		if len(s) == 0 || len(dst) >= limit {
			break
		}
		mark, bad := len(dst), false
		if c := s[0]; c < utf8.RuneSelf {
			dst = appendEscape(dst, c)
			s = s[1:]
		} else {
			char, size := utf8.DecodeRune(s)
			if char == utf8.RuneError && size == 1 {
				dst = append(dst, "\uFFFD"...)
				bad = true
			} else {
				dst = append(dst, s[:size]...)
			}
			s = s[size:]
		}
		if len(dst) > limit {
			return dst[:mark], replaced
		}
		replaced = replaced || bad
	}
	return dst, replaced
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
