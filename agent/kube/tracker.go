package kube

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// namespaceAge is how long the labels of a namespace are taken as they are;
// up to half as much again is added at random, so that the agents of a
// cluster do not ask at once.
const namespaceAge = 10 * time.Minute

// tracker knows the pods that have a selected container, and the containers.
// A pod none of whose containers is selected is not kept at all. Everything
// happens on one goroutine.
type tracker struct {
	logDir   string
	node     string
	pathOnly bool
	links    *links

	subs       []subscription
	pods       map[string]*tracked // by directory name
	namespaces map[string]*namespaceState
	dirty      bool // something the disk cache holds has changed
}

type subscription struct {
	selector *Selector
	fn       func(*Container, Change)
}

// tracked is a pod that is kept.
type tracked struct {
	now        *atomic.Pointer[facts]
	containers []*Container
}

// namespace is what is known of a namespace. Immutable.
type namespace struct {
	Labels  map[string]string `json:"labels,omitempty"`
	Missing bool              `json:"missing,omitempty"` // the API server has none of that name
}

type namespaceState struct {
	known    *namespace // nil: nothing yet
	due      time.Time  // when to ask next
	fetching bool
}

func newTracker(c *Config) *tracker {
	return &tracker{
		logDir:     c.LogDir,
		node:       c.Node,
		pathOnly:   c.Metadata == MetadataPath,
		links:      &links{dir: filepath.Join(filepath.Dir(c.LogDir), "containers")},
		pods:       map[string]*tracked{},
		namespaces: map[string]*namespaceState{},
	}
}

// update takes over a pod as it is now and tells the subscribers.
func (t *tracker) update(p *pod) {
	dir := p.dir()
	k := t.pods[dir]
	if k == nil {
		if !p.valid() || !t.selectsAny(p) {
			return
		}
		k = &tracked{now: new(atomic.Pointer[facts])}
		t.pods[dir] = k
	} else {
		old := k.now.Load().pod
		p = p.after(old)
		if p.equal(old) {
			return
		}
	}
	t.dirty = true
	k.now.Store(t.facts(p))
	t.dropContainers(k, p)
	for _, status := range p.Containers {
		t.selectContainer(k.container(t.logDir, status.Name), p.Labels)
	}
	if !k.selected() {
		delete(t.pods, dir)
	}
}

// dropContainers lets go of containers whose directory was removed while the
// pod's was not. The API never takes a container out of a pod.
func (t *tracker) dropContainers(k *tracked, p *pod) {
	k.containers = slices.DeleteFunc(k.containers, func(c *Container) bool {
		present := slices.ContainsFunc(p.Containers, func(s containerStatus) bool { return s.Name == c.Name })
		if !present {
			t.gone(c)
		}
		return !present
	})
}

// gone tells those who follow c that it is gone.
func (t *tracker) gone(c *Container) {
	for i, sub := range t.subs {
		if c.selected[i] {
			c.selected[i] = false
			sub.fn(c, Gone)
		}
	}
}

// selectContainer tells each subscriber what the pod's labels now mean for c.
func (t *tracker) selectContainer(c *Container, podLabels map[string]string) {
	if c.selected == nil {
		c.selected = make([]bool, len(t.subs))
	}
	for i, sub := range t.subs {
		was := c.selected[i]
		is := sub.selector.Selects(c.Namespace, c.Name, podLabels)
		c.selected[i] = is
		switch {
		case is && was:
			sub.fn(c, Updated)
		case is:
			sub.fn(c, Selected)
		case was:
			sub.fn(c, Deselected)
		}
	}
}

// remove notes that a pod is gone from the API, or that its directory is.
func (t *tracker) remove(dir string) {
	k := t.pods[dir]
	if k == nil {
		return
	}
	if p := k.now.Load().pod; !p.Gone {
		gone := *p
		gone.Gone = true
		k.now.Store(t.facts(&gone))
		t.dirty = true
	}
	for _, c := range k.containers {
		t.gone(c)
	}
	if t.pathOnly {
		delete(t.pods, dir)
	}
}

