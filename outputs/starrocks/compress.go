package starrocks

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compressionHeader holds StarRocks' names of the codecs (Stream Load, header
// compression: GZIP, LZ4_FRAME, ZSTD).
var compressionHeader = map[string]string{"gzip": "gzip", "lz4": "lz4_frame", "zstd": "zstd"}

// compressor makes one frame of a whole body: StarRocks' decompressor stops
// at the end of the first frame and drops what follows. One goroutine at a
// time uses it.
type compressor struct {
	zstd *zstd.Encoder
	gzip *gzip.Writer
	lz4  *lz4.Writer
}

// newCompressor makes the compressor of a configured name.
func newCompressor(name string) (*compressor, error) {
	switch name {
	case "none":
		return &compressor{}, nil
	case "zstd":
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		return &compressor{zstd: e}, err
	case "gzip":
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		return &compressor{gzip: w}, err
	case "lz4":
		return &compressor{lz4: lz4.NewWriter(nil)}, nil
	}
	return nil, fmt.Errorf("compression %q is not known", name)
}

// frame returns body as one frame that uses dst's memory, or body itself.
func (c *compressor) frame(dst, body []byte) ([]byte, error) {
	switch {
	case c.zstd != nil:
		return c.zstd.EncodeAll(body, dst[:0]), nil
	case c.gzip != nil:
		out := bytes.NewBuffer(dst[:0])
		c.gzip.Reset(out)
		return stream(c.gzip, out, body)
	case c.lz4 != nil:
		out := bytes.NewBuffer(dst[:0])
		c.lz4.Reset(out)
		return stream(c.lz4, out, body)
	}
	return body, nil
}

func stream(w interface {
	Write([]byte) (int, error)
	Close() error
}, out *bytes.Buffer, body []byte) ([]byte, error) {
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("compress load: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress load: %w", err)
	}
	return out.Bytes(), nil
}
