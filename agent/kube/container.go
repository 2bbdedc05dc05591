package kube

import (
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"millrace/internal/pipeline"
)

// Change is what happened to a container, from the point of view of one
// subscriber.
type Change int

// The changes of a container, in the order in which they can come: Selected,
// any number of Updated, then Deselected or Gone, then perhaps Selected again.
const (
	// Selected: from now on the container is selected. Its directory need not
	// exist yet.
	Selected Change = iota
	// Updated: what Metadata answers may have changed. Selection has not.
	Updated
	// Deselected: the pod's labels changed and the selector no longer
	// matches. The container may write on.
	Deselected
	// Gone: the pod left the API, or its directory was removed (metadata:
	// path). Files may outlive it for a moment; nothing new is started.
	Gone
)

// String names the change for logs.
func (c Change) String() string {
	return [...]string{"selected", "updated", "deselected", "gone"}[c]
}

// Container is one container of one pod on this node, through all its
// restarts. The exported fields never change; the pointer is the same from
// Selected to Deselected or Gone, and Key for longer than that.
type Container struct {
	Namespace string
	Pod       string
	// UID is the pod's UID as the kubelet writes it into the directory's
	// name. For a static pod that is not the UID of its object in the API.
	UID  string
	Name string
	// Dir is LogDir/<namespace>_<pod>_<uid>/<name>, as
	// BuildContainerLogsDirectory in pkg/kubelet/kuberuntime/helpers.go makes it.
	Dir string

	// pod is shared by the pod's containers and replaced as a whole.
	pod *atomic.Pointer[facts]

	mu       sync.Mutex
	rendered []rendering // by ascending restart count, at most maxRuns

	selected []bool // by subscription; belongs to the goroutine of Run
}

// Key identifies the container on this node, through restarts of itself, of
// the agent and of the node: <namespace>_<pod>_<uid>/<name>.
func (c *Container) Key() string {
	return dirName(c.Namespace, c.Pod, c.UID) + "/" + c.Name
}

// Metadata is the part of a record that is the same for all lines of one run
// of a container. It is immutable and may be shared by any number of
// goroutines.
type Metadata struct {
	// Tail is `,"kubernetes":{…}` and, where known, `,"kubernetes_namespace":{…}`:
	// what pipeline.Origin.Tail wants.
	Tail []byte
	// Fields holds each string of Tail under its pipeline.PathKey.
	Fields map[string][]byte
}

// logPath is the log of one run, as buildContainerLogsPath in
// pkg/kubelet/kuberuntime/helpers.go makes it.
func (c *Container) logPath(restart int) string {
	return filepath.Join(c.Dir, strconv.Itoa(restart)+".log")
}

type rendering struct {
	restart  int
	from     *facts
	metadata *Metadata
	complete bool
}

// final tells whether rendering again would bring nothing new: the ID may come
// from a link while nothing is heard of the pod.
func (r *rendering) final(now *facts) bool {
	return r.from == now && (r.complete || r.metadata.Fields[idKey] != nil)
}

var idKey = pipeline.PathKey("kubernetes", "docker_id")

// Metadata is what is known about the run of the container that the log file
// <restart>.log belongs to. The pointer stays the same as long as the content
// does. It never blocks for long, never fails and may be called concurrently.
//
// complete is false while waiting may bring more: the status of that run or
// the labels of the namespace are not known yet. Metadata then holds what is
// known so far, and at least pod_name, namespace_name, pod_id, host and
// container_name, and docker_id as soon as the kubelet's link to the log tells
// it; a caller that has waited long enough takes it as it is.
// Image and image digest of another run are never given: a run that ended
// before it was seen stays without them.
func (c *Container) Metadata(restart int) (m *Metadata, complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.pod.Load()
	i, found := slices.BinarySearchFunc(c.rendered, restart, func(r rendering, n int) int { return r.restart - n })
	if found && c.rendered[i].final(now) {
		return c.rendered[i].metadata, c.rendered[i].complete
	}
	m, complete = now.render(c, restart)
	fresh := rendering{restart: restart, from: now, metadata: m, complete: complete}
	if found {
		if string(m.Tail) == string(c.rendered[i].metadata.Tail) {
			fresh.metadata = c.rendered[i].metadata
		}
		c.rendered[i] = fresh
		return fresh.metadata, complete
	}
	c.rendered = slices.Insert(c.rendered, i, fresh)
	if len(c.rendered) > maxRuns {
		c.rendered = slices.Delete(c.rendered, 0, 1)
	}
	return m, complete
}
