package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The requests the watcher makes, in the order in which their trouble is told.
const (
	listPods = iota
	watchPods
	getNamespaces
	scanLogDir
	requestCount
)

var requestNames = [...]string{"list pods", "watch pods", "get namespaces"}

// reporter tells the one trouble that matters most, whenever it changes.
type reporter struct {
	fn     func(error)
	server string

	mu      sync.Mutex
	trouble [requestCount]error
	told    string
	silent  bool // nothing was told yet
	begun   bool // the watch has, or the log directory was scanned: before that nothing is well
}

// note takes the outcome of a request.
func (r *reporter) note(ctx context.Context, request int, err error) {
	if err != nil && (ctx.Err() != nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err)) {
		return // we are ending, or asked for a version that the server has forgotten: client-go lists anew
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble[request] = nil
	if err != nil {
		r.trouble[request] = err
		if request != scanLogDir {
			r.trouble[request] = explain(r.server, requestNames[request], err)
		}
	}
	var worst error
	for _, err := range r.trouble {
		if err != nil {
			worst = err
			break
		}
	}
	text := ""
	if worst != nil {
		text = worst.Error()
	}
	r.begun = r.begun || err == nil && (request == watchPods || request == scanLogDir)
	if !r.silent && text == r.told {
		return
	}
	if worst == nil && !r.begun {
		return
	}
	r.silent, r.told = false, text
	// Under the lock, so that the last word is the newest: Report must not block.
	r.fn(worst)
}

// explain says in one sentence what was asked of whom, what went wrong and
// what to do.
func explain(server, request string, err error) error {
	what := request + " at API server " + server
	said := oneLine(err)
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: forbidden (403): grant the agent's service account get, list and watch on pods and get on namespaces by a ClusterRole and a ClusterRoleBinding; the server says: %s", what, said)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: not authorized (401): the token is refused, check the mounted service account token or the kubeconfig; the server says: %s", what, said)
	case apierrors.IsTooManyRequests(err):
		return fmt.Errorf("%s: too many requests (429): trying again more slowly; if it lasts, see the server's priority and fairness settings; the server says: %s", what, said)
	case apierrors.ReasonForError(err) != "":
		return fmt.Errorf("%s: the server answered: %s; trying again", what, said)
	}
	return fmt.Errorf("%s: %s: check that the server runs and that this node reaches it; meanwhile the pods known so far are followed", what, said)
}

// oneLine is the innermost message that still says what happened: the URL
// with its query is no help.
func oneLine(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
