package kube

import (
	"strings"
	"testing"
	"time"
)

func TestWatchGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	f := n.follow(everything)
	n.server.SetPod(simplePod("a", "p1", "1", nil))
	f.expect("selected p1/main")
	n.server.Bookmark()
	n.server.CutWatches()
	n.server.SetPod(simplePod("a", "p2", "2", nil))
	f.expect("selected p2/main")
	f.stop()
	if lists := n.server.Count("list", "pods"); lists != 1 {
		t.Errorf("%d lists after a watch that ended, want 1", lists)
	}
}

func TestServerRestartsAndHasForgottenTheHistory(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	n.server.SetPod(simplePod("a", "stays", "1", nil))
	n.server.SetPod(simplePod("a", "goes", "2", nil))
	f := n.follow(everything)
	for _, c := range f.expect("selected goes/main", "selected stays/main") {
		f.complete(c, 0)
	}
	n.server.Stop()
	n.server.DeletePod("a", "goes")
	n.server.SetPod(simplePod("a", "comes", "3", nil))
	n.server.Expire()
	f.report(func(err error) bool {
		return err != nil && strings.Contains(err.Error(), " pods at API server "+n.server.URL()+": dial tcp") &&
			strings.Contains(err.Error(), "connection refused: check that the server runs")
	})
	if err := n.server.Start(); err != nil {
		t.Fatal(err)
	}
	f.expect("gone goes/main", "selected comes/main")
	f.report(fine)
	f.quiet()
}

func TestRefusedRequestsAreExplained(t *testing.T) {
	for _, tt := range []struct {
		name string
		deny func(n *node)
		want []string
	}{
		{"list forbidden", func(n *node) { n.server.Deny("list", "pods", 403) }, []string{
			"list pods at API server https://127.0.0.1:", "forbidden (403)", "get, list and watch on pods and get on namespaces", "ClusterRole",
			`User "system:serviceaccount:millrace:agent" cannot list resource "pods"`}},
		{"watch forbidden", func(n *node) { n.server.Deny("watch", "pods", 403) }, []string{"watch pods at", "forbidden (403)"}},
		{"namespaces forbidden", func(n *node) { n.server.Deny("get", "namespaces", 403) }, []string{"get namespaces at", "forbidden (403)"}},
		{"wrong token", func(n *node) { n.kubeconfig("wrong") }, []string{"list pods at", "not authorized (401)", "token is refused"}},
		{"overloaded", func(n *node) { n.server.Deny("list", "pods", 500) }, []string{"list pods at", "the server answered"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.server.SetNamespace(namespaceNamed("a", nil))
			n.server.SetPod(simplePod("a", "p", "uid", nil))
			tt.deny(n)
			f := n.follow(everything)
			err := f.report(trouble)
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %q", part, err)
				}
			}
			if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one sentence without secrets: %q", err)
			}
			if tt.name == "wrong token" {
				return // client-go reads a kubeconfig's token once
			}
			n.server.Allow()
			f.report(fine)
			f.complete(f.expect("selected p/main")[0], 0)
		})
	}
}

func TestSlowAndBusyServer(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	n.server.SetPod(simplePod("a", "p", "uid", nil))
	n.server.Delay(50 * time.Millisecond)
	n.server.Deny("list", "pods", 429)
	f := n.follow(everything)
	if err := n.server.Await(t.Context(), "list", "pods", 2); err != nil {
		t.Fatal(err)
	}
	f.quiet()
	n.server.Allow()
	f.complete(f.expect("selected p/main")[0], 0)
}
