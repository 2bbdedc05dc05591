package kafkaconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
)

// dialer opens connections. TLS files are read for each of them: brokers are
// few and connections long, so there is nothing to gain from a cache and a
// stale certificate to lose.
type dialer struct {
	tls *TLS // nil: plaintext
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if d.tls == nil {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	cfg, err := d.tls.load()
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
}

// load reads the files.
func (t *TLS) load() (*tls.Config, error) {
	cfg := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, &fileError{"read tls.ca_file", err}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &fileError{"read tls.ca_file", fmt.Errorf("%s holds no PEM certificate", t.CAFile)}
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, &fileError{"load tls.cert_file and tls.key_file", err}
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

// fileError is a file of ours that keeps us from connecting.
type fileError struct {
	doing string
	err   error
}

func (e *fileError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }
