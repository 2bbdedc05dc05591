package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/ops"
)

// lockAgain is how often a lock is asked for that another process has.
const lockAgain = 500 * time.Millisecond

// lockDataDir makes this process the only one that uses dir: two would rename
// and remove each other's links. While another one has it, an earlier life of
// this pod that is stopped or not dead yet, it waits, and health says so; it
// fails when ctx ends first. The kernel lets go of the lock when the process
// ends, however it does, or the file is closed.
func lockDataDir(ctx context.Context, dir string, health *ops.Health) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock of data_dir: %w", err)
	}
	tick := time.NewTicker(lockAgain)
	defer tick.Stop()
	for waited := false; ; waited = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			if waited {
				health.Set("data_dir", nil)
			}
			return f, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			f.Close()
			return nil, fmt.Errorf("lock data_dir %q: %w", dir, err)
		}
		health.Set("data_dir", fmt.Errorf("another process uses data_dir %q: this one waits until that has ended; if it is an agent that hangs, kill it", dir))
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		}
	}
}
