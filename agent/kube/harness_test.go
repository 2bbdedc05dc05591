package kube

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"millrace/agent/kube/kubetest"
)

const token = "the agent's token"

// patience is how long a test waits before it gives up on something that
// should happen; nothing is measured by it.
const patience = time.Minute

// node is one node of a cluster: its log directory, its agent's data
// directory and the API server.
type node struct {
	t      *testing.T
	server *kubetest.Server
	config Config
	data   string
}

func newNode(t *testing.T) *node {
	t.Helper()
	server, err := kubetest.New(token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	n := &node{t: t, server: server, data: t.TempDir()}
	n.config = Config{
		Node:       "worker-07",
		Metadata:   MetadataAPI,
		Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"),
		LogDir:     filepath.Join(t.TempDir(), "pods"),
	}
	n.mkdir()
	n.kubeconfig(token)
	return n
}

func (n *node) kubeconfig(token string) {
	n.t.Helper()
	if err := n.server.Kubeconfig(n.config.Kubeconfig, token); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) mkdir(elem ...string) string {
	n.t.Helper()
	dir := filepath.Join(append([]string{n.config.LogDir}, elem...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	return dir
}

// seen is one call of a subscriber.
type seen struct {
	what Change
	c    *Container
}

func (s seen) String() string { return s.what.String() + " " + s.c.Pod + "/" + s.c.Name }

// following is a running watcher with one subscriber.
type following struct {
	n       *node
	w       *Watcher
	seen    chan seen
	reports chan error
	logged  *strings.Builder
	spread  time.Duration // what the watcher's was
	stop    func()
}

// follow starts a watcher that selects by the given selection.
func (n *node) follow(sel Selection) *following {
	n.t.Helper()
	f := n.prepare(sel)
	f.run()
	return f
}

func (n *node) prepare(sel Selection) *following {
	n.t.Helper()
	f := &following{n: n, seen: make(chan seen, 1000), reports: make(chan error, 1000), logged: &strings.Builder{}}
	var err error
	f.w, err = New(Options{
		Config:  n.config,
		DataDir: n.data,
		Logger:  slog.New(slog.NewTextHandler(f.logged, nil)),
		Report:  func(err error) { f.reports <- err },
	})
	if err != nil {
		n.t.Fatal(err)
	}
	f.spread, f.w.spread = f.w.spread, 0 // no test waits for chance
	f.w.Subscribe(n.selector(sel), func(c *Container, what Change) { f.seen <- seen{what, c} })
	return f
}

func (f *following) run() {
	ctx, cancel := context.WithCancel(f.n.t.Context())
	done := make(chan error, 1)
	go func() { done <- f.w.Run(ctx) }()
	stopped := false
	f.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			f.n.t.Errorf("Run: %v", err)
		}
	}
	f.n.t.Cleanup(f.stop)
}

func (n *node) selector(sel Selection) *Selector {
	n.t.Helper()
	s, err := sel.Selector()
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// next waits for the next call of the subscriber, leaving out updates.
func (f *following) next() seen {
	f.n.t.Helper()
	for {
		select {
		case s := <-f.seen:
			if s.what != Updated {
				return s
			}
		case <-time.After(patience):
			f.n.t.Fatal("nothing came")
		}
	}
}

// expect waits for calls, which must be these in this order, and returns
// their containers.
func (f *following) expect(want ...string) []*Container {
	f.n.t.Helper()
	var cs []*Container
	for i, w := range want {
		got := f.next()
		if got.String() != w {
			f.n.t.Fatalf("call %d: got %q, want %q", i, got, w)
		}
		cs = append(cs, got.c)
	}
	return cs
}

// quiet checks that no call is waiting.
func (f *following) quiet() {
	f.n.t.Helper()
	for {
		select {
		case s := <-f.seen:
			if s.what != Updated {
				f.n.t.Fatalf("unexpected: %v", s)
			}
		default:
			return
		}
	}
}

// complete waits until the metadata of a run is complete.
func (f *following) complete(c *Container, restart int) *Metadata {
	f.n.t.Helper()
	for {
		m, complete := c.Metadata(restart)
		if complete {
			return m
		}
		select {
		case s := <-f.seen:
			if s.what != Updated {
				f.n.t.Fatalf("unexpected: %v", s)
			}
		case <-time.After(patience):
			f.n.t.Fatalf("metadata never complete, last %s", m.Tail)
		}
	}
}

// report waits for the report that matches.
func (f *following) report(match func(error) bool) error {
	f.n.t.Helper()
	var last error
	for {
		select {
		case last = <-f.reports:
			if match(last) {
				return last
			}
		case <-time.After(patience):
			f.n.t.Fatalf("not reported; last report: %v", last)
		}
	}
}

func fine(err error) bool    { return err == nil }
func trouble(err error) bool { return err != nil }

// kong is the pod of the example record, running.
func kong() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kong",
			Name:      "kong-kong-6d5f8c7b9d-x2x7k",
			UID:       "3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11",
			Labels: map[string]string{
				"version": "3.9", "app": "kong-kong", "app.kubernetes.io/name": "kong",
				"app.kubernetes.io/version": "3.9", "app.kubernetes.io/component": "app",
				"app.kubernetes.io/instance": "kong", "app.kubernetes.io/managed-by": "Helm",
				"helm.sh/chart": "kong-2.48.0", "pod-template-hash": "6d5f8c7b9d",
			},
			Annotations: map[string]string{
				"traffic.sidecar.istio.io/includeInboundPorts": "",
				"kuma.io/service-account-token-volume":         "kong-kong-token",
				"kuma.io/gateway":                              "enabled",
			},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager"}},
		},
		Spec: corev1.PodSpec{
			NodeName:   "worker-07",
			Containers: []corev1.Container{{Name: "proxy", Image: "kong:3.9"}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning,
			PodIP: "10.42.3.88",
			ContainerStatuses: []corev1.ContainerStatus{{
				Name:        "proxy",
				ContainerID: "containerd://9f1c4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e",
				Image:       "docker.io/library/kong:3.9",
				ImageID:     "docker.io/library/kong@sha256:4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e9f1c",
			}},
		},
	}
}

func kongNamespace() *corev1.Namespace {
	return namespaceNamed("kong", map[string]string{"kubernetes.io/metadata.name": "kong"})
}

func namespaceNamed(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name + "-uid"), Labels: labels}}
}

// simplePod has one container, main, that runs.
func simplePod(namespace, name, uid string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), Labels: maps.Clone(labels)},
		Spec:       corev1.PodSpec{NodeName: "worker-07", Containers: []corev1.Container{{Name: "main"}}},
		Status: corev1.PodStatus{PodIP: "10.0.0.1", ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", ContainerID: "containerd://id-of-" + uid, Image: "image:1", ImageID: "sha256:1",
		}}},
	}
}

var everything = Selection{Include: []Match{{}}}

// fallback is the record's end when nothing but the path is known.
func fallback(namespace, pod, uid, container string) string {
	return fmt.Sprintf(`,"kubernetes":{"pod_name":%q,"namespace_name":%q,"pod_id":%q,"host":"worker-07","container_name":%q}`,
		pod, namespace, uid, container)
}
