package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// formatVersion is that of the values on the positions topic. A later millrace
// reads them; this one refuses those of a later one.
const formatVersion = 1

// The keys on the positions topic are Life.Key and one of these; no container
// has a name with a zero byte in it.
const (
	ownerSuffix    = "\x00owner"
	sliceSuffix    = "\x00slice"
	positionSuffix = "/" // and the container
)

// ownerRecord says who took the positions over last.
type ownerRecord struct {
	Version  int       `json:"v"`
	Disk     string    `json:"disk"`
	Node     string    `json:"node"`
	Pod      string    `json:"pod"`
	Instance string    `json:"instance"` // random, of the process
	Time     time.Time `json:"time"`
}

// sliceRecord is the last that was committed: it tells whether a transaction
// counts whose outcome Kafka did not say. It is there from the first
// transaction on, so that lost positions are not taken for a first start.
type sliceRecord struct {
	Version  int    `json:"v"`
	Disk     string `json:"disk"`
	Instance string `json:"instance"`
	Slice    uint64 `json:"slice"`
}

// positionRecord is a container's position.
type positionRecord struct {
	Version int             `json:"v"`
	Disk    string          `json:"disk"`
	Pos     json.RawMessage `json:"pos"`
}

// state is what the positions topic holds for one key, as far as it was read.
type state struct {
	owner     *ownerRecord
	slice     *sliceRecord
	positions map[string]positionRecord
}

// readState takes values by what follows the key in theirs.
func readState(values map[string][]byte) (*state, error) {
	s := &state{positions: map[string]positionRecord{}}
	for suffix, value := range values {
		var err error
		switch container, isPosition := strings.CutPrefix(suffix, positionSuffix); {
		case suffix == ownerSuffix:
			s.owner = &ownerRecord{}
			err = decode(value, s.owner, &s.owner.Version)
		case suffix == sliceSuffix:
			s.slice = &sliceRecord{}
			err = decode(value, s.slice, &s.slice.Version)
		case isPosition:
			var p positionRecord
			if err = decode(value, &p, &p.Version); err == nil && len(p.Pos) == 0 {
				err = errors.New("it holds no position")
			}
			s.positions[container] = p
		}
		if err != nil {
			return nil, fmt.Errorf("read the record %q: %w", strings.TrimLeft(suffix, "\x00/"), err)
		}
	}
	return s, nil
}

// decode reads a value into record, whose field version is.
func decode(value []byte, record any, version *int) error {
	err := json.Unmarshal(value, record)
	switch {
	case *version > formatVersion:
		return fmt.Errorf("its version is %d and this millrace knows versions up to %d: run the millrace that wrote it, or a later one", *version, formatVersion)
	case err != nil:
		return err
	case *version < 1:
		return errors.New("it names no version")
	}
	return nil
}

// encode renders one of the records above.
func encode(record any) []byte {
	value, err := json.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("BUG: encode %T: %v", record, err))
	}
	return value
}

// appendPosition renders a container's position; pos is one JSON value.
func appendPosition(out []byte, disk string, pos []byte) []byte {
	out = append(out, `{"v":1,"disk":`...)
	out = append(out, encode(disk)...)
	out = append(out, `,"pos":`...)
	out = append(out, pos...)
	return append(out, '}')
}
