package starrockstest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/klauspost/compress/zstd"
)

// replay applies one record of the edit log; it runs before the listeners.
func (s *Server) replay(record []byte) error {
	if len(record) == 0 {
		return errors.New("empty record")
	}
	if record[0] == recordDefinition {
		var d definitionRecord
		if _, err := decodeRecord(record, &d); err != nil {
			return err
		}
		return s.replayDefinition(d)
	}
	var t txnRecord
	rows, err := decodeRecord(record, &t)
	if err != nil {
		return err
	}
	db := s.databases[t.DB]
	if db == nil {
		return nil // dropped while the transaction ran
	}
	x := s.replayTxn(db, t)
	if record[0] == recordLoad {
		if x.segments, err = decodeSegments(rows, t.Transaction); err != nil {
			return err
		}
		x.table.versions.settle(float64(s.limit(compactionRate)), cmp.Or(t.Finished, t.Begun))
		x.table.versions.count++
	}
	return s.replayState(db, x, t)
}

func (s *Server) replayDefinition(d definitionRecord) error {
	p, err := newParser(d.SQL)
	if err != nil {
		return err
	}
	p.columnsOf = func(_, name string) []column {
		if db := s.databases[d.DB]; db != nil && db.tables[name] != nil {
			return db.tables[name].columns
		}
		return nil
	}
	st, err := parseStatement(p)
	if err != nil {
		return fmt.Errorf("replay %q: %w", d.SQL, err)
	}
	st.db = d.DB
	if st.verb == verbCreateView {
		if err := s.completeView(st); err != nil {
			return fmt.Errorf("replay %q: %w", d.SQL, err)
		}
	}
	_, err = s.applyLocked(st)
	return err
}

// replayTxn finds the transaction of a record, a prepared one, or adds it.
func (s *Server) replayTxn(db *database, t txnRecord) *txn {
	s.nextTxn = max(s.nextTxn, (t.ID/1000+1)*1000) // ids are handed out in blocks of a thousand
	for _, o := range db.labels[t.Label] {
		if o.ID == t.ID {
			return o
		}
	}
	x := &txn{Transaction: t.Transaction, table: db.tables[t.Table]}
	if x.table == nil || t.TableID != 0 && x.table.id != t.TableID {
		x.table = newTable(0, t.DB, t.Table, &definition{}) // gone, and its rows with it
	}
	db.labels[t.Label] = append(db.labels[t.Label], x)
	db.running++
	return x
}

func (s *Server) replayState(db *database, x *txn, t txnRecord) error {
	if t.State == StatePrepared {
		x.State, x.expires = StatePrepared, t.Expires
		return nil
	}
	if t.State == StateVisible {
		x.table.publish(x.segments)
	}
	x.segments = nil
	x.Transaction = t.Transaction
	db.running--
	db.finished = append(db.finished, x)
	return nil
}

// startTimers gives the prepared transactions of the log the rest of their
// time.
func (s *Server) startTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, db := range s.databases {
		for _, list := range db.labels {
			for _, x := range list {
				if x.State == StatePrepared {
					x.timer = time.AfterFunc(time.Until(x.expires), func() { _ = s.abort(x, abortTimeout) }) // it may have ended before
				}
			}
		}
	}
}

// encodeSegments writes the columns one after the other, so that equal values
// stand together for the compressor.
func encodeSegments(segments []*segment) []byte {
	out := binary.AppendUvarint(nil, uint64(len(segments)))
	for _, s := range segments {
		out = binary.AppendUvarint(out, uint64(s.rows))
		out = binary.AppendUvarint(out, uint64(len(s.cols)))
		for id, c := range s.cols {
			out = binary.AppendUvarint(out, uint64(id))
			out = append(out, byte(c.kind))
			out = appendNumbers(out, c.nulls)
			out = appendNumbers(out, c.nums)
			out = appendNumbers(out, c.codes)
			out = appendNumbers(out, c.ends)
			out = appendText(out, c.data)
			out = binary.AppendUvarint(out, uint64(len(c.dict)))
			for _, text := range c.dict {
				out = appendText(out, text)
			}
		}
	}
	return out
}

func appendText(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

// fixed is what a column's arrays are made of.
type fixed interface{ uint64 | int64 | uint32 }

func appendNumbers[T fixed](out []byte, list []T) []byte {
	out = binary.AppendUvarint(out, uint64(len(list)))
	for _, n := range list {
		if unsafe.Sizeof(n) == 4 {
			out = binary.LittleEndian.AppendUint32(out, uint32(n))
		} else {
			out = binary.LittleEndian.AppendUint64(out, uint64(n))
		}
	}
	return out
}

var errBadRows = errors.New("decode rows: the record is damaged")

// rowDecoder reads what encodeSegments wrote; the first trouble sticks.
type rowDecoder struct {
	in  []byte
	err error
}

func (d *rowDecoder) uvarint() int {
	n, used := binary.Uvarint(d.in)
	if used <= 0 || n > 1<<40 {
		d.err = errBadRows
		d.in = nil
		return 0
	}
	d.in = d.in[used:]
	return int(n)
}

func (d *rowDecoder) bytes(n int) []byte {
	if n > len(d.in) {
		d.err, d.in = errBadRows, nil
		return nil
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b
}

func (d *rowDecoder) text() string { return string(d.bytes(d.uvarint())) }

func numbers[T fixed](d *rowDecoder) []T {
	n := d.uvarint()
	size := int(unsafe.Sizeof(T(0)))
	raw := d.bytes(n * size)
	if len(raw) == 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		if size == 4 {
			list[i] = T(binary.LittleEndian.Uint32(raw[i*4:]))
		} else {
			list[i] = T(binary.LittleEndian.Uint64(raw[i*8:]))
		}
	}
	return list
}

func decodeSegments(packed []byte, t Transaction) ([]*segment, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("decode rows: %w", err)
	}
	defer z.Close()
	raw, err := z.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("decode rows: %w", err)
	}
	d := &rowDecoder{in: raw}
	var list []*segment
	for range d.uvarint() {
		s := &segment{rows: d.uvarint(), txn: t.ID, label: t.Label, cols: map[int]*colData{}}
		for range d.uvarint() {
			id := d.uvarint()
			c := &colData{}
			if k := d.bytes(1); k != nil {
				c.kind = kind(k[0])
			}
			c.nulls, c.nums, c.codes, c.ends = numbers[uint64](d), numbers[int64](d), numbers[uint32](d), numbers[uint32](d)
			c.data = d.text()
			for range d.uvarint() {
				c.dict = append(c.dict, d.text())
			}
			s.cols[id] = c
			if d.err != nil {
				return nil, d.err
			}
		}
		list = append(list, s)
	}
	return list, d.err
}
