package kafka

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/zstd"
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
