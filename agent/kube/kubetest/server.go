// Package kubetest is a stand-in for a Kubernetes API server: pods and
// namespaces over HTTPS, as far as a real client-go needs them to list, watch
// and get. Tests and the demo put objects in by Go methods and switch on what
// goes wrong in life: refused connections, refused requests, forgotten
// history, watches that end.
//
// It answers JSON or protobuf, as the request asks. A Server's methods may be
// called concurrently; Close ends everything it started.
package kubetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"millrace/internal/certtest"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"k8s.io/client-go/tools/clientcmd"
)

// Server is the stand-in.
type Server struct {
	token   string
	ca      []byte // PEM
	pair    tls.Certificate
	address string
	objects *objects

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when requests grows
	requests []Request
	denials  []denial
	delay    time.Duration
	running  *http.Server // nil: stopped
	serving  chan struct{}
}

// Request is one request that was answered, or whose watch has begun.
type Request struct {
	Verb      string // get, list or watch
	Resource  string // pods or namespaces
	Namespace string
	Name      string
	Query     url.Values
	Accept    string
	Code      int // 200 for a watch that began
}

type denial struct {
	verb, resource string
	code           int
}

// New starts a server on a free port of the loopback interface. A request
// must carry token as its bearer token; an empty token lets everyone in.
func New(token string) (*Server, error) {
	ca, err := certtest.NewCA("kubetest")
	if err != nil {
		return nil, err
	}
	pair, err := ca.Issue("kubetest")
	if err != nil {
		return nil, err
	}
	s := &Server{
		token:   token,
		ca:      ca.PEM(),
		pair:    pair,
		address: "127.0.0.1:0",
		objects: newObjects(),
		changed: make(chan struct{}),
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// URL is the server's address, the same after Stop and Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "https://" + s.address
}

// Start has a stopped server listen again where it did. Objects are as they
// were; the history of changes is not forgotten unless Expire is called.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return errors.New("start API server: it runs already")
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("start API server: %w", err)
	}
	s.address = listener.Addr().String()
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: time.Minute,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.pair}, MinVersion: tls.VersionTLS12},
		ErrorLog:          log.New(io.Discard, "", 0), // clients that went away
	}
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		_ = server.ServeTLS(listener, "", "") // always an error: the one of Close
	}()
	s.running, s.serving = server, serving
	return nil
}

// Stop refuses connections and cuts those that exist, in the middle of an
// answer if need be.
func (s *Server) Stop() {
	s.mu.Lock()
	server, serving := s.running, s.serving
	s.running = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
		<-serving
	}
}

// Close stops the server for good.
func (s *Server) Close() { s.Stop() }

// Deny answers requests with an error status from now on: 401, 403, 429, 500
// or another. An empty verb or resource is any. Watches that run go on.
func (s *Server) Deny(verb, resource string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denials = append(s.denials, denial{verb, resource, code})
}

// Allow takes back what Deny and Delay did.
func (s *Server) Allow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denials, s.delay = nil, 0
}

// Delay holds every answer back for d.
func (s *Server) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Requests lists the requests so far, in the order of their answers.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count is the number of requests so far with that verb and resource; an
// empty one is any.
func (s *Server) Count(verb, resource string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(verb, resource)
}

func (s *Server) count(verb, resource string) int {
	n := 0
	for _, r := range s.requests {
		if (verb == "" || r.Verb == verb) && (resource == "" || r.Resource == resource) {
			n++
		}
	}
	return n
}

// Await blocks until there were n requests with that verb and resource, or
// ctx is done.
func (s *Server) Await(ctx context.Context, verb, resource string, n int) error {
	for {
		s.mu.Lock()
		have, changed := s.count(verb, resource), s.changed
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d requests to %s %s, had %d: %w", n, verb, resource, have, ctx.Err())
		}
	}
}

// log adds a request to the log.
func (s *Server) log(r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Kubeconfig writes a kubeconfig file that leads to this server and carries
// token.
func (s *Server) Kubeconfig(path, token string) error {
	c := clientcmdapi.NewConfig()
	c.Clusters["kubetest"] = &clientcmdapi.Cluster{Server: s.URL(), CertificateAuthorityData: s.ca}
	c.AuthInfos["kubetest"] = &clientcmdapi.AuthInfo{Token: token}
	c.Contexts["kubetest"] = &clientcmdapi.Context{Cluster: "kubetest", AuthInfo: "kubetest"}
	c.CurrentContext = "kubetest"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
