package kafka

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// FuzzCompress has other people's decoders read what our compressors wrote:
// the client's, which takes what Kafka's consumers take, and for LZ4 a reader
// of frames.
func FuzzCompress(f *testing.F) {
	batch, _ := recordBatch(1)
	f.Add([]byte{}, uint16(1))
	f.Add([]byte("a"), uint16(1))
	f.Add([]byte("a line, a line, a line, a line"), uint16(3))
	f.Add(batch[:70_000], uint16(1))
	f.Add(batch[:4_000], uint16(400)) // more than a block
	noise := make([]byte, 5_000)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(noise)
	f.Add(noise, uint16(1))
	f.Add(noise, uint16(250)) // noise that comes again beyond the window, and more than a block of it
	compressors := []kgo.Compressor{newZstdCompressor(), &lz4Compressor{}}
	decompressor := kgo.DefaultDecompressor()
	f.Fuzz(func(t *testing.T, piece []byte, times uint16) {
		src := bytes.Repeat(piece, min(int(times), (1<<20+1<<16)/max(1, len(piece))))
		for _, c := range compressors {
			var dst bytes.Buffer
			out, codec := c.Compress(&dst, src)
			back, err := decompressor.Decompress(bytes.Clone(out), codec)
			if err != nil || !bytes.Equal(back, src) {
				t.Errorf("%T of %d bytes: reads back as %d bytes: %v", c, len(src), len(back), err)
			}
			if codec != kgo.CodecLz4 {
				continue
			}
			if back, err = io.ReadAll(lz4.NewReader(bytes.NewReader(out))); err != nil || !bytes.Equal(back, src) {
				t.Errorf("frame of %d bytes: reads back as %d bytes: %v", len(src), len(back), err)
			}
		}
	})
}
