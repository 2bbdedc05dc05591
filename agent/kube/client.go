package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	protobuf = "application/vnd.kubernetes.protobuf"
	// answerTime is how long one answer may take; a watch has no such limit.
	answerTime = 30 * time.Second
)

// client asks the API server. It knows the three types it asks for: the scheme
// of all APIs would be the largest part of the program.
type client struct {
	rest   *rest.RESTClient
	params runtime.ParameterCodec
	server string
	note   func(ctx context.Context, request int, err error)
}

func newClient(c *Config) (*client, error) {
	conf, err := restConfig(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Pod{}, &corev1.PodList{}, &corev1.Namespace{})
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	conf.APIPath = "/api"
	conf.GroupVersion = &corev1.SchemeGroupVersion
	conf.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	conf.ContentType = protobuf
	conf.AcceptContentTypes = protobuf + ",application/json"
	conf.UserAgent = "millrace-agent"
	conf.QPS, conf.Burst = 10, 50 // a start asks for one namespace after another
	conf.WarningHandler = rest.NoWarnings{}
	r, err := rest.RESTClientFor(conf)
	if err != nil {
		return nil, fmt.Errorf("prepare API client: %w", err)
	}
	return &client{rest: r, params: runtime.NewParameterCodec(scheme), server: conf.Host}, nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		conf, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("find the API server: this is not a pod (KUBERNETES_SERVICE_HOST is not set): name a file in kubernetes.kubeconfig, or set kubernetes.metadata: path")
		}
		if err != nil {
			return nil, fmt.Errorf("read the pod's service account: %w", err)
		}
		return conf, nil
	}
	conf, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubernetes.kubeconfig: %w", err)
	}
	return conf, nil
}

// close lets go of connections that are idle.
func (c *client) close() { utilnet.CloseIdleConnectionsFor(c.rest.Client.Transport) }

// namespace asks for one namespace. resourceVersion 0 is answered from the
// API server's own cache, which may not have a namespace that was just made.
func (c *client) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	ns, err := c.get(ctx, name, "0")
	if apierrors.IsNotFound(err) {
		ns, err = c.get(ctx, name, "")
	}
	if apierrors.IsNotFound(err) {
		c.note(ctx, getNamespaces, nil)
	} else {
		c.note(ctx, getNamespaces, err)
	}
	return ns, err
}

func (c *client) get(ctx context.Context, name, version string) (*corev1.Namespace, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	ns := &corev1.Namespace{}
	err := c.rest.Get().Resource("namespaces").Name(name).
		VersionedParams(&metav1.GetOptions{ResourceVersion: version}, c.params).Do(ctx).Into(ns)
	return ns, err
}

// nodePods lists and watches the pods of one node, for client-go's reflector.
type nodePods struct {
	client *client
	node   string
}

// ListWithContext lists the node's pods; the reflector asks at
// resourceVersion 0 first, which the API server answers from its cache, where
// pods are indexed by node.
func (n *nodePods) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	o.FieldSelector = n.selector()
	answer, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	list := &corev1.PodList{}
	err := n.client.rest.Get().Resource("pods").VersionedParams(&o, n.client.params).Do(answer).Into(list)
	n.client.note(ctx, listPods, err)
	return list, err
}

// WatchWithContext watches the node's pods.
func (n *nodePods) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.FieldSelector = n.selector()
	o.Watch = true
	var timeout time.Duration
	if o.TimeoutSeconds != nil {
		timeout = time.Duration(*o.TimeoutSeconds) * time.Second
	}
	w, err := n.client.rest.Get().Resource("pods").VersionedParams(&o, n.client.params).Timeout(timeout).Watch(ctx)
	n.client.note(ctx, watchPods, err)
	return w, err
}

// List is for client-go's older interface, which the reflector does not call.
func (n *nodePods) List(o metav1.ListOptions) (runtime.Object, error) {
	return n.ListWithContext(context.Background(), o)
}

// Watch is for client-go's older interface, which the reflector does not call.
func (n *nodePods) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return n.WatchWithContext(context.Background(), o)
}

// IsWatchListSemanticsUnSupported keeps the reflector at one list and one
// watch: a list of one node's pods is short, and every version of Kubernetes
// answers it the same way.
func (n *nodePods) IsWatchListSemanticsUnSupported() bool { return true }

func (n *nodePods) selector() string {
	return fields.OneTermEqualSelector("spec.nodeName", n.node).String()
}

// quietly gives client-go a logger that says at debug level what it would say
// up to verbosity 4: what an operator must know is reported, in words that
// name the cause, and above 4 it would print requests and their answers.
func quietly(ctx context.Context, log *slog.Logger) context.Context {
	return klog.NewContext(ctx, logr.FromSlogHandler(debugHandler{log.Handler()}))
}

// debugHandler demotes records.
type debugHandler struct{ slog.Handler }

func (h debugHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelDebug && h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h debugHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

func (h debugHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return debugHandler{h.Handler.WithAttrs(attrs)}
}

func (h debugHandler) WithGroup(name string) slog.Handler {
	return debugHandler{h.Handler.WithGroup(name)}
}
