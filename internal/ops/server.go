package ops

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	writeTimeout  = 30 * time.Second // net/http/pprof extends it by the length of a profile
	idleTimeout   = 2 * time.Minute  // longer than Prometheus' usual interval
	shutdownGrace = 2 * time.Second  // for answers that have begun
)

// Server is one HTTP server on one address, or none.
type Server struct {
	listener net.Listener // nil: no server
	http     http.Server
}

// Listen takes the address, so that one that cannot be had is known before any work begins, and logs what it got. The
// address is HOST:PORT, :PORT, or empty for no server. Requests are answered from Serve on; call it, or the address stays
// taken.
func Listen(addr string, handler http.Handler, log *slog.Logger) (*Server, error) {
	s := &Server{http: http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken probes and scanners
	}}
	if addr == "" {
		return s, nil
	}
	var err error
	if s.listener, err = net.Listen("tcp", addr); err != nil {
		return nil, fmt.Errorf("open the admin address %q (key admin): %w", addr, err)
	}
	log.Info("admin server listens", "addr", s.Addr())
	return s, nil
}

// Addr is the address it got, with the real port for ":0"; empty without a server.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Serve answers until ctx is done, lets answers that have begun end within two seconds, and returns nil once everything is
// closed. It returns early, with an error, only if the listener breaks. To be called once.
func (s *Server) Serve(ctx context.Context) error {
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := s.http.Shutdown(grace); err != nil {
		s.http.Close() //nolint:errcheck // a profile somebody is taking; the listener is closed already
	}
	<-ended //nolint:errcheck // it was shut down, that is all it says
	return nil
}
