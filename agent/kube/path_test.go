package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func (n *node) byPath() {
	n.config.Metadata = MetadataPath
	n.config.Kubeconfig = ""
	n.data = ""
}

func TestMetadataFromThePath(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.byPath()
	n.mkdir("kong_kong-1_uid-1", "proxy")
	n.mkdir("kong_kong-1_uid-1", "istio-proxy")
	n.mkdir("shop_shop-1_uid-2", "shop")
	n.mkdir("not a pod")
	if err := os.WriteFile(filepath.Join(n.config.LogDir, "kong_file_uid"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := n.follow(Selection{Include: []Match{{Namespaces: []string{"kong"}}}, Exclude: []Match{{Names: []string{"istio-proxy"}}}})
	c := f.expect("selected kong-1/proxy")[0]
	m, complete := c.Metadata(7)
	if want := fallback("kong", "kong-1", "uid-1", "proxy"); !complete || string(m.Tail) != want {
		t.Errorf("complete %v, got %s, want %s", complete, m.Tail, want)
	}
	f.report(fine)
	if cluster, err := f.w.Cluster(t.Context()); cluster != "local" || err != nil {
		t.Errorf("cluster %q, %v", cluster, err)
	}

	n.mkdir("kong_kong-2_uid-3", "proxy")
	f.expect("selected kong-2/proxy")
	n.mkdir("kong_kong-2_uid-3", "debugger")
	f.expect("selected kong-2/debugger")
	if err := os.RemoveAll(filepath.Join(n.config.LogDir, "kong_kong-2_uid-3", "debugger")); err != nil {
		t.Fatal(err)
	}
	f.expect("gone kong-2/debugger")
	if err := os.RemoveAll(filepath.Join(n.config.LogDir, "kong_kong-1_uid-1")); err != nil {
		t.Fatal(err)
	}
	f.expect("gone kong-1/proxy")
	f.stop()
	if entries := n.server.Requests(); len(entries) != 0 {
		t.Errorf("the API server was asked: %v", entries)
	}
}

func TestLogDirectoryThatIsMissing(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.byPath()
	n.config.LogDir = filepath.Join(n.config.LogDir, "missing")
	f := n.follow(everything)
	err := f.report(trouble)
	if !strings.Contains(err.Error(), n.config.LogDir) || !strings.Contains(err.Error(), "is it mounted into the agent's pod") {
		t.Errorf("got %v", err)
	}
}

// TestScanOfUnselectedNamespaces checks that what cannot be selected is not
// even looked into.
func TestScanOfUnselectedNamespaces(t *testing.T) {
	dir := t.TempDir()
	for _, pod := range []string{"a_p_1", "b_p_2"} {
		if err := os.MkdirAll(filepath.Join(dir, pod, "main"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := scanner{dir: dir, mayMatch: func(namespace string) bool { return namespace == "a" }}
	pods, err := s.scan()
	if err != nil || len(pods) != 1 || pods[0].Namespace != "a" || len(pods[0].Containers) != 1 {
		t.Errorf("got %v, %v", pods, err)
	}
}

// TestNotifications checks that what is scanned is watched, for a new pod and
// for a new container of a pod.
func TestNotifications(t *testing.T) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	dir := t.TempDir()
	s := scanner{dir: dir, mayMatch: func(string) bool { return true }, notify: notify, works: true}
	for _, path := range []string{"a_p_1", "a_p_1/main", "a_p_1/second"} {
		if _, err := s.scan(); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-notify.Events:
			if e.Name != filepath.Join(dir, path) {
				t.Errorf("notified of %v, want %s", e, path)
			}
		case <-time.After(patience):
			t.Fatalf("not notified of %s", path)
		}
	}
}

func TestNewContainer(t *testing.T) {
	c, err := NewContainer("/var/log/pods", "worker-07", "a_b_c", "main")
	if err != nil {
		t.Fatal(err)
	}
	if m, complete := c.Metadata(0); !complete || string(m.Tail) != fallback("a", "b", "c", "main") {
		t.Errorf("complete %v: %s", complete, m.Tail)
	}
	if c.Dir != "/var/log/pods/a_b_c/main" || c.Key() != "a_b_c/main" {
		t.Errorf("Dir %q, Key %q", c.Dir, c.Key())
	}
	if _, err := NewContainer("/var/log/pods", "worker-07", "a_b", "main"); err == nil {
		t.Error("a directory without UID is accepted")
	}
}

func FuzzParseDir(f *testing.F) {
	for _, dir := range []string{"kong_kong-1_uid", "a_b", "a__c", "a_b_c_d", "a_b_../..", "_", ""} {
		f.Add(dir)
	}
	f.Fuzz(func(t *testing.T, dir string) {
		namespace, name, uid, ok := parseDir(dir)
		if !ok {
			return
		}
		if dirName(namespace, name, uid) != dir || namespace == "" || name == "" || uid == "" {
			t.Errorf("%q -> %q %q %q", dir, namespace, name, uid)
		}
		if filepath.Dir(filepath.Join("/logs", dir)) != "/logs" {
			t.Errorf("%q leaves the log directory", dir)
		}
	})
}
