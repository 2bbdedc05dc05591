package starrockstest

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// journal is the edit log: what a restart after kill -9 must know, written and
// synced before anybody is told. A record is its length, its CRC-32C and its
// bytes; the first that is torn ends the log and is cut off. A nil file is a
// server in memory.
type journal struct {
	file   *os.File
	failed error // of the first append that did: what follows a torn record would be lost
}

const (
	recordDefinition = 'D'
	recordOutcome    = 'T' // a transaction that ended without bringing rows
	recordLoad       = 'L' // a transaction with its rows
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournal replays the log in dir and opens it for appending. A directory
// that another server has open is an error.
func openJournal(dir string, replay func(record []byte) error) (*journal, error) {
	if dir == "" {
		return &journal{}, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create %s: %w", dir, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "edit.log"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open edit log: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w: another server has it open", file.Name(), err)
	}
	j := &journal{file: file}
	if err := j.load(dir, replay); err != nil {
		file.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) load(dir string, replay func([]byte) error) error {
	end, err := replayLog(bufio.NewReaderSize(j.file, 1<<20), replay)
	if err != nil {
		return fmt.Errorf("replay %s at byte %d: %w", j.file.Name(), end, err)
	}
	if err := j.file.Truncate(end); err != nil {
		return fmt.Errorf("cut torn end of %s: %w", j.file.Name(), err)
	}
	if _, err := j.file.Seek(end, io.SeekStart); err != nil {
		return fmt.Errorf("seek in %s: %w", j.file.Name(), err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer d.Close()
	return errors.Join(j.file.Sync(), d.Sync())
}

// replayLog hands out the whole records and returns where they end.
func replayLog(r io.Reader, replay func([]byte) error) (end int64, err error) {
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return end, nil
		}
		size := binary.LittleEndian.Uint32(head[:])
		record, err := io.ReadAll(io.LimitReader(r, int64(size)))
		if err != nil || len(record) < int(size) || crc32.Checksum(record, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return end, nil
		}
		if err := replay(record); err != nil {
			return end, err
		}
		end += int64(len(head)) + int64(size)
	}
}

// append writes and syncs one record. Callers hold the server's lock, which
// gives the records their order.
func (j *journal) append(record []byte) error {
	if j.file == nil || j.failed != nil {
		return j.failed
	}
	framed := make([]byte, 8, 8+len(record))
	binary.LittleEndian.PutUint32(framed, uint32(len(record)))
	binary.LittleEndian.PutUint32(framed[4:], crc32.Checksum(record, castagnoli))
	if _, j.failed = j.file.Write(append(framed, record...)); j.failed == nil {
		j.failed = j.file.Sync()
	}
	return j.failed
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	return j.file.Close()
}

// definitionRecord is a DDL statement as it ran.
type definitionRecord struct{ DB, SQL string }

// txnRecord is a transaction as it ended or was prepared. TableID keeps rows
// out of a newer table of the same name.
type txnRecord struct {
	Transaction
	TableID int64
	Expires time.Time // of a prepared one
}

func encodeRecord(kind byte, meta any, rows []byte) []byte {
	text, err := json.Marshal(meta)
	if err != nil {
		panic("BUG: encode record: " + err.Error())
	}
	out := binary.AppendUvarint([]byte{kind}, uint64(len(text)))
	return append(append(out, text...), rows...)
}

func decodeRecord(record []byte, meta any) (rows []byte, err error) {
	n, used := binary.Uvarint(record[1:])
	if used <= 0 || n > uint64(len(record)-1-used) {
		return nil, errors.New("decode record: bad length")
	}
	body := record[1+used:]
	return body[n:], json.Unmarshal(body[:n], meta)
}

func encodeDefinition(db, text string) []byte {
	return encodeRecord(recordDefinition, definitionRecord{db, text}, nil)
}

func encodeOutcome(t *Transaction) []byte {
	return encodeRecord(recordOutcome, txnRecord{Transaction: *t}, nil)
}

var rowEncoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))

// encodeLoad makes the record of a transaction with its rows; it may be called
// without the server's lock. A server in memory needs none.
func (s *Server) encodeLoad(x *txn, segments []*segment, t Transaction) []byte {
	if s.journal.file == nil {
		return nil
	}
	return encodeRecord(recordLoad, txnRecord{t, x.table.id, x.expires}, rowEncoder.EncodeAll(encodeSegments(segments), nil))
}
