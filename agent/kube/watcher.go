// Package kube knows which containers run on this node, what they are called
// and which of them a pipeline selects.
//
// It holds one list and one watch of the node's pods, fetches the namespaces
// of selected pods one by one, and keeps both on disk, so that a restart
// without the API server goes on as before. With metadata: path it reads
// names from the pod log directory instead and asks nobody.
//
// Subscribers are told of every change by the goroutine of Watcher.Run, in
// order. Everything that Run starts has ended when it returns.
package kube

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// saveEvery bounds how often the disk cache is written.
	saveEvery = 5 * time.Second
	// startSpread is within which the agents of a cluster ask the API server
	// when all nodes start at once. An agent whose disk cache tells it what to
	// follow waits a part of it at random; another one does not wait.
	startSpread = 5 * time.Second
	// sweepEvery is how often pods that are gone are looked after, and
	// namespaces whose labels have become old.
	sweepEvery = time.Minute
)

// Options are what a Watcher needs. All are required.
type Options struct {
	Config  Config
	DataDir string // holds the disk cache; must exist. Not used with metadata: path
	Logger  *slog.Logger
	// Report is told when the API server cannot be asked, in a sentence for an
	// operator, and nil when all is well; first when that is known, then on
	// every change. It is never called twice at once and must not block.
	Report func(error)
}

// Watcher follows the containers of one node.
type Watcher struct {
	config  Config
	log     *slog.Logger
	path    string // of the disk cache; empty: none
	reports *reporter
	client  *client // nil with metadata: path
	tracker *tracker
	restore *cached
	todo    chan func() // what Run's goroutine is to do next

	held []func() []string // directories of containers whose files somebody holds

	spread       time.Duration // see startSpread
	listed       bool          // and what the list took up is not given back yet
	clusterSaved string        // in the disk cache
	saveFailed   bool

	mu      sync.Mutex
	cluster string // empty: not known yet
}

// New prepares a Watcher. It reads the kubeconfig or the service account and
// the disk cache, and asks nobody. A damaged cache is logged and done
// without; one made by a newer version is an error.
func New(o Options) (*Watcher, error) {
	w := &Watcher{
		config:  o.Config,
		log:     o.Logger,
		reports: &reporter{fn: o.Report, silent: true},
		tracker: newTracker(&o.Config),
		restore: &cached{},
		todo:    make(chan func()),
		cluster: o.Config.Cluster,
	}
	if o.Config.Metadata == MetadataPath {
		if w.cluster == "" {
			w.cluster = "local"
		}
		return w, nil
	}
	client, err := newClient(&o.Config)
	if err != nil {
		return nil, err
	}
	w.client = client
	client.note = w.reports.note
	w.reports.server = client.server
	w.path = filepath.Join(o.DataDir, cacheName)
	if err := w.load(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *Watcher) load() error {
	c, err := readCache(w.path)
	switch {
	case errors.Is(err, errCacheVersion):
		return err
	case err != nil:
		w.log.Warn("pod cache not usable, starting without it", "err", err)
		return nil
	case c.Node != "" && c.Node != w.config.Node:
		w.log.Warn("pod cache is of another node, starting without it", "path", w.path, "node", c.Node)
		return nil
	}
	w.restore = c
	if len(c.Pods) > 0 {
		w.spread = startSpread
	}
	w.clusterSaved = c.Cluster
	if w.cluster == "" {
		w.cluster = c.Cluster
	}
	return nil
}

// Subscribe has fn called for every change of a container that sel selects.
// All calls, those of other subscribers too, come from the goroutine of Run,
// one after another: fn must not block for long. Subscribe must not be called
// after Run.
func (w *Watcher) Subscribe(sel *Selector, fn func(c *Container, what Change)) {
	w.tracker.subs = append(w.tracker.subs, subscription{sel, fn})
}

// Held has the watcher ask which containers somebody holds files of, in
// directories as Container.Key names them: their pods are not forgotten before
// that, even if they and their directories are gone, also over a restart. It
// must not be called after Run.
func (w *Watcher) Held(containers func() []string) { w.held = append(w.held, containers) }

// needed tells whether anything of a pod's directory is left, or held.
func (w *Watcher) needed() func(dir string) bool {
	held := map[string]bool{}
	for _, containers := range w.held {
		for _, key := range containers() {
			held[filepath.Dir(key)] = true
		}
	}
	return func(dir string) bool {
		return held[dir] || exists(filepath.Join(w.config.LogDir, dir))
	}
}

// followHeld delivers the pods that are gone from the log directory while files
// of theirs are held, where there is no disk cache that knows them.
func (w *Watcher) followHeld() {
	pods := map[string]*pod{}
	for _, containers := range w.held {
		for _, key := range containers() {
			dir, container := filepath.Split(key)
			dir = filepath.Clean(dir)
			namespace, name, uid, ok := parseDir(dir)
			if !ok || exists(filepath.Join(w.config.LogDir, dir)) {
				continue
			}
			if pods[dir] == nil {
				pods[dir] = &pod{Namespace: namespace, Name: name, UID: uid}
			}
			pods[dir].Containers = append(pods[dir].Containers, containerStatus{Name: container})
		}
	}
	for dir, p := range pods {
		w.tracker.update(p)
		w.tracker.remove(dir)
	}
}

// Cluster is the name of the cluster: as configured, or the UID of the
// namespace kube-system, which is read once and kept in the disk cache. It
// blocks until the API server has said so; trouble goes to Report. It fails
// only when ctx ends.
func (w *Watcher) Cluster(ctx context.Context) (string, error) {
	w.mu.Lock()
	cluster := w.cluster
	w.mu.Unlock()
	if cluster != "" {
		return cluster, nil
	}
	err := w.retry(ctx, func(ctx context.Context) bool {
		ns, err := w.client.namespace(ctx, "kube-system")
		if err != nil {
			return false
		}
		cluster = string(ns.UID)
		return true
	})
	if err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cluster = cluster
	return cluster, nil
}

// pace is how requests that failed are made again: after 0.8 to 1.6 s, and
// then twice as long each time up to 10 to 20 s. That is a third of the
// reflector's own longest pause: an agent is not ready before its watch is, and
// a roll of the DaemonSet waits for that.
var pace = wait.Backoff{Duration: 800 * time.Millisecond, Cap: 10 * time.Second, Steps: 13, Factor: 2, Jitter: 1}

// retry calls ask until it succeeds.
func (w *Watcher) retry(ctx context.Context, ask func(context.Context) bool) error {
	return pace.DelayFunc().Until(quietly(ctx, w.log), true, true, func(ctx context.Context) (bool, error) {
		return ask(ctx), nil
	})
}

// Run delivers the containers of the disk cache, then follows those of the
// node until ctx is done. It returns nil then, or what kept the disk cache
// from being saved.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.tracker.restore(w.restore, w.needed())
	w.restore = nil
	if w.client == nil {
		w.followHeld()
	}
	var started sync.WaitGroup
	if w.client == nil {
		started.Go(func() { w.followLogDir(ctx) })
	} else {
		started.Go(func() {
			if w.pause(ctx) {
				w.followPods(ctx)
			}
		})
	}
	w.loop(ctx, &started)
	cancel()
	started.Wait()
	if w.client != nil {
		w.client.close()
	}
	return w.save()
}

