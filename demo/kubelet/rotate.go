package kubelet

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Rotate does one rotation, in kubelet's order: delete what is one too many,
// compress the newest rotated file, rename the current one, have containerd
// open a new one. The late lines reach the renamed file: half of them before
// the new file is there, the others after it and before the old one is closed.
//
// The rotated file is named by the second, so two rotations of a container
// must be at least a second apart.
func (c *Container) Rotate(at time.Time, late ...Line) error {
	if err := c.clear(); err != nil {
		return err
	}
	rotated := c.path + "." + at.In(c.node.cfg.Zone).Format("20060102-150405")
	if err := os.Rename(c.path, rotated); err != nil {
		return fmt.Errorf("rotate container log: %w", err)
	}
	c.node.cfg.Between(StepRename)
	half := (len(late) + 1) / 2
	if err := c.append(late[:half]); err != nil {
		return err
	}
	next, err := create(c.path)
	if err != nil {
		return err
	}
	c.node.cfg.Between(StepCreate)
	if err := c.append(late[half:]); err != nil {
		return err
	}
	old := c.file
	c.file, c.size = next, 0
	if err := old.Close(); err != nil {
		return fmt.Errorf("close rotated log: %w", err)
	}
	c.node.cfg.Between(StepReopen)
	c.rotations.Add(1)
	return nil
}

// clear makes room for one more rotated file: with it and the current one
// there are at most MaxFiles.
func (c *Container) clear() error {
	logs, err := filepath.Glob(c.path + ".*")
	if err != nil {
		return fmt.Errorf("list rotated files: %w", err)
	}
	if logs, err = sweep(logs); err != nil {
		return err
	}
	slices.Sort(logs) // by time, which is in the name
	for len(logs) > max(0, c.node.cfg.MaxFiles-2) {
		c.node.cfg.Deleted(strings.TrimSuffix(logs[0], ".gz"))
		if err := os.Remove(logs[0]); err != nil {
			return fmt.Errorf("delete rotated log: %w", err)
		}
		c.node.cfg.Between(StepExcess)
		logs = logs[1:]
	}
	for _, log := range logs {
		if strings.HasSuffix(log, ".gz") {
			continue
		}
		if err := c.compress(log); err != nil {
			return fmt.Errorf("compress rotated log: %w", err)
		}
	}
	return nil
}

// sweep deletes what an earlier run left behind in mid-compression, as
// kubelet does after a restart: .tmp files, and originals that have a .gz.
func sweep(logs []string) (kept []string, err error) {
	for _, log := range logs {
		if !strings.HasSuffix(log, ".tmp") && !slices.Contains(logs, log+".gz") {
			kept = append(kept, log)
			continue
		}
		if err := os.Remove(log); err != nil {
			return nil, fmt.Errorf("delete unused log: %w", err)
		}
	}
	return kept, nil
}

func (c *Container) compress(log string) error {
	if err := gzipFile(log, log+".tmp"); err != nil {
		return err
	}
	c.node.cfg.Between(StepPartly)
	if err := os.Rename(log+".tmp", log+".gz"); err != nil {
		return err
	}
	c.node.cfg.Between(StepGzip)
	if err := os.Remove(log); err != nil {
		return err
	}
	c.node.cfg.Between(StepOriginal)
	return nil
}

func gzipFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	if zerr := z.Close(); err == nil {
		err = zerr
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
