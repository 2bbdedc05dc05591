package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"millrace/internal/atomicfile"
)

// retiredName is a file in the directory of a pipeline that was taken out of
// the configuration while no new one came in.
const retiredName = "retired"

// claimDirs gives each pipeline its directory below DataDir: its own, or that
// of PreviousName. A pipeline that has none is either new or renamed, and the
// difference is whether its lines were sent before; so when there is a
// directory that no pipeline has, it has to be said. The errors are by index
// in Pipelines.
func (c *Config) claimDirs() (map[int]error, error) {
	orphans, err := c.orphans()
	if err != nil {
		return nil, err
	}
	troubles, fresh := map[int]error{}, false
	for i := range c.Pipelines {
		p := &c.Pipelines[i]
		dir := filepath.Join(c.DataDir, p.Name)
		if _, err := os.Stat(dir); err == nil {
			os.Remove(filepath.Join(dir, retiredName)) //nolint:errcheck // hardly ever there; a stale one asks for no name
			continue
		}
		fresh = true
		switch at := slices.Index(orphans, p.PreviousName); {
		case at >= 0:
			if err := os.Rename(filepath.Join(c.DataDir, p.PreviousName), dir); err != nil {
				troubles[i] = fmt.Errorf("take over the positions of pipeline %q: %w", p.PreviousName, err)
				continue
			}
			os.Remove(filepath.Join(dir, retiredName)) //nolint:errcheck // as above
			orphans = slices.Delete(orphans, at, at+1)
			if err := atomicfile.SyncDir(c.DataDir); err != nil {
				troubles[i] = err
			}
		case p.PreviousName == "":
			if left := c.unretired(orphans); left != "" {
				troubles[i] = fmt.Errorf("pipeline %q has no positions, and %q holds those of a pipeline %q that is not configured any more: "+
					"if it is the same pipeline, set previous_name: %s; if not, remove that directory, or run once without %q",
					p.Name, filepath.Join(c.DataDir, left), left, left, p.Name)
			}
		}
	}
	if !fresh {
		err = c.retire(orphans)
	}
	return troubles, err
}

// orphans are the names of directories with positions that belong to no
// configured pipeline.
func (c *Config) orphans() ([]string, error) {
	entries, err := os.ReadDir(c.DataDir)
	if err != nil {
		return nil, fmt.Errorf("list data_dir: %w", err)
	}
	var names []string
	for _, e := range entries {
		configured := slices.ContainsFunc(c.Pipelines, func(p PipelineConfig) bool { return p.Name == e.Name() })
		if e.IsDir() && !configured && c.has(e.Name(), "positions.json") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// unretired is the first of the names that was not taken out on purpose.
func (c *Config) unretired(names []string) string {
	i := slices.IndexFunc(names, func(name string) bool { return !c.has(name, retiredName) })
	if i < 0 {
		return ""
	}
	return names[i]
}

func (c *Config) has(pipeline, file string) bool {
	_, err := os.Stat(filepath.Join(c.DataDir, pipeline, file))
	return !errors.Is(err, fs.ErrNotExist)
}

// retire notes that pipelines were taken out of the configuration.
func (c *Config) retire(names []string) error {
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(c.DataDir, name, retiredName), nil, 0o644); err != nil {
			return fmt.Errorf("note that pipeline %q is not configured any more: %w", name, err)
		}
	}
	return nil
}
