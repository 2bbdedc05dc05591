package kube

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// started does what the kubelet does when it starts a container: the log, then
// the link to it. It returns the ID in the link's name.
func (n *node) started(namespace, pod, uid, container string, restart int) (id string) {
	n.t.Helper()
	id = n.logged(namespace, pod, uid, container, restart)
	n.linked(namespace, pod, uid, container, restart, id)
	return id
}

func (n *node) logged(namespace, pod, uid, container string, restart int) (id string) {
	n.t.Helper()
	log := filepath.Join(n.mkdir(dirName(namespace, pod, uid), container), fmt.Sprint(restart, ".log"))
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		n.t.Fatal(err)
	}
	return fmt.Sprintf("%064x", 0xabc000+restart)
}

//nolint:revive // the parts of a link's name
func (n *node) linked(namespace, pod, uid, container string, restart int, id string) {
	n.t.Helper()
	dir := filepath.Join(filepath.Dir(n.config.LogDir), "containers")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	// Where the kubelet sees its directory need not be where the agent does.
	target := fmt.Sprintf("/node/log/pods/%s/%s/%d.log", dirName(namespace, pod, uid), container, restart)
	if err := os.Symlink(target, filepath.Join(dir, pod+"_"+namespace+"_"+container+"-"+id+".log")); err != nil {
		n.t.Fatal(err)
	}
}

func dockerID(m *Metadata) string { return string(m.Fields["kubernetes\x00docker_id"]) }

func TestContainerStartsWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	p := simplePod("a", "p", "uid", nil)
	p.Status = corev1.PodStatus{} // scheduled, and nothing heard of it since
	n.server.SetPod(p)
	f := n.follow(everything)
	c := f.expect("selected p/main")[0]
	f.report(fine)
	n.server.Stop()
	if m, complete := c.Metadata(0); complete || dockerID(m) != "" {
		t.Errorf("before it starts: complete %v, %s", complete, m.Tail)
	}
	id := n.started("a", "p", "uid", "main", 0)
	m, complete := c.Metadata(0)
	if complete || dockerID(m) != id {
		t.Errorf("complete %v, docker_id %q, want %q", complete, dockerID(m), id)
	}
	if again, _ := c.Metadata(0); again != m {
		t.Error("the metadata is another although nothing changed")
	}
	second := n.started("a", "p", "uid", "main", 1)
	if m, complete := c.Metadata(1); complete || dockerID(m) != second {
		t.Errorf("started again: complete %v, docker_id %q, want %q", complete, dockerID(m), second)
	}

	p.Status = simplePod("a", "p", "uid", nil).Status
	p.Status.ContainerStatuses[0].ContainerID = "containerd://" + id
	n.server.SetPod(p)
	if err := n.server.Start(); err != nil {
		t.Fatal(err)
	}
	if m := f.complete(c, 0); dockerID(m) != id || len(m.Fields["kubernetes\x00container_image"]) == 0 {
		t.Errorf("when the server is back: %s", m.Tail)
	}
}

func TestContainerStartsByPath(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.byPath()
	first := n.started("a", "p", "uid", "main", 0)
	n.linked("a", "p", "earlier-uid", "main", 0, strings.Repeat("e", 64))
	c := n.follow(everything).expect("selected p/main")[0]
	if m, complete := c.Metadata(0); !complete || dockerID(m) != first {
		t.Errorf("complete %v, docker_id %q, want %q", complete, dockerID(m), first)
	}
	// The kubelet makes the link when the container runs already.
	second := n.logged("a", "p", "uid", "main", 1)
	if m, complete := c.Metadata(1); complete || dockerID(m) != "" {
		t.Errorf("before the link is there: complete %v, %s", complete, m.Tail)
	}
	n.linked("a", "p", "uid", "main", 1, second)
	if m, complete := c.Metadata(1); !complete || dockerID(m) != second {
		t.Errorf("complete %v, docker_id %q, want %q", complete, dockerID(m), second)
	}
	if m, complete := c.Metadata(2); !complete || string(m.Tail) != fallback("a", "p", "uid", "main") {
		t.Errorf("a run whose log is gone, and its link with it: complete %v, %s", complete, m.Tail)
	}
}

