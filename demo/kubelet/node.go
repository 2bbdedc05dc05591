// Package kubelet writes container log files as a Kubernetes node does:
// containerd's lines, kubelet's folders, rotation and links.
//
// The facts are those of kubelet's container_log_manager.go and of
// containerd's CRI logger, checked against kubelet 1.35 with containerd 1.6.
// A Node counts what it writes. The package starts no goroutine; different
// containers may be written to concurrently.
package kubelet

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Config says where a node keeps its log files and how it rotates them. Every
// field has to be set, but for those that say otherwise.
type Config struct {
	// LogDir is the pod log directory, /var/log/pods on a real node.
	LogDir string
	// LinkDir is the folder of symbolic links, /var/log/containers; empty
	// for none.
	LinkDir string
	// MaxSize is containerLogMaxSize in bytes: a file that is larger when
	// kubelet looks is rotated.
	MaxSize int64
	// MaxFiles is containerLogMaxFiles, at least 2: the current file and the
	// rotated ones of a container.
	MaxFiles int
	// Interval is how often kubelet looks, at least a second, since rotated
	// files are named by the second.
	Interval time.Duration
	// Zone is the node's clock, in which containerd writes its times; nil is
	// UTC.
	Zone *time.Location
	// Between is called after each step of a rotation with the name of the
	// step (see Steps), on the goroutine that writes; nil for nobody. It is
	// for those who want to look, or to kill a reader, in mid-rotation.
	Between func(step string)
	// Deleted is called with the path of each log that is about to be deleted
	// for good, as it was before compression, on the goroutine that writes;
	// nil for nobody. Delete does not call it.
	Deleted func(path string)
}

// The steps of a rotation, in order. A step without a file to act on is left
// out: nothing is excess or compressed before the second rotation.
const (
	StepExcess   = "excess"   // the oldest rotated file was deleted
	StepPartly   = "tmp"      // the newest rotated file is copied to .tmp
	StepGzip     = "gz"       // .tmp was renamed to .gz
	StepOriginal = "original" // what is now in the .gz was deleted
	StepRename   = "rename"   // the current file has its rotated name, and is still written to
	StepCreate   = "create"   // the new current file is there, empty
	StepReopen   = "reopen"   // the rotated file was closed
)

// Node is the log folder of one node.
type Node struct{ cfg Config }

// NewNode makes the folders of cfg.
func NewNode(cfg Config) (*Node, error) {
	if cfg.MaxFiles < 2 || cfg.Interval < time.Second || cfg.MaxSize <= 0 {
		return nil, fmt.Errorf("kubelet: at least 2 files, 1 s and 1 byte are needed, not %d, %s and %d", cfg.MaxFiles, cfg.Interval, cfg.MaxSize)
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	if cfg.Between == nil {
		cfg.Between = func(string) {}
	}
	if cfg.Deleted == nil {
		cfg.Deleted = func(string) {}
	}
	for _, dir := range []string{cfg.LogDir, cfg.LinkDir} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make log folder: %w", err)
		}
	}
	return &Node{cfg: cfg}, nil
}

// Pod is what a node knows about a pod. It is the caller's and must not be
// changed while its containers run.
type Pod struct {
	Namespace, Name, UID, IP string
	Labels, Annotations      map[string]string
}

// Dir is the pod's folder under the log directory, kubelet's
// BuildPodLogsDirectory: namespace, name and UID joined by underscores.
func (p Pod) Dir() string { return p.Namespace + "_" + p.Name + "_" + p.UID }

// Delete removes everything a pod has written: kubelet does so when the pod
// leaves the API server. Its containers must have exited.
func (n *Node) Delete(p Pod) error {
	if n.cfg.LinkDir != "" {
		links, err := filepath.Glob(filepath.Join(n.cfg.LinkDir, p.Name+"_"+p.Namespace+"_*.log"))
		if err != nil {
			return fmt.Errorf("list links of pod %s/%s: %w", p.Namespace, p.Name, err)
		}
		for _, l := range links {
			if err := os.Remove(l); err != nil {
				return fmt.Errorf("delete link: %w", err)
			}
		}
	}
	if err := os.RemoveAll(filepath.Join(n.cfg.LogDir, p.Dir())); err != nil {
		return fmt.Errorf("delete logs of pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}
