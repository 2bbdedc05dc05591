package tail

import (
	"log/slog"
	"path/filepath"
	"time"
)

// orphanAge is how long files are held for a container that was followed by a
// former process and is not by this one: its selection may have changed, or it
// is gone and nobody remembers it.
const orphanAge = 24 * time.Hour

// Held are the keys of containers that files are held of which may not be
// delivered yet, though the container and its directory may be gone. Follow
// them, and lines that are on the disk still arrive. Safe for concurrent use.
func (s *Source) Held() []string {
	keys, err := s.spool.keys()
	if err != nil {
		s.options.metrics.errors.Inc()
		s.options.Logger.Warn("look for containers whose files are held", "error", err)
	}
	return keys
}

// leaveOrphans lets go of what was held for containers that nobody follows any
// more. Only the poller calls it.
func (s *Source) leaveOrphans(now time.Time) {
	if now.Sub(s.options.started) < orphanAge || s.tick%(int(time.Hour/pollInterval)) != 0 {
		return
	}
	keys, err := s.spool.keys()
	if err != nil {
		s.options.metrics.errors.Inc()
		s.options.Logger.Warn("look for held files that nobody wants", "error", err)
		return
	}
	for _, key := range keys {
		if s.follows(key) {
			continue
		}
		c := chain{dir: filepath.Join(s.options.LogDir, key), spoolDir: s.spool.container(key), spool: s.spool,
			log: s.options.Logger.With("container", key), metrics: &s.options.metrics}
		if err := c.load(); err != nil {
			s.options.Logger.Warn("let go of held files that nobody wants", "error", err)
			continue
		}
		for _, f := range c.files {
			c.missed(missedUnfollowed, slog.String("file", f.name))
		}
		c.leave()
	}
}

// follows says whether a container is followed, or its position is awaited.
func (s *Source) follows(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.awaiting || s.containers[key] != nil
}
