package tail

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"millrace/internal/pipeline"
)

// This file is for outputs that commit positions together with the records,
// such as a Kafka transaction: what they committed decides where reading goes
// on, and the positions file is a hint that follows.

// reached is the position in a batch's span: how far the span's container is
// read, or, without a container, what becomes of the position of one that is
// not followed any more.
type reached struct {
	container *container
	key       string
	position  *Position // nil: the container is gone
	read      Position  // what position points to, where there is a container
}

// encoded is a position as the output keeps it. A later version of millrace
// reads this one; this one refuses a later one.
type encoded struct {
	Version int `json:"version"`
	Position
}

// errStale is why a position must not be committed: lines before it were aborted
// and are to be read again, or the container goes on from it already.
var errStale = errors.New("this position is not the container's last any more")

// Encode renders the position in a span of a batch of this source. container
// is the key under which it is kept, the container's directory below
// Options.LogDir; a nil value says that nothing is to be kept, because the
// container is gone. It fails when lines before the position were aborted:
// then it must not be committed.
func (s *Source) Encode(position any) (container string, value []byte, err error) {
	r := position.(*reached)
	if s.stale(r) {
		return "", nil, errStale
	}
	if r.position == nil {
		return r.key, nil, nil
	}
	value, err = encodePosition(r.key, r.position)
	return r.key, value, err
}

// stale says whether the container has gone back since r was read, or, where r
// is a notice, is followed again.
func (s *Source) stale(r *reached) bool {
	if r.container != nil {
		return r.container.failed.Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.containers[r.key] != nil
}

func encodePosition(key string, pos *Position) ([]byte, error) {
	value, err := json.Marshal(encoded{Version: storeVersion, Position: *pos})
	if err != nil {
		return nil, fmt.Errorf("encode position of %q: %w", key, err)
	}
	return value, nil
}

// Local are the positions in the data directory, by container, in Encode's
// form. Call it before Restore.
func (s *Source) Local() (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	local := make(map[string][]byte, len(s.saved))
	for key, pos := range s.saved {
		value, err := encodePosition(key, &pos)
		if err != nil {
			return nil, err
		}
		local[key] = value
	}
	return local, nil
}

// Restore takes the committed positions, by container, in Encode's form, and
// lets reading begin. It is called once, and only with Options.Transactional:
// until then files are held and nothing is read. It fails when a position was
// written by a later version.
func (s *Source) Restore(committed map[string][]byte) error {
	saved := make(map[string]Position, len(committed))
	for key, value := range committed {
		pos, err := decodePosition(value)
		if err != nil {
			return fmt.Errorf("read position of %q: %w", key, err)
		}
		saved[key] = pos
	}
	here := maps.Clone(saved)
	dropGone(here, s.options.LogDir, s.spool)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved, s.awaiting = here, false
	for key := range saved {
		if _, ok := here[key]; !ok && s.containers[key] == nil {
			s.notify(key, nil)
		}
	}
	for key, c := range s.containers {
		c.mu.Lock()
		c.resumeFrom(saved, key)
		c.mu.Unlock()
	}
	s.touched.Store(true)
	return nil
}

func decodePosition(value []byte) (Position, error) {
	var e encoded
	err := json.Unmarshal(value, &e)
	switch {
	case e.Version > storeVersion:
		return Position{}, fmt.Errorf("its version is %d and this millrace knows versions up to %d: run the millrace that wrote it, or a later one", e.Version, storeVersion)
	case err != nil:
		return Position{}, err
	case e.Version < 1:
		return Position{}, errors.New("it names no version")
	}
	return e.Position, nil
}

// resumeFrom lets the container begin where saved says, or anew.
func (c *container) resumeFrom(saved map[string]Position, key string) {
	c.awaiting = false
	if pos, ok := saved[key]; ok {
		pos = pos.clone()
		c.resume = &pos
		c.chain.passed = slices.Clone(pos.Passed)
	}
}

// notify has the output keep the position of a container that is not followed
// any more, or forget it when pos is nil. The caller holds s.mu.
func (s *Source) notify(key string, pos *Position) {
	if s.options.Transactional {
		s.notices[key] = pos
		s.wake.Signal()
	}
}

// addNotices puts what notify was told into a batch, as spans without records.
func (s *Source) addNotices(b *pipeline.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, pos := range s.notices {
		b.Begin(&s.notified).Position = &reached{key: key, position: pos}
	}
	clear(s.notices)
}

// settledNotice repeats a notice that was not committed, unless the container
// has gone on since.
func (s *Source) settledNotice(r *reached, err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, newer := s.notices[r.key]; !newer && s.containers[r.key] == nil {
		s.notify(r.key, r.position)
	}
}
