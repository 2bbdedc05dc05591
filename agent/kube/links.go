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
	var newest time.Time // a link that the kubelet could not remove may lead there, too
	for _, name := range l.names[owner] {
		link := filepath.Join(l.dir, name)
		target, err := os.Readlink(link)
		if err != nil || logName(target) != logName(log) {
			continue
		}
		if info, err := os.Lstat(link); err == nil && info.ModTime().After(newest) {
			id, newest = linkedID(name), info.ModTime()
		}
	}
	return id, newest.IsZero() && written(log)
}

// written says whether a run has a log, which for a moment, while the kubelet
// rotates it, is only there under its other name.
func written(log string) bool {
	if exists(log) {
		return true
	}
	rotated, err := filepath.Glob(log + ".*")
	return err == nil && len(rotated) > 0
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
		return true // it is there, and will be read the next time
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
