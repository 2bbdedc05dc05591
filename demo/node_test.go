package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/agent/kube/kubetest"
	"millrace/demo/audit"
)

// site makes a node with its API server, and a book.
func site(t *testing.T) (*node, *kubetest.Server, *audit.Book) {
	t.Helper()
	dir := t.TempDir()
	api, err := startAPI(filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	book := audit.NewBook()
	n, err := newNode(filepath.Join(dir, "log"), nodeSize{maxSize: 1 << 20, maxFiles: 50}, api, book)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n, api, book
}

// lines counts the lines of the files that match whose text begins so, pieces
// of long lines as one.
func lines(t *testing.T, n *node, pattern, prefix string) (count int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(n.pods[0].programs[0].log.Dir(), "../..", pattern))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := bufio.NewScanner(f)
		for s.Scan() {
			if f := strings.SplitN(s.Text(), " ", 4); f[2] == "F" && strings.HasPrefix(f[3], prefix) {
				count++
			}
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
	}
	return count
}

func TestNodeCountsWhatItWrites(t *testing.T) {
	n, _, book := site(t)
	n.limit = 5000
	var full bool
	for i := 0; !full; i++ {
		if i > 1000 {
			t.Fatal("the limit is never reached")
		}
		var err error
		if full, err = n.advance(n.at.Add(10*time.Millisecond), 10000); err != nil {
			t.Fatal(err)
		}
	}
	c := &n.counts
	if book.Lines() != 5000 || c.due() != 5000 || c.health.Load() < 50 {
		t.Errorf("%d lines in the book, %d due, %d health checks", book.Lines(), c.due(), c.health.Load())
	}
	ours := func(prefix string) int64 {
		return lines(t, n, "kong_kong-kong-*/proxy/*", prefix) + lines(t, n, "kong_kong-stage-*/proxy/*", prefix)
	}
	if checks := ours("127.0.0.1 "); checks != c.health.Load() {
		t.Errorf("files hold %d health checks, counted %d", checks, c.health.Load())
	}
	selected := ours("")
	if all := lines(t, n, "*/*/*", ""); selected != c.selected.Load() || all-selected != c.other.Load() {
		t.Errorf("files hold %d and %d lines, counted %d and %d", selected, all-selected, c.selected.Load(), c.other.Load())
	}
}

func TestNodeContainerComesBack(t *testing.T) {
	n, _, _ := site(t)
	step := func() {
		t.Helper()
		if _, err := n.advance(n.at.Add(time.Second), 200); err != nil {
			t.Fatal(err)
		}
	}
	step()
	log := n.pods[0].programs[0].log
	before := log.ID()
	if err := n.crash("last words"); err != nil {
		t.Fatal(err)
	}
	written := log.Written()
	step()
	if log.Written() != written {
		t.Error("a container that is down wrote lines")
	}
	if err := n.recover(); err != nil {
		t.Fatal(err)
	}
	step()
	if log.Attempt() != 1 || log.ID() == before || log.Written() <= written || n.counts.restarts.Load() != 1 {
		t.Errorf("attempt %d, %d lines after %d", log.Attempt(), log.Written(), written)
	}
	if pod := apiPod(n.pods[0].Pod, n.pods[0].programs); pod.Status.ContainerStatuses[0].RestartCount != 1 ||
		pod.Status.ContainerStatuses[0].ContainerID != "containerd://"+log.ID() {
		t.Errorf("the API says %+v", pod.Status.ContainerStatuses[0])
	}
	if next := n.victim(); next == n.pods[0] || !next.selected {
		t.Errorf("the next victim is %s", next.Name)
	}
}

func TestPopulationIsSelectedByItsLabels(t *testing.T) {
	selected := 0
	seen := map[string]bool{}
	for _, p := range population(seed) {
		if seen[p.UID] {
			t.Errorf("UID of %s twice", p.Name)
		}
		seen[p.UID] = true
		if !p.selected {
			continue
		}
		selected++
		if p.Namespace != "kong" || p.programs[0].name != "proxy" || p.Labels["app.kubernetes.io/name"] != "kong" || p.Labels["environment"] == "dev" {
			t.Errorf("pod %s/%s is selected", p.Namespace, p.Name)
		}
	}
	if selected != 4 {
		t.Errorf("%d pods are selected", selected)
	}
}
