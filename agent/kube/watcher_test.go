package kube

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestOneListOneWatchOneGetPerNamespace(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, ns := range []string{"a", "b", "unselected"} {
		n.server.SetNamespace(namespaceNamed(ns, map[string]string{"name": ns}))
		for _, pod := range []string{"1", "2", "3"} {
			n.server.SetPod(simplePod(ns, ns+pod, ns+pod, nil))
		}
	}
	elsewhere := simplePod("a", "elsewhere", "elsewhere", nil)
	elsewhere.Spec.NodeName = "worker-08"
	n.server.SetPod(elsewhere)
	f := n.follow(Selection{Include: []Match{{Namespaces: []string{"a", "b"}}}})
	cs := f.expect("selected a1/main", "selected a2/main", "selected a3/main", "selected b1/main", "selected b2/main", "selected b3/main")
	for _, c := range cs {
		f.complete(c, 0)
	}
	n.server.SetPod(simplePod("b", "b4", "b4", nil))
	f.complete(f.expect("selected b4/main")[0], 0)
	f.stop()
	if got := []int{n.server.Count("list", "pods"), n.server.Count("watch", "pods"), n.server.Count("get", "namespaces"), n.server.Count("", "")}; got[0] != 1 || got[1] != 1 || got[2] != 2 || got[3] != 4 {
		t.Errorf("lists, watches, namespaces, all = %v, want 1 1 2 4", got)
	}
	for _, r := range n.server.Requests() {
		if r.Resource == "pods" && r.Query.Get("fieldSelector") != "spec.nodeName=worker-07" {
			t.Errorf("%s with field selector %q", r.Verb, r.Query.Get("fieldSelector"))
		}
		if r.Verb == "list" && r.Query.Get("resourceVersion") != "0" {
			t.Errorf("list at resource version %q, not from the server's cache", r.Query.Get("resourceVersion"))
		}
	}
	if len(f.w.tracker.pods) != 7 || len(f.w.tracker.namespaces) != 2 {
		t.Errorf("%d pods and %d namespaces are kept", len(f.w.tracker.pods), len(f.w.tracker.namespaces))
	}
}

func TestLabelsChangeOnALivePod(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	f := n.prepare(Selection{Include: []Match{{Labels: "logs=on"}}})
	others := make(chan seen, 100)
	f.w.Subscribe(n.selector(everything), func(c *Container, what Change) { others <- seen{what, c} })
	f.run()
	f.report(fine)
	labelled := func(value string) { n.server.SetPod(simplePod("a", "p", "uid", map[string]string{"logs": value})) }
	labelled("off")
	labelled("on")
	c := f.expect("selected p/main")[0]
	m := f.complete(c, 0)
	if got := string(m.Fields["kubernetes\x00labels\x00logs"]); got != "on" {
		t.Errorf("label is %q", got)
	}
	labelled("off")
	f.expect("deselected p/main")
	labelled("on")
	again := f.expect("selected p/main")[0]
	if again.Key() != c.Key() {
		t.Errorf("key %q, before %q", again.Key(), c.Key())
	}
	n.server.DeletePod("a", "p")
	f.expect("gone p/main")
	var other []Change
	for s := range others {
		other = append(other, s.what)
		if s.what == Gone {
			break
		}
	}
	for _, what := range other[1 : len(other)-1] {
		if what != Updated {
			t.Errorf("the subscriber that selects everything saw %v", other)
		}
	}
}

func TestSameNameOtherUID(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	f := n.follow(everything)
	n.server.SetPod(simplePod("a", "db-0", "first", map[string]string{"generation": "1"}))
	first := f.expect("selected db-0/main")[0]
	f.complete(first, 0)
	n.server.DeletePod("a", "db-0")
	n.server.SetPod(simplePod("a", "db-0", "second", map[string]string{"generation": "2"}))
	second := f.expect("gone db-0/main", "selected db-0/main")[1]
	for c, want := range map[*Container][3]string{first: {"first", "1", "id-of-first"}, second: {"second", "2", "id-of-second"}} {
		m := f.complete(c, 0)
		got := [3]string{string(m.Fields["kubernetes\x00pod_id"]), string(m.Fields["kubernetes\x00labels\x00generation"]), string(m.Fields["kubernetes\x00docker_id"])}
		if got != want {
			t.Errorf("%s: got %v, want %v", c.Key(), got, want)
		}
	}
}

