package kafka

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// lz4Compressor compresses record batches into LZ4 frames. Unlike the client's
// own compressor it writes no checksum of what goes in, as Kafka's batches carry
// one of what comes out, and does not copy the batch. Its table fits the nearest
// cache of a processor, and it looks for what records have in common: few
// matches, but long ones.
//
// The frame is that of lz4_Frame_format.md in LZ4's repository, version 1.6.3,
// and the blocks are those of its lz4_Block_format.md.
type lz4Compressor struct {
	mu sync.Mutex // one batch at a time

	// seen is where the seven bytes of a hash were last, less all multiples
	// of 64 KiB: no offset is larger.
	seen [1 << lz4HashBits]uint16
}

// lz4Header begins each frame: the magic number; version 1 and blocks that do not
// need each other, which is all that Kafka's Java client reads, without
// checksums; blocks of at most 1 MiB; the second byte of the xxHash-32 of the two
// bytes before.
var lz4Header = [...]byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x60, 0x51}

const (
	lz4Block = 1 << 20 // as the header says
	lz4Plain = 1 << 31 // marks the size of a block that is not compressed

	lz4Shortest = 4  // bytes that a match has at least
	lz4Long     = 15 // from this on the rest of a length follows the token
	lz4Last     = 5  // bytes of a block that are literals whatever they are
	// lz4Margin is how far before a block's end the search ends: beyond the
	// twelve bytes of the format, so that what is read and copied in larger
	// pieces stays inside.
	lz4Margin   = 32
	lz4HashBits = 13
)

// Compress implements kgo.Compressor.
func (c *lz4Compressor) Compress(dst *bytes.Buffer, src []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dst.Grow(len(src) / usual)
	out := append(dst.AvailableBuffer(), lz4Header[:]...)
	for block := range slices.Chunk(src, lz4Block) {
		size := len(out)
		out = c.appendBlock(append(out, 0, 0, 0, 0), block)
		n := len(out) - size - 4
		if n >= len(block) {
			out, n = append(out[:size+4], block...), lz4Plain|len(block)
		}
		binary.LittleEndian.PutUint32(out[size:], uint32(n))
	}
	return append(out, 0, 0, 0, 0), kgo.CodecLz4
}

// appendBlock appends src as a compressed block.
func (c *lz4Compressor) appendBlock(dst, src []byte) []byte {
	clear(c.seen[:])
	literals := 0 // where those begin that are not written yet
	for {
		to, from := c.search(src, literals)
		if to < 0 {
			return appendLiterals(dst, src[literals:], 0)
		}
		end := to + lz4Shortest
		end += common(src[:len(src)-lz4Last], from+lz4Shortest, end)
		for to > literals && from > 0 && src[to-1] == src[from-1] {
			to--
			from--
		}
		dst = appendSequence(dst, src[literals:to], end-to, to-from)
		c.note(src, to, end)
		literals = end
	}
}

// search returns the next place from at on, with the earlier one that has the
// same four bytes; to is negative when there is none. The longer it searches in
// vain, the more it skips, but never so much that it would miss a record.
func (c *lz4Compressor) search(src []byte, at int) (to, from int) {
	for tries := 0; at < len(src)-lz4Margin; tries++ {
		word := binary.LittleEndian.Uint64(src[at:])
		first, second := lz4Hash(word), lz4Hash(word>>8)
		from = at - int(uint16(at)-c.seen[first])
		next := at + 1 - int(uint16(at+1)-c.seen[second])
		c.seen[first], c.seen[second] = uint16(at), uint16(at+1)
		if binary.LittleEndian.Uint32(src[from:]) == uint32(word) && from < at {
			return at, from
		}
		if binary.LittleEndian.Uint32(src[next:]) == uint32(word>>8) && next <= at {
			return at + 1, next
		}
		at += 3 + min(tries>>5, 12)
	}
	return -1, 0
}

// note remembers the end of a match and some places in it. Their distances from
// the end are always the same, because long matches end where records do, and
// begin anywhere: so what all records of a container share is found in a recent
// one, also when the one that it was first noted for is out of reach.
func (c *lz4Compressor) note(src []byte, begin, end int) {
	if end >= len(src)-lz4Margin {
		return
	}
	const apart = 256
	for at := end - 2; at > begin; at -= apart {
		c.seen[lz4Hash(binary.LittleEndian.Uint64(src[at:]))] = uint16(at)
	}
}

// lz4Hash is a hash of a little-endian word's first seven bytes.
func lz4Hash(word uint64) uint64 {
	const prime = 58295818150454627
	return word << 8 * prime >> (64 - lz4HashBits)
}

// common returns how many bytes are the same from a and from b on, a before b.
func common(src []byte, a, b int) int {
	begin := b
	for b+16 <= len(src) {
		low := binary.LittleEndian.Uint64(src[a:]) ^ binary.LittleEndian.Uint64(src[b:])
		high := binary.LittleEndian.Uint64(src[a+8:]) ^ binary.LittleEndian.Uint64(src[b+8:])
		if low|high != 0 {
			if low == 0 {
				low = high
				b += 8
			}
			return b - begin + bits.TrailingZeros64(low)/8
		}
		a += 16
		b += 16
		if b-begin != 64 {
			continue
		}
		for b+128 <= len(src) && bytes.Equal(src[a:a+128], src[b:b+128]) {
			a += 128
			b += 128
		}
	}
	for b < len(src) && src[a] == src[b] {
		a++
		b++
	}
	return b - begin
}

// appendSequence appends literals and the match of length bytes behind them,
// which are also offset bytes further to the left. Behind the literals there are
// lz4Margin bytes of the block at least.
func appendSequence(dst, literals []byte, length, offset int) []byte {
	n := len(literals)
	dst = slices.Grow(dst, n+n/255+length/255+lz4Margin)
	length -= lz4Shortest
	at := len(dst)
	dst = dst[:cap(dst)]
	if n < lz4Long {
		dst[at] = byte(n<<4 | min(length, lz4Long))
		copy(dst[at+1:at+17], literals[:16]) // what is too much is written over
		at += 1 + n
	} else {
		at = len(appendLiterals(dst[:at], literals, min(length, lz4Long)))
	}
	dst[at], dst[at+1] = byte(offset), byte(offset>>8)
	at += 2
	if length < lz4Long {
		return dst[:at]
	}
	return appendLength(dst[:at], length-lz4Long)
}

// appendLiterals appends literals behind their token, whose low half is given.
func appendLiterals(dst, literals []byte, low int) []byte {
	dst = append(dst, byte(min(len(literals), lz4Long)<<4|low))
	if len(literals) >= lz4Long {
		dst = appendLength(dst, len(literals)-lz4Long)
	}
	return append(dst, literals...)
}

// appendLength appends what of a length is beyond its half of the token.
func appendLength(dst []byte, n int) []byte {
	for ; n >= 255; n -= 255 {
		dst = append(dst, 255)
	}
	return append(dst, byte(n))
}
