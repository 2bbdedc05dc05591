package kubetest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// api is a client-go client of the server.
type api struct {
	t    *testing.T
	ctx  context.Context
	rest *rest.RESTClient
}

func start(t *testing.T) *Server {
	t.Helper()
	s, err := New("secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, s *Server, token, accept string) *api {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := s.Kubeconfig(path, token); err != nil {
		t.Fatal(err)
	}
	conf, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	conf.APIPath = "/api"
	conf.GroupVersion = &corev1.SchemeGroupVersion
	conf.NegotiatedSerializer = codecs.WithoutConversion()
	conf.AcceptContentTypes = accept
	client, err := rest.RESTClientFor(conf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return &api{t, ctx, client}
}

func (a *api) list(query ...string) (*corev1.PodList, error) {
	r := a.rest.Get().Resource("pods")
	for i := 0; i < len(query); i += 2 {
		r = r.Param(query[i], query[i+1])
	}
	list := &corev1.PodList{}
	return list, r.Do(a.ctx).Into(list)
}

func (a *api) watch(query ...string) watch.Interface {
	a.t.Helper()
	r := a.rest.Get().Resource("pods").Param("watch", "true")
	for i := 0; i < len(query); i += 2 {
		r = r.Param(query[i], query[i+1])
	}
	w, err := r.Watch(a.ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(w.Stop)
	return w
}

// expect reads events, which must be these: TYPE name.
func (a *api) expect(w watch.Interface, want ...string) {
	a.t.Helper()
	for _, want := range want {
		select {
		case e, ok := <-w.ResultChan():
			got := "END"
			if ok {
				got = string(e.Type) + " "
				if p, is := e.Object.(*corev1.Pod); is {
					got += p.Name
				} else {
					got += apierrors.FromObject(e.Object).Error()
				}
			}
			if got != want {
				a.t.Fatalf("got %q, want %q", got, want)
			}
		case <-a.ctx.Done():
			a.t.Fatalf("nothing came, want %q", want)
		}
	}
}

func pod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node},
	}
}

func TestListAndWatch(t *testing.T) {
	for name, accept := range map[string]string{"JSON": runtime.ContentTypeJSON, "protobuf": runtime.ContentTypeProtobuf} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.SetPod(pod("one", "n1"))
			s.SetPod(pod("two", "n2"))
			a := connect(t, s, "secret", accept)
			list, err := a.list("fieldSelector", "spec.nodeName=n1")
			if err != nil || len(list.Items) != 1 || list.Items[0].Labels["app"] != "one" {
				t.Fatalf("got %v, %v", list.Items, err)
			}
			w := a.watch("fieldSelector", "spec.nodeName=n1", "resourceVersion", list.ResourceVersion, "allowWatchBookmarks", "true")
			s.SetPod(pod("two", "n2"))
			s.SetPod(pod("three", ""))
			s.SetPod(pod("three", "n1"))
			s.SetPod(pod("three", "n1"))
			s.Bookmark()
			s.DeletePod("a", "three")
			s.DeletePod("a", "two")
			s.SetPod(pod("one", "n2"))
			a.expect(w, "ADDED three", "MODIFIED three", "BOOKMARK ", "DELETED three", "DELETED one")
			s.CutWatches()
			a.expect(w, "END")
			a.expect(a.watch("timeoutSeconds", "1"), "ADDED one", "END")
		})
	}
}

func TestForgottenHistory(t *testing.T) {
	s := start(t)
	s.SetPod(pod("one", "n1"))
	a := connect(t, s, "secret", runtime.ContentTypeJSON)
	list, err := a.list()
	if err != nil {
		t.Fatal(err)
	}
	w := a.watch("resourceVersion", list.ResourceVersion)
	s.Expire()
	a.expect(w, "END")
	a.expect(a.watch("resourceVersion", list.ResourceVersion), "ERROR too old resource version: "+list.ResourceVersion, "END")
}

func TestFailures(t *testing.T) {
	s := start(t)
	s.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "uid"}})
	if _, err := connect(t, s, "wrong", runtime.ContentTypeJSON).list(); !apierrors.IsUnauthorized(err) {
		t.Errorf("wrong token: %v", err)
	}
	a := connect(t, s, "secret", runtime.ContentTypeJSON)
	s.Deny("list", "pods", 403)
	if _, err := a.list(); !apierrors.IsForbidden(err) {
		t.Errorf("denied: %v", err)
	}
	ns := &corev1.Namespace{}
	if err := a.rest.Get().Resource("namespaces").Name("a").Do(a.ctx).Into(ns); err != nil || ns.UID != "uid" {
		t.Errorf("namespace: %v, %v", ns.UID, err)
	}
	if err := a.rest.Get().Resource("namespaces").Name("b").Do(a.ctx).Into(ns); !apierrors.IsNotFound(err) {
		t.Errorf("missing namespace: %v", err)
	}
	s.Allow()
	s.Stop()
	if _, err := a.list(); err == nil {
		t.Error("a stopped server answers")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.list(); err != nil {
		t.Errorf("after start: %v", err)
	}
	if got := s.Count("list", "pods"); got != 3 {
		t.Errorf("%d lists are logged, want 3: %v", got, s.Requests())
	}
}