// pause lets part of the spread pass. It returns false when ctx is done.
func (w *Watcher) pause(ctx context.Context) bool {
	if w.spread <= 0 {
		return true
	}
	timer := time.NewTimer(rand.N(w.spread))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// loop does everything that changes the tracker.
func (w *Watcher) loop(ctx context.Context, started *sync.WaitGroup) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for {
		if w.client != nil {
			for _, name := range w.tracker.dueNamespaces(time.Now()) {
				started.Go(func() { w.fetchNamespace(ctx, name) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case f := <-w.todo:
			f()
		case <-sweep.C:
			w.tracker.sweep(w.needed())
		case <-save.C:
			w.warn(w.save())
			w.giveBack()
		}
	}
}

// giveBack returns to the kernel what a list of pods took up: the whole objects
// of all pods, of which little is kept. Where few lines are written it would
// stay for long, because nothing else makes the garbage collector run.
func (w *Watcher) giveBack() {
	if w.listed {
		w.listed = false
		debug.FreeOSMemory()
	}
}

// do has f run on Run's goroutine and returns when that has begun, or when
// ctx is done.
func (w *Watcher) do(ctx context.Context, f func()) {
	select {
	case w.todo <- f:
	case <-ctx.Done():
	}
}

// fetchNamespace asks until there is an answer.
func (w *Watcher) fetchNamespace(ctx context.Context, name string) {
	var found *namespace
	err := w.retry(ctx, func(ctx context.Context) bool {
		ns, err := w.client.namespace(ctx, name)
		switch {
		case err == nil:
			found = &namespace{Labels: ns.Labels}
		case apierrors.IsNotFound(err):
			found = &namespace{Missing: true}
		}
		return found != nil
	})
	if err == nil {
		w.do(ctx, func() { w.tracker.setNamespace(name, found) })
	}
}

// warn logs what keeps the disk cache from being saved, once until saving
// works again.
func (w *Watcher) warn(err error) {
	if err != nil && !w.saveFailed {
		w.log.Warn("pod cache not saved, a restart without the API server would not know the newest pods", "err", err)
	}
	w.saveFailed = err != nil
}

// save writes the disk cache if it is out of date.
func (w *Watcher) save() error {
	cluster := w.clusterUID()
	if w.path == "" || !w.tracker.dirty && cluster == w.clusterSaved {
		return nil
	}
	c := w.tracker.snapshot()
	c.Cluster = cluster
	if err := c.write(w.path); err != nil {
		return err
	}
	w.tracker.dirty = false
	w.clusterSaved = cluster
	return nil
}

// clusterUID is the cluster's name as far as it came from the API server. A
// configured one is not kept, so that taking it out of the configuration
// counts at once.
func (w *Watcher) clusterUID() string {
	if w.config.Cluster != "" {
		return w.clusterSaved
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cluster
}

// exists tells whether there is anything at path; when in doubt, there is.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