func TestRestartsOfAContainer(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	f := n.follow(everything)
	p := simplePod("a", "p", "uid", nil)
	n.server.SetPod(p)
	c := f.expect("selected p/main")[0]
	f.complete(c, 0)
	if _, complete := c.Metadata(1); complete {
		t.Error("metadata of a run that has not begun is complete")
	}
	status := &p.Status.ContainerStatuses[0]
	status.RestartCount, status.ContainerID, status.Image, status.ImageID = 1, "containerd://second", "image:2", "sha256:2"
	status.LastTerminationState = terminated("containerd://id-of-uid")
	n.server.SetPod(p)
	second := f.complete(c, 1)
	first := f.complete(c, 0)
	field := func(m *Metadata, name string) string { return string(m.Fields["kubernetes\x00"+name]) }
	if got := field(first, "docker_id") + " " + field(first, "container_image"); got != "id-of-uid image:1" {
		t.Errorf("first run: %s", got)
	}
	if got := field(second, "docker_id") + " " + field(second, "container_image"); got != "second image:2" {
		t.Errorf("second run: %s", got)
	}
	f.quiet()
}

func TestPodGoneBeforeItsMetadataCame(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.Deny("get", "namespaces", 500)
	f := n.follow(everything)
	p := simplePod("a", "job", "uid", nil)
	p.Status = corev1.PodStatus{}
	n.server.SetPod(p)
	c := f.expect("selected job/main")[0]
	if m, complete := c.Metadata(0); complete || string(m.Tail) != fallback("a", "job", "uid", "main") {
		t.Errorf("complete %v: %s", complete, m.Tail)
	}
	n.server.DeletePod("a", "job")
	f.expect("gone job/main")
	if m, complete := c.Metadata(0); complete || string(m.Tail) != fallback("a", "job", "uid", "main") {
		t.Errorf("complete %v: %s", complete, m.Tail)
	}
	n.server.SetNamespace(namespaceNamed("a", nil))
	n.server.Allow()
	f.report(fine)
	deadline := time.After(patience)
	for complete := false; !complete; {
		select {
		case <-deadline:
			t.Fatal("metadata of a pod that is gone is never complete")
		default:
			_, complete = c.Metadata(0)
		}
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("kube-system", nil))
	n.server.Stop()
	f := n.prepare(everything)
	type answer struct {
		name string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		name, err := f.w.Cluster(t.Context())
		answers <- answer{name, err}
	}()
	if err := f.report(trouble); !strings.Contains(err.Error(), "get namespaces at") {
		t.Errorf("got %v", err)
	}
	if err := n.server.Start(); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.err != nil || a.name != "kube-system-uid" {
		t.Errorf("got %v", a)
	}
	f.run()
	f.report(fine)
	f.stop()
	n.server.Stop()
	if name, err := n.prepare(everything).w.Cluster(t.Context()); err != nil || name != "kube-system-uid" {
		t.Errorf("after a restart without the API server: %q, %v", name, err)
	}
	n.config.Cluster = "named"
	if name, err := n.prepare(everything).w.Cluster(t.Context()); err != nil || name != "named" {
		t.Errorf("configured: %q, %v", name, err)
	}
}

func TestStaticPodWhoseMirrorIsMadeAnew(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("kube-system", nil))
	f := n.follow(everything)
	mirror := func(uid string) *corev1.Pod {
		p := simplePod("kube-system", "etcd", uid, nil)
		p.Annotations = map[string]string{mirrorAnnotation: "hash", hashAnnotation: "hash"}
		return p
	}
	n.server.SetPod(mirror("1"))
	first := f.expect("selected etcd/main")[0]
	n.server.DeletePod("kube-system", "etcd")
	n.server.SetPod(mirror("2"))
	second := f.expect("gone etcd/main", "selected etcd/main")[1]
	if first.Key() != second.Key() || first.UID != "hash" {
		t.Errorf("keys %q and %q", first.Key(), second.Key())
	}
}

