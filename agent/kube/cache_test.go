package kube

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRestartWithoutTheServer(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(kongNamespace())
	n.server.SetPod(kong())
	n.server.SetPod(simplePod("kong", "other", "uid", nil))
	f := n.follow(Selection{Include: []Match{{Labels: "app=kong-kong"}}})
	f.complete(f.expect("selected kong-kong-6d5f8c7b9d-x2x7k/proxy")[0], 0)
	f.stop()
	n.server.Stop()

	f = n.follow(Selection{Include: []Match{{Labels: "app=kong-kong"}}})
	c := f.expect("selected kong-kong-6d5f8c7b9d-x2x7k/proxy")[0]
	if m, complete := c.Metadata(0); !complete || string(m.Tail) != stock {
		t.Errorf("complete %v: %s", complete, m.Tail)
	}
	if err := f.report(trouble); !strings.Contains(err.Error(), "the pods known so far are followed") {
		t.Errorf("got %v", err)
	}
	if err := n.server.Start(); err != nil {
		t.Fatal(err)
	}
	f.report(fine)
	n.server.DeletePod("kong", "kong-kong-6d5f8c7b9d-x2x7k")
	f.expect("gone kong-kong-6d5f8c7b9d-x2x7k/proxy")
}

func TestPodThatWentWhileTheAgentWasDown(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	n.server.SetPod(simplePod("a", "p", "uid", nil))
	f := n.follow(everything)
	f.complete(f.expect("selected p/main")[0], 0)
	f.stop()
	n.server.DeletePod("a", "p")
	f = n.follow(everything)
	f.expect("selected p/main", "gone p/main")
}

func TestPodThatIsGoneIsKeptAsLongAsItsFiles(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	n.server.SetPod(simplePod("a", "p", "uid", nil))
	dir := n.mkdir("a_p_uid")
	f := n.follow(everything)
	m := f.complete(f.expect("selected p/main")[0], 0)
	n.server.DeletePod("a", "p")
	f.expect("gone p/main")
	f.stop()
	n.server.Stop()

	f = n.follow(everything)
	c := f.expect("selected p/main", "gone p/main")[0]
	if again, complete := c.Metadata(0); !complete || string(again.Tail) != string(m.Tail) {
		t.Errorf("complete %v: %s", complete, again.Tail)
	}
	f.stop()
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := n.server.Start(); err != nil {
		t.Fatal(err)
	}
	f = n.follow(everything)
	f.report(fine)
	n.server.SetPod(simplePod("a", "next", "next", nil))
	f.expect("selected next/main")
}

func TestDamagedCacheIsDoneWithout(t *testing.T) {
	for name, content := range map[string]string{
		"empty":            "",
		"cut":              `{"version":1,"pods":[{"name`,
		"other JSON":       `[1,2]`,
		"no version":       `{"pods":[]}`,
		"null pod":         `{"version":1,"pods":[null]}`,
		"leaves directory": `{"version":1,"pods":[{"namespace":"..","name":"/../../etc","uid":"x","containers":[{"name":"c"}]}]}`,
		"bad container":    `{"version":1,"pods":[{"namespace":"a","name":"b","uid":"x","containers":[{"name":"../c"}]}]}`,
		"other node":       `{"version":1,"node":"worker-08","pods":[{"namespace":"a","name":"b","uid":"x","containers":[{"name":"c"}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.server.SetNamespace(namespaceNamed("a", nil))
			n.server.SetPod(simplePod("a", "p", "uid", nil))
			path := filepath.Join(n.data, cacheName)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			f := n.follow(everything)
			f.complete(f.expect("selected p/main")[0], 0)
			f.stop()
			if got := strings.Count(f.logged.String(), "level=WARN"); got != 1 {
				t.Errorf("%d warnings, want 1: %s", got, f.logged)
			}
			if c, err := readCache(path); err != nil || len(c.Pods) != 1 {
				t.Errorf("the next cache is no good: %v", err)
			}
		})
	}
}

func TestNewerCacheIsRefused(t *testing.T) {
	n := newNode(t)
	path := filepath.Join(n.data, cacheName)
	if err := os.WriteFile(path, []byte(`{"version":2,"pods":"of another kind"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(Options{Config: n.config, DataDir: n.data})
	if !errors.Is(err, errCacheVersion) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "delete the file") {
		t.Errorf("got %v", err)
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.data = filepath.Join(n.data, "missing")
	n.server.SetNamespace(namespaceNamed("a", nil))
	n.server.SetPod(simplePod("a", "p", "uid", nil))
	f := n.prepare(everything)
	f.w.tracker.dirty = true
	if err := f.w.save(); err == nil || !strings.Contains(err.Error(), n.data) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseCache(f *testing.F) {
	f.Add([]byte(`{"version":1,"node":"n","cluster":"c","namespaces":{"a":{"labels":{"b":"c"},"due":"2026-01-02T03:04:05Z"}},"pods":[{"namespace":"a","name":"b","uid":"c","containers":[{"name":"d","runs":[{"restart":1,"id":"x"}]}]}]}`))
	f.Add([]byte(`{"version":1,"pods":[{"namespace":"a"}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCache(data)
		if err != nil {
			return
		}
		conf := Config{LogDir: "/var/log/pods", Node: "n"}
		tr := newTracker(&conf)
		sel, err := (&Selection{Include: []Match{{}}}).Selector()
		if err != nil {
			t.Fatal(err)
		}
		tr.subs = []subscription{{sel, func(c *Container, _ Change) {
			c.Metadata(0)
			if filepath.Dir(filepath.Dir(c.Dir)) != conf.LogDir {
				t.Errorf("directory %q is not below the log directory", c.Dir)
			}
		}}}
		tr.restore(c, func(string) bool { return true })
		path := filepath.Join(t.TempDir(), cacheName)
		snapshot := tr.snapshot()
		if err := snapshot.write(path); err != nil {
			t.Fatal(err)
		}
		again, err := readCache(path)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if len(again.Pods) != len(snapshot.Pods) || !reflect.DeepEqual(again.Node, snapshot.Node) {
			t.Errorf("%d pods written, %d read", len(snapshot.Pods), len(again.Pods))
		}
	})
}
