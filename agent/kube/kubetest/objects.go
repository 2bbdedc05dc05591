package kubetest

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
)

// objects is everything the server holds, and the history of its pods.
type objects struct {
	mu         sync.Mutex
	version    int64
	pods       map[string]*corev1.Pod // by namespace/name
	namespaces map[string]*corev1.Namespace

	history []change // since the last Expire
	first   int      // number of history[0] among all changes
	oldest  int64    // the earliest version a watch can begin after
	changed chan struct{}
	cut     chan struct{} // closed to end all watches
}

// change is one step of the pods' history; a bookmark when both are nil.
type change struct {
	version    int64
	before, at *corev1.Pod
}

func newObjects() *objects {
	return &objects{
		version:    1,
		pods:       map[string]*corev1.Pod{},
		namespaces: map[string]*corev1.Namespace{},
		oldest:     1,
		changed:    make(chan struct{}),
		cut:        make(chan struct{}),
	}
}

// SetPod creates a pod or replaces the one of that name. The server keeps a
// copy.
func (s *Server) SetPod(p *corev1.Pod) {
	o := s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	key := p.Namespace + "/" + p.Name
	p = p.DeepCopy()
	o.version++
	p.ResourceVersion = strconv.FormatInt(o.version, 10)
	o.record(change{o.version, o.pods[key], p})
	o.pods[key] = p
}

// DeletePod deletes a pod; without it, nothing happens.
func (s *Server) DeletePod(namespace, name string) {
	o := s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	key := namespace + "/" + name
	was := o.pods[key]
	if was == nil {
		return
	}
	delete(o.pods, key)
	o.version++
	last := was.DeepCopy()
	last.ResourceVersion = strconv.FormatInt(o.version, 10)
	o.record(change{o.version, last, nil})
}

// SetNamespace creates or replaces a namespace. The server keeps a copy.
func (s *Server) SetNamespace(n *corev1.Namespace) {
	o := s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	n = n.DeepCopy()
	o.version++
	n.ResourceVersion = strconv.FormatInt(o.version, 10)
	o.namespaces[n.Name] = n
}

// Expire forgets the history: a watch from before now is answered 410, as
// after a compaction of etcd or a restart of the API server. Watches that run
// are cut.
func (s *Server) Expire() {
	o := s.objects
	o.mu.Lock()
	o.version++
	o.first += len(o.history)
	o.history = nil
	o.oldest = o.version
	o.mu.Unlock()
	s.CutWatches()
}

// CutWatches ends all watches, as the server does with each after some
// minutes.
func (s *Server) CutWatches() {
	o := s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.cut)
	o.cut = make(chan struct{})
}

// Bookmark sends a bookmark with the current version to all watches that
// allow it.
func (s *Server) Bookmark() {
	o := s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	o.record(change{version: o.version})
}

func (o *objects) record(c change) {
	o.history = append(o.history, c)
	close(o.changed)
	o.changed = make(chan struct{})
}

// selector is what a request asks for.
type selector struct {
	namespace string
	fields    fields.Selector
	labels    labels.Selector
}

func (s *selector) matches(p *corev1.Pod) bool {
	if p == nil || s.namespace != "" && s.namespace != p.Namespace {
		return false
	}
	return s.labels.Matches(labels.Set(p.Labels)) && s.fields.Matches(fields.Set{
		"metadata.name":      p.Name,
		"metadata.namespace": p.Namespace,
		"spec.nodeName":      p.Spec.NodeName,
		"status.phase":       string(p.Status.Phase),
	})
}

// event is what the change means to a watch with that selector.
func (c *change) event(s *selector) (kind watch.EventType, p *corev1.Pod) {
	was, is := s.matches(c.before), s.matches(c.at)
	switch {
	case c.before == nil && c.at == nil:
		return watch.Bookmark, nil
	case is && !was:
		return watch.Added, c.at
	case is:
		return watch.Modified, c.at
	case was && c.at != nil: // no longer selected: with the new version
		p := c.before.DeepCopy()
		p.ResourceVersion = c.at.ResourceVersion
		return watch.Deleted, p
	case was:
		return watch.Deleted, c.before
	}
	return "", nil
}

// list is the selected pods now, by namespace and name.
func (o *objects) list(s *selector) (pods []*corev1.Pod, version int64, next int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(o.pods)) {
		if p := o.pods[key]; s.matches(p) {
			pods = append(pods, p)
		}
	}
	return pods, o.version, o.first + len(o.history)
}

// after finds the first change after version; ok is false when it may be
// forgotten.
func (o *objects) after(version int64) (next int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, c := range o.history {
		if c.version > version {
			return o.first + i, version >= o.oldest
		}
	}
	return o.first + len(o.history), version >= o.oldest
}

// cutting is closed when the watches that have begun by now are to end.
func (o *objects) cutting() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cut
}

// since returns the changes from number next on, and what to wait for then; ok
// is false when some are forgotten.
func (o *objects) since(next int) (changes []change, changed <-chan struct{}, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if next < o.first {
		return nil, nil, false
	}
	return slices.Clone(o.history[next-o.first:]), o.changed, true
}

func (o *objects) pod(namespace, name string) *corev1.Pod {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pods[namespace+"/"+name]
}

func (o *objects) namespace(name string) *corev1.Namespace {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.namespaces[name]
}
