package starrockstest

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var zstdDecoder, _ = zstd.NewReader(nil) // without a stream it may be shared, and there is no error

var errShortFrame = errors.New("decompress: the data ends in the middle of a frame")

// decompress decodes the first frame of a body and drops what follows, as the
// backend's decompressor does: it stops at the first end of stream.
func decompress(codec string, body []byte) ([]byte, error) {
	switch strings.ToLower(codec) {
	case "":
		return body, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("decompress gzip: %w", err)
		}
		z.Multistream(false)
		return readAll(z, len(body))
	case "bzip2":
		// bzip2 has no frame length: the next stream starts with the magic
		// of a header and of a first block.
		first := body
		if next := nextBzip2(body); next > 0 {
			first = body[:next]
		}
		return readAll(bzip2.NewReader(bytes.NewReader(first)), len(body))
	case "lz4_frame", "lz4":
		n, err := lz4FrameLen(body)
		if err != nil {
			return nil, err
		}
		return readAll(lz4.NewReader(bytes.NewReader(body[:n])), len(body))
	case "zstd":
		n, err := zstdFrameLen(body)
		if err != nil {
			return nil, err
		}
		text, err := zstdDecoder.DecodeAll(body[:n], make([]byte, 0, 8*len(body)))
		if err != nil {
			return nil, fmt.Errorf("decompress zstd: %w", err)
		}
		return text, nil
	}
	return nil, fmt.Errorf("Unsupported compression type: %s", codec)
}

func knownCodec(codec string) bool {
	switch strings.ToLower(codec) {
	case "", "gzip", "bzip2", "lz4_frame", "lz4", "zstd":
		return true
	}
	return false
}

func readAll(r io.Reader, compressed int) ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, 8*compressed+512))
	if _, err := out.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return out.Bytes(), nil
}

func nextBzip2(body []byte) int {
	for at := 4; at+10 <= len(body); {
		n := bytes.Index(body[at:], []byte("BZh"))
		if n < 0 || at+n+10 > len(body) {
			return 0
		}
		if bytes.Equal(body[at+n+4:at+n+10], []byte("1AY&SY")) {
			return at + n
		}
		at += n + 3
	}
	return 0
}

// zstdFrameLen walks the blocks of the first frame (RFC 8878, section 3.1.1).
func zstdFrameLen(body []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(body); err != nil {
		return 0, fmt.Errorf("decompress zstd: %w", err)
	}
	if h.Skippable {
		return 0, errors.New("decompress zstd: the first frame is skippable")
	}
	at := h.HeaderSize
	for {
		if at+3 > len(body) {
			return 0, errShortFrame
		}
		head := int(body[at]) | int(body[at+1])<<8 | int(body[at+2])<<16
		at += 3
		if head>>1&3 == 1 { // run length: one byte stands for all
			at++
		} else {
			at += head >> 3
		}
		if head&1 == 1 {
			break
		}
	}
	if h.HasCheckSum {
		at += 4
	}
	if at > len(body) {
		return 0, errShortFrame
	}
	return at, nil
}

// lz4FrameLen walks the blocks of the first frame (LZ4 frame format 1.6).
func lz4FrameLen(body []byte) (int, error) {
	if len(body) < 7 || binary.LittleEndian.Uint32(body) != 0x184d2204 {
		return 0, errors.New("decompress lz4: not an LZ4 frame")
	}
	flags, at := body[4], 7
	if flags&0x08 != 0 {
		at += 8
	}
	if flags&0x01 != 0 {
		at += 4
	}
	for {
		if at+4 > len(body) {
			return 0, errShortFrame
		}
		size := binary.LittleEndian.Uint32(body[at:])
		at += 4
		if size == 0 {
			break
		}
		at += int(size &^ (1 << 31))
		if flags&0x10 != 0 {
			at += 4
		}
	}
	if flags&0x04 != 0 {
		at += 4
	}
	if at > len(body) {
		return 0, errShortFrame
	}
	return at, nil
}
