package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// usual is how many times shorter a record batch becomes at least, but for
// unusual records: so much room a compressor's output has before it is known.
// The client keeps it for the next batch.
const usual = 8

// window is how far back zstd looks for repetitions: most of a record is in
// the one before it.
const window = 64 << 10

// zstdCompressor compresses record batches as the client's own compressor
// does, with less memory: that one has an encoder for each processor, with at
// least a megabyte of history each, and asks for an output as long as the
// input.
type zstdCompressor struct {
	encoder *zstd.Encoder
}

func newZstdCompressor() *zstdCompressor {
	// Kafka's batches carry a checksum of their own.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(window),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(fmt.Sprintf("BUG: options of zstd: %v", err))
	}
	return &zstdCompressor{encoder: encoder}
}

// Compress implements kgo.Compressor.
func (c *zstdCompressor) Compress(dst *bytes.Buffer, src []byte, flags ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	for _, f := range flags {
		if f == kgo.CompressDisableZstd { // Kafka before 2.1
			return src, kgo.CodecNone
		}
	}
	dst.Grow(len(src) / usual)
	return c.encoder.EncodeAll(src, dst.AvailableBuffer()), kgo.CodecZstd
}

// lz4Compressor compresses record batches into LZ4 frames as the client's own
// compressor does, but for the checksum of all that goes in: Kafka's batches
// carry one of what comes out. Nor does it copy the batch first.
//
// The frame is that of lz4_Frame_format.md in LZ4's repository, version 1.6.3.
type lz4Compressor struct {
	mu    sync.Mutex // one batch at a time
	block lz4.Compressor
}

// lz4Header begins each frame: the magic number; version 1 and blocks that do not
// need each other, which is all that Kafka's Java client reads, without
// checksums; blocks of at most 1 MiB; the second byte of the xxHash-32 of the two
// bytes before.
var lz4Header = [...]byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x60, 0x51}

const (
	lz4Block = 1 << 20 // as the header says
	lz4Plain = 1 << 31 // marks the size of a block that is not compressed
)

// Compress implements kgo.Compressor.
func (c *lz4Compressor) Compress(dst *bytes.Buffer, src []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dst.Grow(len(src) / usual)
	out := append(dst.AvailableBuffer(), lz4Header[:]...)
	for block := range slices.Chunk(src, lz4Block) {
		out = c.appendBlock(out, block)
	}
	return append(out, 0, 0, 0, 0), kgo.CodecLz4
}

// appendBlock appends a block and its size. The second attempt is for records
// that hardly repeat each other.
func (c *lz4Compressor) appendBlock(out, src []byte) []byte {
	size := len(out)
	for _, room := range [...]int{len(src) / usual, len(src)} {
		out = slices.Grow(out, 4+room)
		n, err := c.block.CompressBlock(src, out[size+4:size+4+room])
		if err == nil && n > 0 {
			out = out[:size+4+n]
			binary.LittleEndian.PutUint32(out[size:], uint32(n))
			return out
		}
	}
	out = binary.LittleEndian.AppendUint32(out, lz4Plain|uint32(len(src)))
	return append(out, src...)
}
