package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// cacheVersion changes when an older program would misread the file.
const cacheVersion = 1

// cacheName is the cache's name in the data directory.
const cacheName = "kube.json"

// cached is the content of the disk cache: the pods with a selected
// container, so that a restart without the API server selects and enriches as
// before.
type cached struct {
	Version    int                        `json:"version"`
	Node       string                     `json:"node"`
	Cluster    string                     `json:"cluster,omitempty"` // UID of namespace kube-system
	Namespaces map[string]cachedNamespace `json:"namespaces"`
	Pods       []*pod                     `json:"pods"`
}

type cachedNamespace struct {
	namespace
	Due time.Time `json:"due"`
}

var errCacheVersion = errors.New("made by a newer version")

// readCache reads the file at path; none at all is an empty cache.
func readCache(path string) (*cached, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &cached{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pod cache: %w", err)
	}
	c, err := parseCache(data)
	if err != nil {
		return nil, fmt.Errorf("read pod cache %q: %w", path, err)
	}
	return c, nil
}

// parseCache takes any bytes. What it returns holds no name that would leave
// the log directory.
func parseCache(data []byte) (*cached, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("not the JSON that was written: %w", err)
	}
	if head.Version > cacheVersion {
		return nil, fmt.Errorf("%w: its format is %d and this program knows up to %d; run the newer program, or delete the file, which costs one list from the API server",
			errCacheVersion, head.Version, cacheVersion)
	}
	var c cached
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("not the JSON that was written: %w", err)
	}
	if c.Version < 1 {
		return nil, errors.New("it has no version")
	}
	for i, p := range c.Pods {
		if p == nil || !p.valid() {
			return nil, fmt.Errorf("pod %d has names that are not those of a pod", i)
		}
	}
	return &c, nil
}

// write replaces the file at path so that after a crash either the old or the
// new content is there, whole.
func (c *cached) write(path string) error {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode pod cache: %w", err)
	}
	temp := path + ".tmp"
	if err := writeSynced(temp, data); err != nil {
		return fmt.Errorf("write pod cache: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("replace pod cache: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("sync directory of pod cache: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync directory of pod cache: %w", err)
	}
	return nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// restore delivers the pods of a cache. A pod that was gone already is
// selected and gone at once, as long as its directory is needed.
func (t *tracker) restore(c *cached, needed func(dir string) bool) {
	for name, ns := range c.Namespaces {
		known, due := ns.namespace, ns.Due
		if due.After(time.Now().Add(2 * namespaceAge)) {
			due = time.Time{} // the clock was wrong then or is now
		}
		if soon := time.Now().Add(rand.N(startSpread)); due.Before(soon) {
			due = soon // the agents of a cluster may all start now
		}
		t.namespaces[name] = &namespaceState{known: &known, due: due}
	}
	for _, p := range c.Pods {
		dir := p.dir()
		if p.Gone && !needed(dir) {
			continue
		}
		t.update(p)
		if p.Gone {
			t.remove(dir)
		}
	}
}

// snapshot is what the cache should hold now.
func (t *tracker) snapshot() *cached {
	c := &cached{Version: cacheVersion, Node: t.node, Namespaces: map[string]cachedNamespace{}}
	for _, k := range t.pods {
		c.Pods = append(c.Pods, k.now.Load().pod)
	}
	for name, state := range t.namespaces {
		if state.known != nil {
			c.Namespaces[name] = cachedNamespace{*state.known, state.due}
		}
	}
	return c
}