// TestLinksWithoutAnID has what may lie in the directory beside links that
// name their container.
func TestLinksWithoutAnID(t *testing.T) {
	for _, tt := range []struct {
		name     string
		make     func(n *node)
		complete bool
	}{
		{"no directory of links", func(*node) {}, true},
		{"names so long that the ID was cut off", func(n *node) { n.linked("a", "p", "uid", "main", 0, strings.Repeat("a", 20)) }, true},
		{"something of 64 characters", func(n *node) { n.linked("a", "p", "uid", "main", 0, strings.Repeat("z", 64)) }, true},
		{"the link of another run", func(n *node) { n.linked("a", "p", "uid", "main", 1, strings.Repeat("a", 64)) }, false},
		{"a file that is no link", func(n *node) {
			dir := filepath.Join(filepath.Dir(n.config.LogDir), "containers")
			err := os.Mkdir(dir, 0o755)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "p_a_main-"+strings.Repeat("a", 64)+".log"), nil, 0o600)
			}
			if err != nil {
				n.t.Fatal(err)
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.byPath()
			n.logged("a", "p", "uid", "main", 0)
			tt.make(n)
			c := n.follow(everything).expect("selected p/main")[0]
			m, complete := c.Metadata(0)
			if complete != tt.complete || string(m.Tail) != fallback("a", "p", "uid", "main") {
				t.Errorf("complete %v, %s", complete, m.Tail)
			}
		})
	}
}

// TestLinkWhoseNameIsCut has names so long that the kubelet cuts the link's: no
// ID will ever come from it.
func TestLinkWhoseNameIsCut(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.byPath()
	pod := strings.Repeat("p", 150)
	n.linked("a", pod, "uid", strings.Repeat("c", 50), 0, strings.Repeat("a", 40))
	n.logged("a", pod, "uid", strings.Repeat("c", 50), 0)
	c := n.follow(everything).next().c
	if m, complete := c.Metadata(0); !complete || dockerID(m) != "" {
		t.Errorf("complete %v, %s", complete, m.Tail)
	}
}

// TestLinksAreListedWhenTheyChange checks that the directory is listed when it
// changed and not for each question.
func TestLinksAreListedWhenTheyChange(t *testing.T) {
	n := newNode(t)
	n.started("a", "p", "uid", "main", 0)
	dir := filepath.Join(filepath.Dir(n.config.LogDir), "containers")
	l := &links{dir: dir}
	c, err := NewContainer(n.config.LogDir, "worker-07", "a_p_uid", "main")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(restart int) string {
		id, _ := l.id(c, c.logPath(restart))
		return id
	}
	if ask(0) == "" {
		t.Error("not listed")
	}
	settled := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir, settled, settled); err != nil {
		t.Fatal(err)
	}
	ask(0)
	l.names = nil
	if ask(0) != "" {
		t.Error("listed although it has not changed")
	}
	n.started("a", "p", "uid", "main", 1)
	if ask(0) == "" || ask(1) == "" {
		t.Error("not listed after a link came")
	}
}

// The kubelet could not remove the link of an earlier container, whose run was
// counted as this one: the state of the runtime was lost, say.
func TestNewestLinkToARunCounts(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.byPath()
	n.linked("a", "p", "uid", "main", 0, strings.Repeat("0", 64))
	old := filepath.Join(filepath.Dir(n.config.LogDir), "containers", "p_a_main-"+strings.Repeat("0", 64)+".log")
	if err := os.Symlink("gone", old+".new"); err != nil {
		t.Fatal(err)
	}
	for changed := false; !changed; { // until the clock of the file system has moved on
		if err := errors.Join(os.Remove(old+".new"), os.Symlink("gone", old+".new")); err != nil {
			t.Fatal(err)
		}
		was, err1 := os.Lstat(old)
		is, err2 := os.Lstat(old + ".new")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		changed = is.ModTime().After(was.ModTime())
	}
	id := strings.Repeat("f", 64)
	n.linked("a", "p", "uid", "main", 0, id)
	n.logged("a", "p", "uid", "main", 0)
	c := n.follow(everything).expect("selected p/main")[0]
	if m, _ := c.Metadata(0); dockerID(m) != id {
		t.Errorf("docker_id %q", dockerID(m))
	}
}

// While the kubelet rotates a log there is none for a moment, and the link may
// be still to come.
func TestLogIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.byPath()
	n.logged("a", "p", "uid", "main", 0)
	n.linked("a", "q", "other", "main", 0, strings.Repeat("e", 64))
	c := n.follow(everything).expect("selected p/main")[0]
	log := filepath.Join(n.config.LogDir, "a_p_uid", "main", "0.log")
	if err := os.Rename(log, log+".20260101-000000"); err != nil {
		t.Fatal(err)
	}
	if m, complete := c.Metadata(0); complete || dockerID(m) != "" {
		t.Errorf("complete %t, docker_id %q", complete, dockerID(m))
	}
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("f", 64)
	n.linked("a", "p", "uid", "main", 0, id)
	if m, _ := c.Metadata(0); dockerID(m) != id {
		t.Errorf("docker_id %q", dockerID(m))
	}
}
