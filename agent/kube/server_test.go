package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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

// TestStartsAreSpread checks that an agent that knows its pods leaves the server
// alone for a while, and one that knows none does not.
func TestStartsAreSpread(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(namespaceNamed("a", nil))
	n.server.SetPod(simplePod("a", "p", "uid", nil))
	f := n.follow(everything)
	f.complete(f.expect("selected p/main")[0], 0)
	f.stop()
	if f.spread != 0 {
		t.Errorf("the first start waits for up to %v", f.spread)
	}
	asked := n.server.Count("", "")
	f = n.prepare(everything)
	if f.spread != startSpread {
		t.Errorf("the second start waits for up to %v", f.spread)
	}
	f.w.spread = 1000 * patience
	f.run()
	c := f.expect("selected p/main")[0]
	if m, complete := c.Metadata(0); !complete {
		t.Errorf("not complete: %s", m.Tail)
	}
	f.stop()
	if n.server.Count("", "") != asked {
		t.Error("the server was asked at once")
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

// TestPodsOfOtherNodesCostNothing has 250 pods on this node and 1,750 of the
// same namespace on others, all as large as real ones, and looks at what came
// and what is kept.
func TestPodsOfOtherNodesCostNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(kongNamespace())
	const here, elsewhere = 250, 1750
	var bulk strings.Builder
	for i := range here + elsewhere {
		p := kong()
		p.Name, p.UID = fmt.Sprintf("kong-%d", i), types.UID(fmt.Sprintf("uid-%d", i))
		if i >= here {
			p.Spec.NodeName = fmt.Sprintf("worker-%d", 100+i%50)
		}
		bulk.Reset()
		for k := range 40 {
			name := fmt.Sprintf("KONG_SETTING_%d", k)
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: name, Value: "not needed"})
			fmt.Fprintf(&bulk, `"k:{\"name\":\"%s\"}":{".":{},"f:name":{},"f:value":{}},`, name)
		}
		p.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(bulk.String())
		n.server.SetPod(p)
	}
	f := n.prepare(Selection{Include: []Match{{Namespaces: []string{"kong"}}}})
	f.run()
	for range here {
		f.next()
	}
	f.quiet()
	f.stop()
	cache, err := os.ReadFile(filepath.Join(n.data, cacheName))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.w.tracker.pods) != here || strings.Count(string(cache), `"uid":`) != here {
		t.Errorf("%d pods are kept, %d on disk, want %d", len(f.w.tracker.pods), strings.Count(string(cache), `"uid":`), here)
	}
	if strings.Contains(string(cache), "KONG_SETTING") || len(cache) > here*1500 {
		t.Errorf("%d bytes are on disk for %d pods", len(cache), here)
	}
	t.Logf("%d bytes on disk for %d pods", len(cache), here)
}
