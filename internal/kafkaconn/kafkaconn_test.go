package kafkaconn_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/certtest"
	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	"millrace/internal/kafkaconn/kafkatest"
)

const secret = "agent-secret"

func start(t *testing.T, opts ...kfake.Opt) *kafkatest.Broker {
	t.Helper()
	b, err := kafkatest.Start(kafkatest.TempDir(t), append([]kfake.Opt{
		kfake.User(kafkaconn.ScramSHA512, "agent", secret, kafkatest.WriteACL("logs")),
		kfake.SeedTopics(1, "logs", "other"),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// newClient makes a client that is closed with the test.
func newClient(t *testing.T, c *kafkaconn.Config, w *kafkaconn.Watch, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts, err := kafkaconn.Options(c, "test", nil, w)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestExplainConnecting pings with one thing wrong and expects the sentence
// that names it.
func TestExplainConnecting(t *testing.T) {
	b := start(t)
	plainAddr := hangUp(t)
	mutual := startMutual(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	nobody := free.Addr().String()
	check(t, free.Close())
	other, err := certtest.NewCA("other")
	check(t, err)
	otherCA := filepath.Join(t.TempDir(), "other.crt")
	check(t, other.WriteFile(otherCA))

	for _, test := range []struct {
		name string
		conn kafkaconn.Config
		want string
	}{
		{"nothing wrong", b.Conn("agent", secret), ""},
		{"other CA", with(b, func(c *kafkaconn.Config) { c.TLS.CAFile = otherCA }),
			"broker " + b.Addr + " has a certificate that is not signed by tls.ca_file (" + otherCA + "): set tls.ca_file to the CA of the brokers"},
		{"system CAs", with(b, func(c *kafkaconn.Config) { c.TLS.CAFile = "" }),
			"broker " + b.Addr + " has a certificate that is not signed by a CA of this system"},
		{"other name", with(b, func(c *kafkaconn.Config) { c.TLS.ServerName = "kafka" }),
			"has a certificate for other names"},
		{"no CA file", with(b, func(c *kafkaconn.Config) { c.TLS.CAFile = "/nowhere/ca.crt" }),
			"read tls.ca_file: open /nowhere/ca.crt: no such file or directory"},
		{"no TLS to a TLS port", with(b, func(c *kafkaconn.Config) { c.TLS = nil }),
			"broker " + b.Addr + " closed the connection at the first request: it may want TLS (add a tls section)"},
		{"TLS to a plain port", with(b, func(c *kafkaconn.Config) { c.Brokers = []string{plainAddr} }),
			"it may not speak TLS on this port"},
		{"no SASL", with(b, func(c *kafkaconn.Config) { c.SASL = nil }),
			"it may want a login (add a sasl section)"},
		{"no password file", with(b, func(c *kafkaconn.Config) {
			c.SASL.Password = config.Password{File: "/nowhere/password"}
		}), `log in as user "agent": read password_file: open /nowhere/password: no such file or directory`},
		{"a password SCRAM cannot carry", b.Conn("agent", "a\u0007b"),
			"characters that SCRAM does not allow"},
		{"nobody listens", kafkaconn.Config{Brokers: []string{nobody}},
			"nothing listens at broker " + nobody},
		{"unknown host", kafkaconn.Config{Brokers: []string{"kafka.invalid:9092"}},
			`the host name "kafka.invalid" is not known`},
		{"no client certificate", mutual.conn(""), "set tls.cert_file and tls.key_file"},
		{"client certificate of another CA", mutual.conn("stranger"), "refused the client certificate tls.cert_file"},
		{"client certificate", mutual.conn("client"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := newClient(t, &test.conn, nil)
			err := kafkaconn.Explain(client.Ping(deadline(t)), kafkaconn.Subject{Config: &test.conn})
			expect(t, err, test.want)
		})
	}
}

// hangUp listens and does what Kafka's plaintext listener does with a TLS
// handshake, and kfake does not: it closes the connection.
func hangUp(t *testing.T) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4))
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

// mutual is a broker that asks for client certificates.
type mutual struct {
	addr, dir string
}

func startMutual(t *testing.T) mutual {
	ca, err := certtest.NewCA("mutual")
	check(t, err)
	cert, err := ca.Issue("localhost")
	check(t, err)
	m := mutual{dir: t.TempDir()}
	check(t, ca.WriteFile(filepath.Join(m.dir, "ca.crt")))
	m.issue(t, ca, "client")
	other, err := certtest.NewCA("other")
	check(t, err)
	m.issue(t, other, "stranger")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
	}))
	check(t, err)
	t.Cleanup(cluster.Close)
	m.addr = cluster.ListenAddrs()[0]
	return m
}

func (m mutual) issue(t *testing.T, ca *certtest.CA, name string) {
	cert, err := ca.Issue(name)
	check(t, err)
	check(t, certtest.WriteKeyPair(cert, filepath.Join(m.dir, name+".crt"), filepath.Join(m.dir, name+".key")))
}

func (m mutual) conn(name string) kafkaconn.Config {
	c := kafkaconn.Config{Brokers: []string{m.addr}, TLS: &kafkaconn.TLS{CAFile: filepath.Join(m.dir, "ca.crt")}}
	if name != "" {
		c.TLS.CertFile = filepath.Join(m.dir, name+".crt")
		c.TLS.KeyFile = filepath.Join(m.dir, name+".key")
	}
	return c
}

func with(b *kafkatest.Broker, change func(*kafkaconn.Config)) kafkaconn.Config {
	c := b.Conn("agent", secret)
	change(&c)
	return c
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatalf("unexpected: %v", err)
	case want != "" && err == nil:
		t.Fatalf("no error, want one with %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Fatalf("got  %v\nwant %s", err, want)
	case err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n")):
		t.Fatalf("not one sentence without a secret: %v", err)
	}
}
