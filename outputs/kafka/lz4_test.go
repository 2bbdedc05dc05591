package kafka

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// FuzzLZ4Block has a decoder that is not ours read blocks of pieces that come
// again at any distance, with noise between them.
func FuzzLZ4Block(f *testing.F) {
	batch, _ := recordBatch(1)
	f.Add([]byte{}, uint16(0), uint16(0))
	f.Add([]byte("abcdefg"), uint16(0), uint16(3))
	f.Add([]byte("a"), uint16(0), uint16(65_535))
	f.Add(batch[:1300], uint16(64_236), uint16(3)) // again after 64 KiB exactly
	f.Add(batch[:1300], uint16(64_235), uint16(3))
	f.Add(batch[:40_000], uint16(7), uint16(4))
	f.Add(batch[:300], uint16(14), uint16(90))
	c := &lz4Compressor{}
	f.Fuzz(func(t *testing.T, piece []byte, noise, times uint16) {
		random := rand.NewChaCha8([32]byte{1})
		between := make([]byte, noise)
		var src []byte
		for range times {
			_, _ = random.Read(between)
			src = append(append(src, piece...), between...)
			if len(src) > 300_000 {
				break
			}
		}
		block := c.appendBlock(nil, src)
		back := make([]byte, len(src))
		n, err := lz4.UncompressBlock(block, back)
		if len(src) > 0 && (err != nil || !bytes.Equal(back[:n], src)) {
			t.Errorf("%d bytes read back as %d: %v", len(src), n, err)
		}
		if begin, end := lastMatch(block); begin > len(src)-12 || end > len(src)-5 {
			t.Errorf("%d bytes: the last match is from %d to %d; decoders may want 12 and 5 bytes behind those", len(src), begin, end)
		}
		if most := len(src) + len(src)/255 + 16; len(block) > most {
			t.Errorf("%d bytes became %d, want at most %d", len(src), len(block), most)
		}
	})
}

// lastMatch returns where the last match of a block is in what goes in, as
// lz4_Block_format.md restricts it; without one both are far below zero.
func lastMatch(block []byte) (begin, end int) {
	length := func(n int) int {
		for more := n == 15; more; block = block[1:] {
			n += int(block[0])
			more = block[0] == 255
		}
		return n
	}
	begin, end = -len(block)-12, -len(block)-12
	for at := 0; ; at = end {
		token := int(block[0])
		block = block[1:]
		literals := length(token >> 4)
		if block = block[literals:]; len(block) == 0 {
			return begin, end
		}
		begin = at + literals
		block = block[2:]
		end = begin + 4 + length(token&15)
	}
}

// TestLZ4FindsRecordsAfterNoise makes sure that a stretch that cannot be
// compressed costs what it is long, and nothing behind it.
func TestLZ4FindsRecordsAfterNoise(t *testing.T) {
	batch, _ := recordBatch(1)
	noise := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	records := batch[:600<<10]
	c := &lz4Compressor{}
	alone := len(c.appendBlock(nil, records))
	behind := len(c.appendBlock(nil, append(bytes.Clone(noise), records...))) - len(noise)
	if most := alone + alone/20; behind > most {
		t.Errorf("records behind noise take %d bytes, want at most %d: alone they take %d", behind, most, alone)
	}
}
