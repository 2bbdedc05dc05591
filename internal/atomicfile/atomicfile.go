// Package atomicfile replaces small files of state so that a crash or a power
// failure leaves the old content or the new one, whole.
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Replace makes data the content of the file at path, with the mode perm. When
// it returns nil, the content outlasts a power failure. It blocks for two
// fsyncs. One goroutine at a time may replace a path, because the new content
// is written beside it first, as path with .tmp at its end.
func Replace(path string, data []byte, perm os.FileMode) error {
	temp := path + ".tmp"
	if err := write(temp, data, perm); err != nil {
		return fmt.Errorf("write %q: %w", temp, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("replace %q: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes what was created, renamed or removed in dir outlast a power
// failure.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %q: %w", dir, err)
	}
	return nil
}

func write(path string, data []byte, perm os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