// removeObject notes that a pod is gone from the API, where p was its last
// state.
func (t *tracker) removeObject(p *pod) {
	if dir := p.dir(); t.pods[dir] != nil {
		t.update(p)
		t.remove(dir)
	}
}

// replace takes over all pods of the node as they are now.
func (t *tracker) replace(pods []*pod) {
	present := make(map[string]bool, len(pods))
	for _, p := range pods {
		present[p.dir()] = true
	}
	for _, dir := range slices.Sorted(maps.Keys(t.pods)) {
		if !present[dir] {
			t.remove(dir)
		}
	}
	for _, p := range pods {
		t.update(p)
	}
}

// setNamespace takes over what the API server says about a namespace.
func (t *tracker) setNamespace(name string, ns *namespace) {
	state := t.namespaces[name]
	if state == nil {
		return
	}
	state.fetching = false
	state.due = time.Now().Add(namespaceAge + rand.N(namespaceAge/2))
	t.dirty = true
	if state.known != nil && state.known.Missing == ns.Missing && maps.Equal(state.known.Labels, ns.Labels) {
		return
	}
	state.known = ns
	for _, dir := range slices.Sorted(maps.Keys(t.pods)) {
		k := t.pods[dir]
		p := k.now.Load().pod
		if p.Namespace != name {
			continue
		}
		k.now.Store(t.facts(p))
		for _, c := range k.containers {
			for i, sub := range t.subs {
				if c.selected[i] {
					sub.fn(c, Updated)
				}
			}
		}
	}
}

// sweep forgets pods that are gone and whose directories are not needed any
// more, and namespaces that nothing needs.
func (t *tracker) sweep(needed func(dir string) bool) {
	used := make(map[string]bool)
	for dir, k := range t.pods {
		p := k.now.Load().pod
		if p.Gone && !needed(dir) {
			delete(t.pods, dir)
			t.dirty = true
			continue
		}
		used[p.Namespace] = true
	}
	for name, state := range t.namespaces {
		if !used[name] && !state.fetching {
			delete(t.namespaces, name)
			t.dirty = true
		}
	}
}

// dueNamespaces lists the namespaces to ask for now.
func (t *tracker) dueNamespaces(now time.Time) []string {
	var due []string
	for name, state := range t.namespaces {
		if !state.fetching && !now.Before(state.due) {
			state.fetching = true
			due = append(due, name)
		}
	}
	slices.Sort(due)
	return due
}

// facts joins a pod with what is known around it.
func (t *tracker) facts(p *pod) *facts {
	f := &facts{pod: p, pathOnly: t.pathOnly, node: t.node, links: t.links}
	if t.pathOnly {
		return f
	}
	state := t.namespaces[p.Namespace]
	if state == nil {
		state = &namespaceState{}
		t.namespaces[p.Namespace] = state
	}
	f.namespace = state.known
	return f
}

func (t *tracker) selectsAny(p *pod) bool {
	return slices.ContainsFunc(t.subs, func(sub subscription) bool {
		return slices.ContainsFunc(p.Containers, func(c containerStatus) bool {
			return sub.selector.Selects(p.Namespace, c.Name, p.Labels)
		})
	})
}

// mayMatch tells whether anything in a namespace could be selected.
func (t *tracker) mayMatch(namespace string) bool {
	return slices.ContainsFunc(t.subs, func(sub subscription) bool { return sub.selector.mayMatch(namespace) })
}

// container returns the container called name, which it adds if it is new.
func (k *tracked) container(logDir, name string) *Container {
	for _, c := range k.containers {
		if c.Name == name {
			return c
		}
	}
	p := k.now.Load().pod
	c := &Container{
		Namespace: p.Namespace,
		Pod:       p.Name,
		UID:       p.dirUID(),
		Name:      name,
		Dir:       filepath.Join(logDir, p.dir(), name),
		pod:       k.now,
	}
	k.containers = append(k.containers, c)
	return c
}

func (k *tracked) selected() bool {
	return slices.ContainsFunc(k.containers, func(c *Container) bool { return slices.Contains(c.selected, true) })
}
