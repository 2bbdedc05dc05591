package kube

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// idSize is the length of a container's ID: containerd, CRI-O and docker
	// make them of 32 random bytes, in lower-case hexadecimal digits.
	idSize = 64
	// maxName is the length at which the kubelet cuts a link's name.
	maxName = 255
	// tick is longer than the kernel's clock for times of change stands still:
	// a directory may change again within one and keep its time.
	tick = 20 * time.Millisecond
)

// links knows the IDs of containers without the API server, by the links that
// the kubelet makes in a directory beside that of the pods:
// <pod>_<namespace>_<container>-<id>.log, leading to
// <namespace>_<pod>_<uid>/<container>/<restart>.log (legacyLogSymlink in
// pkg/kubelet/kuberuntime/legacy.go). It makes one a moment after the container
// was started and removes it with the log. Of the links of other containers
// nothing but the names is read. It may be used concurrently, and is empty as
// nil.
type links struct {
	dir string

	mu    sync.Mutex
	names map[string][]string // by what stands before the ID
	read  time.Time           // when the directory was
	of    time.Time           // its time of change then
}

// id is the ID of the run of c that writes to log, or empty. more is true while
// the link to log may still come.
func (l *links) id(c *Container, log string) (id string, more bool) {
	owner := c.Pod + "_" + c.Namespace + "_" + c.Name
	if l == nil || len(owner)+len("-")+idSize+len(".log") > maxName {
		return "", false // or the kubelet cut the ID's end off
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.refresh() {
		return "", false
	}
	for _, name := range l.names[owner] {
		target, err := os.Readlink(filepath.Join(l.dir, name))
		if err == nil && logName(target) == logName(log) {
			return linkedID(name), false
		}
	}
	return "", exists(log)
}

// refresh lists the directory if it changed since it was listed. It returns
// false where that cannot be done: it is not mounted, as a rule.
func (l *links) refresh() bool {
	info, err := os.Stat(l.dir)
	if err != nil {
		return false
	}
	if info.ModTime().Equal(l.of) && l.read.Sub(l.of) > tick {
		return true
	}
	read := time.Now()
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return false
	}
	l.read, l.of, l.names = read, info.ModTime(), map[string][]string{}
	for _, entry := range entries {
		if at := strings.LastIndexByte(entry.Name(), '-'); at > 0 {
			owner := entry.Name()[:at]
			l.names[owner] = append(l.names[owner], entry.Name())
		}
	}
	return true
}

// logName is the part of a log's path that says whose it is: where the kubelet
// sees the pod log directory need not be where it is here.
func logName(path string) string {
	dir, log := filepath.Split(path)
	dir, container := filepath.Split(filepath.Clean(dir))
	return filepath.Join(filepath.Base(dir), container, log)
}

// linkedID is the ID in a link's name, or empty if it is none.
func linkedID(name string) string {
	id := strings.TrimSuffix(name[strings.LastIndexByte(name, '-')+1:], ".log")
	if len(id) != idSize || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}
