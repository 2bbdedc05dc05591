package starrockstest

import (
	"bytes"
	"sync"
)

// discard counts the rows of a body without reading them: lines that are not
// blank, or the elements of an array. It rests on the loader writing one object
// a line; it is for measuring loaders, not for judging them.
func discard(plan *loadPlan, result *loadResult, body []byte) error {
	text, err := decompress(plan.codec, body)
	if err != nil {
		return err
	}
	if plan.outer {
		result.Total, err = countElements(text)
	} else {
		result.Total = countLines(text)
	}
	result.Loaded = result.Total
	return err
}

func countLines(text []byte) (n int64) {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if len(bytes.TrimSpace(line)) > 0 {
			n++
		}
		text = rest
	}
	return n
}

func countElements(text []byte) (n int64, err error) {
	r := &jsonReader{body: text}
	if err := r.expect('['); err != nil {
		return 0, scanError(err)
	}
	for r.peek() != ']' {
		if n > 0 {
			if err := r.expect(','); err != nil {
				return 0, scanError(err)
			}
		}
		if err := r.skip(); err != nil {
			return 0, scanError(err)
		}
		n++
	}
	return n, nil
}

// bodyPool keeps the buffers of bodies between loads.
type bodyPool struct{ pool sync.Pool }

func (p *bodyPool) get(length int64) *bytes.Buffer {
	b, ok := p.pool.Get().(*bytes.Buffer)
	if !ok {
		b = &bytes.Buffer{}
	}
	b.Reset()
	if length > 0 && length < 1<<32 {
		b.Grow(int(length) + bytes.MinRead)
	}
	return b
}

func (p *bodyPool) put(b *bytes.Buffer) { p.pool.Put(b) }
