package kubetest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

var codecs = func() serializer.CodecFactory {
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	return serializer.NewCodecFactory(scheme)
}()

// exchange is one request and its answer.
type exchange struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	log  Request
	info runtime.SerializerInfo
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	on := func(pattern, resource string, answer func(*exchange)) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, resource, answer) })
	}
	on("/api/v1/pods", "pods", (*exchange).pods)
	on("/api/v1/namespaces/{namespace}/pods", "pods", (*exchange).pods)
	on("/api/v1/namespaces/{namespace}/pods/{name}", "pods", (*exchange).pod)
	on("/api/v1/namespaces/{name}", "namespaces", (*exchange).namespace)
	return mux
}

// serve does what all requests have in common.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, resource string, answer func(*exchange)) {
	x := &exchange{s: s, w: w, r: r, info: negotiate(r.Header.Get("Accept"))}
	x.log = Request{
		Verb:      "get",
		Resource:  resource,
		Namespace: r.PathValue("namespace"),
		Name:      r.PathValue("name"),
		Query:     r.URL.Query(),
		Accept:    r.Header.Get("Accept"),
	}
	if x.log.Name == "" {
		x.log.Verb = "list"
		if on, _ := strconv.ParseBool(x.log.Query.Get("watch")); on {
			x.log.Verb = "watch"
		}
	}
	s.mu.Lock()
	delay, code := s.delay, s.denied(x.log.Verb, resource)
	s.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token:
		x.fail(apierrors.NewUnauthorized("Unauthorized"))
	case code != 0:
		x.fail(x.denial(code))
	default:
		answer(x)
	}
}

func (s *Server) denied(verb, resource string) int {
	for _, d := range s.denials {
		if (d.verb == "" || d.verb == verb) && (d.resource == "" || d.resource == resource) {
			return d.code
		}
	}
	return 0
}

func (x *exchange) denial(code int) *apierrors.StatusError {
	resource := schema.GroupResource{Resource: x.log.Resource}
	switch code {
	case http.StatusForbidden:
		why := `User "system:serviceaccount:millrace:agent" cannot ` + x.log.Verb + ` resource "` + x.log.Resource + `" in API group "" at the cluster scope`
		return apierrors.NewForbidden(resource, x.log.Name, errors.New(why))
	case http.StatusUnauthorized:
		return apierrors.NewUnauthorized("Unauthorized")
	case http.StatusTooManyRequests:
		x.w.Header().Set("Retry-After", "1")
		return apierrors.NewTooManyRequests("Too many requests, please try again later.", 1)
	}
	return apierrors.NewGenericServerResponse(code, x.log.Verb, resource, x.log.Name, "", 0, true)
}

// negotiate picks the first type of an Accept header that the server speaks,
// or JSON.
func negotiate(accept string) runtime.SerializerInfo {
	supported := codecs.SupportedMediaTypes()
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		if info, ok := runtime.SerializerInfoForMediaType(supported, media); ok && info.StreamSerializer != nil {
			return info
		}
	}
	info, _ := runtime.SerializerInfoForMediaType(supported, runtime.ContentTypeJSON)
	return info
}

func (x *exchange) fail(err *apierrors.StatusError) {
	status := err.Status()
	x.answer(int(status.Code), &status)
}

func (x *exchange) answer(code int, object runtime.Object) {
	data, err := x.encode(object)
	if err != nil {
		http.Error(x.w, err.Error(), http.StatusInternalServerError)
		return
	}
	x.log.Code = code
	x.s.log(x.log)
	x.w.Header().Set("Content-Type", x.info.MediaType)
	x.w.WriteHeader(code)
	_, _ = x.w.Write(data)
}

func (x *exchange) encode(object runtime.Object) ([]byte, error) {
	// A copy, because encoding writes apiVersion and kind into the object.
	return runtime.Encode(codecs.EncoderForVersion(x.info.Serializer, corev1.SchemeGroupVersion), object.DeepCopyObject())
}

func (x *exchange) notFound() {
	x.fail(apierrors.NewNotFound(schema.GroupResource{Resource: x.log.Resource}, x.log.Name))
}

