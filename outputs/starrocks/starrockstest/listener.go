package starrockstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
)

// httpListener is an HTTP service that can be stopped, dropping its
// connections, and started again on the same address.
type httpListener struct {
	handler http.Handler

	mu     sync.Mutex
	idle   *sync.Cond // active is zero
	at     string
	srv    *http.Server // nil while stopped
	active int          // requests being answered
	cancel context.CancelFunc
	done   chan struct{}
}

func listenHTTP(addr string, handler http.Handler) (*httpListener, error) {
	l := &httpListener{handler: handler, at: addr}
	l.idle = sync.NewCond(&l.mu)
	return l, l.start()
}

// ServeHTTP counts the request while it is answered, for stop to wait.
func (l *httpListener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	if l.srv == nil {
		l.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	l.active++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.active--
		l.idle.Broadcast()
	}()
	l.handler.ServeHTTP(w, r)
}

func (l *httpListener) start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.srv != nil {
		return nil
	}
	ln, err := net.Listen("tcp", l.at)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.at, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv, done := &http.Server{Handler: l, ErrorLog: log.New(io.Discard, "", 0), BaseContext: func(net.Listener) context.Context { return ctx }}, make(chan struct{})
	l.at, l.srv, l.done, l.cancel = ln.Addr().String(), srv, done, cancel
	go func() {
		defer close(done)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			ln.Close()
		}
	}()
	return nil
}

// stop closes the listener and all its connections; requests in flight see
// their client go, and have ended when it returns.
func (l *httpListener) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	srv, done := l.srv, l.done
	if srv == nil {
		return
	}
	l.srv = nil
	l.cancel()
	l.mu.Unlock()
	_ = srv.Close() // what is open is being dropped on purpose
	<-done
	l.mu.Lock()
	for l.active > 0 {
		l.idle.Wait()
	}
}

func (l *httpListener) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.srv != nil
}

func (l *httpListener) addr() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// deadAddr is an address where nothing listens.
func deadAddr() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:1"
	}
	defer ln.Close()
	return ln.Addr().String()
}
