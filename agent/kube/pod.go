package kube

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Annotations that the kubelet puts on the API object of a static pod
// (pkg/kubelet/types/pod_update.go). The directory of such a pod carries the
// hash of its manifest where that of another pod carries metadata.uid.
const (
	mirrorAnnotation = "kubernetes.io/config.mirror"
	hashAnnotation   = "kubernetes.io/config.hash"
)

// maxRuns is how many restarts of a container are remembered. The kubelet
// keeps the files of one dead container by default; the others are for files
// that are still held back here.
const maxRuns = 5

// pod is what is kept of a pod: what selection and rendering need. It is
// immutable once it is in use, and its JSON is the disk cache's.
type pod struct {
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	UID         string            `json:"uid"` // metadata.uid
	DirUID      string            `json:"dir_uid,omitempty"`
	Node        string            `json:"node,omitempty"`
	IP          string            `json:"ip,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Containers  []containerStatus `json:"containers"`
	Gone        bool              `json:"gone,omitempty"`
}

// containerStatus is what is kept of a container's status; runs ascend by
// restart count.
type containerStatus struct {
	Name string `json:"name"`
	Runs []run  `json:"runs,omitempty"`
}

// run is one restart of a container.
type run struct {
	Restart int    `json:"restart"`
	ID      string `json:"id"` // without containerd:// or cri-o://
	Image   string `json:"image,omitempty"`
	ImageID string `json:"image_id,omitempty"` // without scheme
}

// newPod keeps what is needed of an API object. Strings of the object are
// shared; they are allocated one by one, so the rest of it can go.
func newPod(p *corev1.Pod) *pod {
	kept := &pod{
		Namespace:   p.Namespace,
		Name:        p.Name,
		UID:         string(p.UID),
		Node:        p.Spec.NodeName,
		IP:          p.Status.PodIP,
		Labels:      some(p.Labels),
		Annotations: some(p.Annotations),
	}
	if _, mirror := p.Annotations[mirrorAnnotation]; mirror {
		kept.DirUID = cmp.Or(p.Annotations[hashAnnotation], p.Annotations[mirrorAnnotation])
	}
	kept.addAll(names(p.Spec.InitContainers), p.Status.InitContainerStatuses)
	kept.addAll(names(p.Spec.Containers), p.Status.ContainerStatuses)
	ephemeral := make([]string, 0, len(p.Spec.EphemeralContainers))
	for _, c := range p.Spec.EphemeralContainers {
		ephemeral = append(ephemeral, c.Name)
	}
	kept.addAll(ephemeral, p.Status.EphemeralContainerStatuses)
	return kept
}

// some is m, or nil when it is empty, so that pods compare well.
func some(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

func names(containers []corev1.Container) []string {
	out := make([]string, 0, len(containers))
	for _, c := range containers {
		out = append(out, c.Name)
	}
	return out
}

func (p *pod) addAll(names []string, statuses []corev1.ContainerStatus) {
	for _, name := range names {
		c := containerStatus{Name: name}
		for i := range statuses {
			if statuses[i].Name == name {
				c.Runs = runsOf(&statuses[i])
			}
		}
		p.Containers = append(p.Containers, c)
	}
}

// runsOf lists the runs a status knows. While a container waits to be started
// again, its status still shows the ID of the run that ended, which
// lastState.terminated then repeats (convertToAPIContainerStatuses in
// pkg/kubelet/kubelet_pods.go): only a different ID is the run before. A
// status without ID names the image of the pod's spec, not that of a run.
func runsOf(s *corev1.ContainerStatus) []run {
	if s.ContainerID == "" {
		return nil
	}
	var runs []run
	if last := s.LastTerminationState.Terminated; last != nil && last.ContainerID != "" &&
		last.ContainerID != s.ContainerID && s.RestartCount > 0 {
		runs = append(runs, run{Restart: int(s.RestartCount) - 1, ID: withoutScheme(last.ContainerID)})
	}
	return append(runs, run{
		Restart: int(s.RestartCount),
		ID:      withoutScheme(s.ContainerID),
		Image:   s.Image,
		ImageID: withoutScheme(s.ImageID),
	})
}

// withoutScheme cuts scheme:// off an ID, as Fluent Bit's kubernetes filter
// does; sha256:… stays.
func withoutScheme(id string) string {
	if _, rest, ok := strings.Cut(id, "://"); ok {
		return rest
	}
	return id
}

// dir is the name of the pod's directory under the log directory; it is the
// key of everything that is known about a pod.
func (p *pod) dir() string { return dirName(p.Namespace, p.Name, p.dirUID()) }

func (p *pod) dirUID() string { return cmp.Or(p.DirUID, p.UID) }

// valid tells whether the pod's names can be those of a pod's directory. The
// API server sees to that; a damaged cache does not.
func (p *pod) valid() bool {
	if _, _, _, ok := parseDir(p.dir()); !ok || p.UID == "" {
		return false
	}
	return !slices.ContainsFunc(p.Containers, func(c containerStatus) bool { return !isFileName(c.Name) })
}

// after returns p with what only old, the same pod earlier, still knows:
// runs that ended and their images.
func (p *pod) after(old *pod) *pod {
	if old == nil {
		return p
	}
	merged := *p
	merged.Containers = slices.Clone(p.Containers)
	for i, c := range merged.Containers {
		merged.Containers[i].Runs = mergeRuns(old.runs(c.Name), c.Runs)
	}
	return &merged
}

// mergeRuns adds newer runs to older ones. Of a run in both, the newer ID
// counts, and the image that came with that ID.
func mergeRuns(older, newer []run) []run {
	byRestart := make(map[int]run, len(older)+len(newer))
	for _, r := range older {
		byRestart[r.Restart] = r
	}
	for _, r := range newer {
		if known, ok := byRestart[r.Restart]; ok && known.ID == r.ID && r.Image == "" {
			continue
		}
		byRestart[r.Restart] = r
	}
	runs := slices.SortedFunc(maps.Values(byRestart), func(a, b run) int { return a.Restart - b.Restart })
	return runs[max(0, len(runs)-maxRuns):]
}

func (p *pod) runs(name string) []run {
	for _, c := range p.Containers {
		if c.Name == name {
			return c.Runs
		}
	}
	return nil
}

func (p *pod) equal(q *pod) bool { return reflect.DeepEqual(p, q) }
