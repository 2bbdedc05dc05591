package kube

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// followPods keeps the tracker up to date from the API server. Lists,
// watches, bookmarks and waiting are client-go's reflector's.
func (w *Watcher) followPods(ctx context.Context) {
	ctx = quietly(ctx, w.log)
	source := &nodePods{client: w.client, node: w.config.Node}
	cache.NewReflectorWithOptions(source, &corev1.Pod{}, &sink{w, ctx}, cache.ReflectorOptions{Name: "pods of this node", Backoff: &pace}).
		RunWithContext(ctx)
}

// sink is the reflector's store: it keeps nothing and passes on what is
// needed of each pod.
type sink struct {
	w   *Watcher
	ctx context.Context
}

// Add takes a new pod.
func (s *sink) Add(obj any) error { return s.Update(obj) }

// Update takes a pod as it is now.
func (s *sink) Update(obj any) error {
	p, err := podOf(obj)
	if err == nil {
		s.w.do(s.ctx, func() { s.w.tracker.update(p) })
	}
	return err
}

// Delete takes the last state of a pod that is gone.
func (s *sink) Delete(obj any) error {
	p, err := podOf(obj)
	if err == nil {
		s.w.do(s.ctx, func() { s.w.tracker.removeObject(p) })
	}
	return err
}

// Replace takes all pods of the node.
func (s *sink) Replace(objs []any, _ string) error {
	pods := make([]*pod, 0, len(objs))
	for _, obj := range objs {
		p, err := podOf(obj)
		if err != nil {
			return err
		}
		pods = append(pods, p)
	}
	s.w.do(s.ctx, func() {
		s.w.tracker.replace(pods)
		s.w.listed = true
	})
	return nil
}

// Resync has nothing to do.
func (s *sink) Resync() error { return nil }

func podOf(obj any) (*pod, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("take over pod: the API server sent a %T", obj)
	}
	return newPod(p), nil
}

// rescanEvery is how often the log directory is read even if no event says
// so: it may not exist yet, and notifications can get lost or be refused
// (fs.inotify.max_user_watches).
const rescanEvery = 10 * time.Second

// followLogDir keeps the tracker up to date from the pod log directory. Only
// it and the directories of pods in namespaces that may be selected are
// watched; both change only when pods and containers come and go.
func (w *Watcher) followLogDir(ctx context.Context) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("no file notifications, reading the pod log directory every few seconds instead", "err", err)
		notify = &fsnotify.Watcher{} // its nil channels never answer
	} else {
		defer notify.Close()
	}
	s := &scanner{dir: w.config.LogDir, mayMatch: w.tracker.mayMatch, notify: notify, works: err == nil}
	ticker := time.NewTicker(rescanEvery)
	defer ticker.Stop()
	for {
		pods, err := s.scan()
		w.reports.note(ctx, scanLogDir, err)
		if err == nil {
			w.do(ctx, func() { w.tracker.replace(pods) })
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-notify.Events:
		case <-notify.Errors: //nolint:errcheck // an overflow, as a rule: reading all again makes good for it
		}
		drain(notify.Events)
	}
}

// drain takes what is in the channel, so that one scan answers many events.
func drain(events <-chan fsnotify.Event) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}

// scanner reads the pod log directory.
type scanner struct {
	dir      string
	mayMatch func(namespace string) bool
	notify   *fsnotify.Watcher
	works    bool
}

// scan lists the pods that have a directory now.
func (s *scanner) scan() ([]*pod, error) {
	s.watch(s.dir)
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("%w: is it mounted into the agent's pod, and kubernetes.log_dir its path there?", err)
	}
	var pods []*pod
	for _, entry := range entries {
		namespace, name, uid, ok := parseDir(entry.Name())
		if !ok || !entry.IsDir() || !s.mayMatch(namespace) {
			continue
		}
		p := &pod{Namespace: namespace, Name: name, UID: uid}
		switch err := s.containers(p, filepath.Join(s.dir, entry.Name())); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		}
		pods = append(pods, p)
	}
	return pods, nil
}

func (s *scanner) containers(p *pod, dir string) error {
	s.watch(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			p.Containers = append(p.Containers, containerStatus{Name: entry.Name()})
		}
	}
	return nil
}

// watch asks for notifications before the directory is read, so that nothing
// falls between. Adding a directory again is cheap. Where it is refused, the
// next rescan must do.
func (s *scanner) watch(dir string) {
	if s.works {
		_ = s.notify.Add(dir)
	}
}