func (x *exchange) pod() {
	if p := x.s.objects.pod(x.log.Namespace, x.log.Name); p != nil {
		x.answer(http.StatusOK, p)
		return
	}
	x.notFound()
}

func (x *exchange) namespace() {
	if n := x.s.objects.namespace(x.log.Name); n != nil {
		x.answer(http.StatusOK, n)
		return
	}
	x.notFound()
}

// pods lists or watches.
func (x *exchange) pods() {
	sel := &selector{namespace: x.log.Namespace}
	var err, err2 error
	sel.fields, err = fields.ParseSelector(x.log.Query.Get("fieldSelector"))
	sel.labels, err2 = labels.Parse(x.log.Query.Get("labelSelector"))
	if err = errors.Join(err, err2); err != nil {
		x.fail(apierrors.NewBadRequest(err.Error()))
		return
	}
	if x.log.Verb == "watch" {
		x.watch(sel)
		return
	}
	pods, version, _ := x.s.objects.list(sel)
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatInt(version, 10)}}
	for _, p := range pods {
		list.Items = append(list.Items, *p)
	}
	x.answer(http.StatusOK, list)
}

// watch streams the changes after the version that is asked for; without one,
// what there is comes first.
func (x *exchange) watch(sel *selector) {
	var first []*corev1.Pod
	var next int
	cut := x.s.objects.cutting() // before the client hears that the watch has begun
	switch from := x.log.Query.Get("resourceVersion"); from {
	case "", "0":
		first, _, next = x.s.objects.list(sel)
	default:
		version, err := strconv.ParseInt(from, 10, 64)
		if err != nil {
			x.fail(apierrors.NewBadRequest("invalid resource version: " + from))
			return
		}
		n, known := x.s.objects.after(version)
		if !known {
			x.expired(from)
			return
		}
		next = n
	}
	st := x.begin()
	for _, p := range first {
		st.send(watch.Added, p)
	}
	st.follow(sel, next, cut)
}

// expired is the answer to a version that is too old: an error event in a
// stream that began well, as the real server sends it.
func (x *exchange) expired(from string) {
	st := x.begin()
	gone := apierrors.NewResourceExpired("too old resource version: " + from).Status()
	st.send(watch.Error, &gone)
}

// stream is the answer to a watch.
type stream struct {
	x         *exchange
	out       interface{ Write([]byte) (int, error) }
	end       <-chan time.Time
	bookmarks bool
	err       error
}

func (x *exchange) begin() *stream {
	st := &stream{x: x, out: x.info.StreamSerializer.Framer.NewFrameWriter(x.w)}
	st.bookmarks, _ = strconv.ParseBool(x.log.Query.Get("allowWatchBookmarks"))
	if seconds, err := strconv.Atoi(x.log.Query.Get("timeoutSeconds")); err == nil {
		st.end = time.After(time.Duration(seconds) * time.Second)
	}
	x.log.Code = http.StatusOK
	media := x.info.MediaType
	if media != runtime.ContentTypeJSON {
		media += ";stream=watch"
	}
	x.w.Header().Set("Content-Type", media)
	x.w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(x.w).Flush()
	x.s.log(x.log)
	return st
}

// follow sends changes until the watch ends.
func (st *stream) follow(sel *selector, next int, cut <-chan struct{}) {
	for st.err == nil {
		changes, changed, ok := st.x.s.objects.since(next)
		if !ok {
			return
		}
		for _, c := range changes {
			kind, p := c.event(sel)
			switch {
			case kind == watch.Bookmark && st.bookmarks:
				st.send(kind, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatInt(c.version, 10)}})
			case p != nil:
				st.send(kind, p)
			}
		}
		next += len(changes)
		select {
		case <-changed:
		case <-cut:
			return
		case <-st.end:
			return
		case <-st.x.r.Context().Done():
			return
		}
	}
}

// send writes one event; the first error ends the watch.
func (st *stream) send(kind watch.EventType, object runtime.Object) {
	if st.err != nil {
		return
	}
	data, err := st.x.encode(object)
	if err == nil {
		event := &metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: data}}
		err = st.x.info.StreamSerializer.Serializer.Encode(event, st.out)
	}
	if err == nil {
		err = http.NewResponseController(st.x.w).Flush()
	}
	st.err = err
}