func TestNamespaceThatIsMissing(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetPod(simplePod("a", "p", "uid", nil))
	f := n.follow(everything)
	m := f.complete(f.expect("selected p/main")[0], 0)
	if strings.Contains(string(m.Tail), "kubernetes_namespace") {
		t.Errorf("got %s", m.Tail)
	}
	f.report(fine)
	f.stop()
	var versions []string
	for _, r := range n.server.Requests() {
		if r.Resource == "namespaces" {
			versions = append(versions, r.Query.Get("resourceVersion"))
		}
	}
	if !slices.Equal(versions, []string{"0", ""}) {
		t.Errorf("asked at versions %q: a namespace that was just made may be missing from the server's cache", versions)
	}
}

// newTestTracker selects everything with the given labels and notes the calls.
func newTestTracker(t *testing.T, labels string) (tr *tracker, calls *[]seen) {
	t.Helper()
	tr = newTracker(&Config{LogDir: "/var/log/pods"})
	sel, err := (&Selection{Include: []Match{{Labels: labels}}}).Selector()
	if err != nil {
		t.Fatal(err)
	}
	calls = &[]seen{}
	tr.subs = []subscription{{sel, func(c *Container, what Change) { *calls = append(*calls, seen{what, c}) }}}
	return tr, calls
}

func TestPodsThatAreNotSelectedAreNotKept(t *testing.T) {
	tr, calls := newTestTracker(t, "logs=on")
	tr.update(newPod(simplePod("a", "p", "uid", nil)))
	if len(tr.pods) != 0 || len(tr.namespaces) != 0 {
		t.Error("kept though never selected")
	}
	tr.update(newPod(simplePod("a", "p", "uid", map[string]string{"logs": "on"})))
	tr.update(newPod(simplePod("a", "p", "uid", nil)))
	if len(tr.pods) != 0 || len(*calls) != 2 {
		t.Errorf("kept though no longer selected: %v", *calls)
	}
}

func TestChangesThatDoNotMatter(t *testing.T) {
	tr, calls := newTestTracker(t, "")
	p := simplePod("a", "p", "uid", nil)
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second"})
	tr.update(newPod(p))
	c := (*calls)[0].c
	m, _ := c.Metadata(0)
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady}}
	p.Annotations = map[string]string{}
	tr.update(newPod(p))
	if len(*calls) != 2 {
		t.Errorf("readiness is told: %v", *calls)
	}
	p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "second", ContainerID: "containerd://x"})
	tr.update(newPod(p))
	if len(*calls) != 4 {
		t.Errorf("a container that started is not told: %v", *calls)
	}
	if again, _ := c.Metadata(0); again != m {
		t.Error("another container's start changes the metadata")
	}
	for restart := range 3 * maxRuns {
		c.Metadata(restart)
	}
	if len(c.rendered) > maxRuns {
		t.Errorf("%d renderings are kept", len(c.rendered))
	}
}

func TestNamespacesAreReadAgain(t *testing.T) {
	tr, calls := newTestTracker(t, "")
	tr.update(newPod(simplePod("a", "p", "uid", nil)))
	now := time.Now()
	if due := tr.dueNamespaces(now); len(due) != 1 || len(tr.dueNamespaces(now)) != 0 {
		t.Fatalf("due: %v, and asked for twice", due)
	}
	tr.setNamespace("a", &namespace{Labels: map[string]string{"a": "1"}})
	if due := tr.dueNamespaces(now.Add(namespaceAge - time.Second)); len(due) != 0 {
		t.Errorf("due early: %v", due)
	}
	if due := tr.dueNamespaces(now.Add(2 * namespaceAge)); len(due) != 1 {
		t.Errorf("never due again")
	}
	tr.setNamespace("a", &namespace{Labels: map[string]string{"a": "1"}})
	tr.setNamespace("a", &namespace{Labels: map[string]string{"a": "2"}})
	if len(*calls) != 3 {
		t.Errorf("calls %v, want selected and one updated for each change of labels", *calls)
	}
	tr.remove("a_p_uid")
	tr.sweep(func(string) bool { return true })
	if len(tr.pods) != 1 || len(tr.namespaces) != 1 {
		t.Error("a pod whose directory is still there is forgotten")
	}
	tr.sweep(func(string) bool { return false })
	if len(tr.pods) != 0 {
		t.Error("a pod without directory is kept")
	}
	tr.sweep(func(string) bool { return false })
	if len(tr.namespaces) != 0 {
		t.Error("a namespace that nothing needs is kept")
	}
}
