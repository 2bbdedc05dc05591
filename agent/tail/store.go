package tail

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// storeVersion is the version of the positions file. A later version reads
// this one; this one refuses a later one.
const storeVersion = 1

// storeName is the positions file in a source's directory.
const storeName = "positions.json"

// store is the file that keeps the positions of all containers.
type store struct {
	path string
	// since is when the directory was made: the first start of all.
	since time.Time
}

// storeFile is the file's content.
type storeFile struct {
	Version    int                 `json:"version"`
	Since      time.Time           `json:"since,omitzero"`
	Containers map[string]Position `json:"containers"`
}

// openStore reads the positions in dir. The first time, when there is no dir,
// it makes one with an empty positions file in it: from then on a missing file
// means that something took it away, and beginning anew would repeat or lose
// lines without anybody knowing.
func openStore(dir string) (store, map[string]Position, error) {
	s := store{path: filepath.Join(dir, storeName)}
	data, err := os.ReadFile(s.path)
	switch {
	case err == nil:
		positions, err := s.decode(data)
		return s, positions, err
	case !errors.Is(err, fs.ErrNotExist):
		return s, nil, fmt.Errorf("read positions: %w", err)
	}
	if _, err := os.Stat(dir); err == nil {
		return s, nil, fmt.Errorf("%q exists but holds no %s, so where reading ended is not known: restore the file, "+
			"or remove the directory to begin anew as start_at says", dir, storeName)
	}
	s.since = time.Now()
	return s, map[string]Position{}, s.create(dir)
}

// create makes the directory appear together with the file in it.
func (s store) create(dir string) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	temp, err := os.MkdirTemp(parent, ".new-*")
	if err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	first := store{path: filepath.Join(temp, storeName), since: s.since}
	if err := first.save(nil); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return syncDir(parent)
}

// decode reads the file's content. An older version would be converted here.
func (s *store) decode(data []byte) (map[string]Position, error) {
	var file storeFile
	err := json.Unmarshal(data, &file)
	if file.Version > storeVersion {
		return nil, fmt.Errorf("read positions %q: its version is %d and this millrace knows versions up to %d: run the millrace that wrote it, or a later one",
			s.path, file.Version, storeVersion)
	}
	if err == nil && file.Version < 1 {
		err = errors.New("it names no version")
	}
	if err != nil {
		return nil, fmt.Errorf("read positions %q: %w: restore the file, or remove its directory to begin anew as start_at says", s.path, err)
	}
	s.since = file.Since
	if file.Containers == nil {
		file.Containers = map[string]Position{}
	}
	return file.Containers, nil
}

// save replaces the file as a whole: a crash leaves the old one or the new
// one.
func (s store) save(positions map[string]Position) error {
	data, err := json.Marshal(storeFile{Version: storeVersion, Since: s.since, Containers: positions})
	if err != nil {
		return fmt.Errorf("encode positions: %w", err)
	}
	temp := s.path + ".tmp"
	if err := writeSynced(temp, append(data, '\n')); err != nil {
		return fmt.Errorf("save positions: %w", err)
	}
	if err := os.Rename(temp, s.path); err != nil {
		return fmt.Errorf("save positions: %w", err)
	}
	return syncDir(filepath.Dir(s.path))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes a rename in dir outlast a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("save positions: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// bootID tells this run of the kernel from others; empty if it does not say.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// dropGone forgets positions of containers whose directories were removed
// while the agent was not running, unless files of theirs are held.
func dropGone(saved map[string]Position, logDir string, sp *spool) {
	if pods, err := os.ReadDir(logDir); err != nil || len(pods) == 0 {
		// Perhaps it is only not mounted.
		return
	}
	maps.DeleteFunc(saved, func(key string, _ Position) bool {
		_, err := os.Stat(filepath.Join(logDir, key))
		_, heldErr := os.Stat(sp.container(key))
		return errors.Is(err, fs.ErrNotExist) && errors.Is(heldErr, fs.ErrNotExist)
	})
}

func (s *Source) save() {
	if !s.touched.Swap(false) {
		return
	}
	if err := s.store.save(s.positions()); err != nil {
		s.touched.Store(true)
		s.options.metrics.errors.Inc()
		s.options.Logger.Error("save positions; a restart would repeat what is sent from now on",
			"error", err)
	}
}

// positions are what is to be saved: up to where each container is delivered,
// and what was saved of those that are not followed now.
func (s *Source) positions() map[string]Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	ps := maps.Clone(s.saved)
	for key, c := range s.containers {
		if c.begun.Load() {
			ps[key] = c.acks.Low()
		}
	}
	return ps
}
