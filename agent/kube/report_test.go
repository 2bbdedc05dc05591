package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestReports(t *testing.T) {
	var told []string
	r := &reporter{server: "https://api", silent: true, fn: func(err error) { told = append(told, fmt.Sprint(err)) }}
	expect := func(want ...string) {
		t.Helper()
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("told %q, want %q", told, want)
		}
		told = nil
	}
	ctx := t.Context()
	busy := apierrors.NewTooManyRequests("later", 1)
	const busyText = "list pods at API server https://api: too many requests (429): trying again more slowly; if it lasts, see the server's priority and fairness settings; the server says: later"
	down := &url.Error{Op: "Get", URL: "https://api/secret?x", Err: errors.New("dial tcp 10.96.0.1:443:\nno route to host")}
	const downText = "get namespaces at API server https://api: dial tcp 10.96.0.1:443: no route to host: check that the server runs and that this node reaches it; meanwhile the pods known so far are followed"

	r.note(ctx, listPods, nil)
	expect()
	r.note(ctx, watchPods, nil)
	expect("<nil>")
	r.note(ctx, getNamespaces, down)
	r.note(ctx, getNamespaces, down)
	expect(downText)
	r.note(ctx, listPods, busy)
	expect(busyText)
	r.note(ctx, listPods, nil)
	expect(downText)
	r.note(ctx, watchPods, apierrors.NewResourceExpired("too old"))
	expect()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	r.note(ended, listPods, context.Canceled)
	expect()
	r.note(ctx, getNamespaces, nil)
	expect("<nil>")
}

// After a restart an answer about a namespace that the cache knows may come
// before anything was listed.
func TestNothingIsWellBeforeTheWatch(t *testing.T) {
	var told []string
	r := &reporter{server: "https://api", silent: true, fn: func(err error) { told = append(told, fmt.Sprint(err)) }}
	for _, request := range []int{getNamespaces, listPods} {
		r.note(t.Context(), request, nil)
	}
	if len(told) > 0 {
		t.Errorf("before the watch: %q", told)
	}
	r.note(t.Context(), watchPods, nil)
	if len(told) != 1 || told[0] != "<nil>" {
		t.Errorf("with the watch: %q", told)
	}
}
