package kafkaconn_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/certtest"
	"millrace/internal/config"
	"millrace/internal/kafkaconn"
)

// reports collects what a Watch reports and lets a test wait for it.
type reports struct {
	mu    sync.Mutex
	all   []string // "" for nil
	added chan struct{}
}

func newReports() *reports { return &reports{added: make(chan struct{}, 1)} }

func (r *reports) report(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.all = append(r.all, text)
	select {
	case r.added <- struct{}{}:
	default:
	}
}

// wait waits for a report that holds text, or for nil when text is empty, and
// forgets it and those before it.
func (r *reports) wait(t *testing.T, text string) {
	t.Helper()
	ctx := deadline(t)
	for {
		if r.take(text) {
			return
		}
		select {
		case <-r.added:
		case <-ctx.Done():
			t.Fatalf("no report with %q, but %q", text, r.all)
		}
	}
}

func (r *reports) take(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, have := range r.all {
		if text == "" && have == "" || text != "" && strings.Contains(have, text) {
			r.all = r.all[i+1:]
			return true
		}
	}
	return false
}

// TestWatchTellsWhyNothingFlows: the client itself would wait for ever.
func TestWatchTellsWhyNothingFlows(t *testing.T) {
	b := start(t)
	conn := b.Conn("agent", secret)
	good := filepath.Join(t.TempDir(), "ca.crt")
	other, err := certtest.NewCA("other")
	check(t, err)
	check(t, other.WriteFile(good))
	conn.TLS.CAFile = good
	seen := newReports()
	client := newClient(t, &conn, kafkaconn.NewWatch(kafkaconn.Subject{Config: &conn}, seen.report))
	result := make(chan error, 1)
	client.Produce(deadline(t), &kgo.Record{Topic: "logs", Value: []byte("x")}, func(_ *kgo.Record, err error) { result <- err })

	seen.wait(t, "broker "+b.Addr+" has a certificate that is not signed by tls.ca_file")
	check(t, b.CA.WriteFile(good)) // the file is rotated in
	seen.wait(t, "")
	check(t, <-result)

	b.Stop()
	client.Produce(deadline(t), &kgo.Record{Topic: "logs", Value: []byte("x")}, func(_ *kgo.Record, err error) { result <- err })
	seen.wait(t, "nothing listens at broker "+b.Addr)
	check(t, b.Restart())
	seen.wait(t, "")
	check(t, <-result)
}

// TestPasswordFileIsReadAtEachLogin: the connection after the change uses the
// new password.
func TestPasswordFileIsReadAtEachLogin(t *testing.T) {
	b := start(t)
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) { check(t, os.WriteFile(file, []byte(password+"\n"), 0o600)) }
	write("wrong")
	conn := b.Conn("agent", "")
	conn.SASL.Password = config.Password{File: file}
	ctx := deadline(t)
	client := newClient(t, &conn, nil)
	if client.Ping(ctx) == nil {
		t.Fatal("logged in with a wrong password")
	}
	write(secret)
	check(t, client.Ping(ctx))
	check(t, b.SetPassword(ctx, "agent", "agent-2"))
	check(t, client.Ping(ctx)) // the open connection stays
	b.Stop()
	check(t, b.Restart())
	write("agent-2")
	check(t, client.Ping(ctx))
}

// TestWatchGroupError: a group that may not be joined is reported, and Good
// ends it.
func TestWatchGroupError(t *testing.T) {
	b := start(t)
	ctx := deadline(t)
	check(t, b.Allow(ctx, "agent", kadm.OpRead, "logs"))
	conn := b.Conn("agent", secret)
	seen := newReports()
	w := kafkaconn.NewWatch(kafkaconn.Subject{Config: &conn, Group: "g"}, seen.report)
	client := newClient(t, &conn, w, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("logs"))
	polling, stop := context.WithCancel(ctx)
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		client.PollFetches(polling)
	}()
	seen.wait(t, `user "agent" needs Read on group "g"`)
	w.Good()
	seen.wait(t, "")
	stop()
	<-polled
}

// TestWatchOneOfThree: what counts when only some brokers fail.
func TestWatchOneOfThree(t *testing.T) {
	conn := kafkaconn.Config{Brokers: []string{"a:1"}}
	seen := newReports()
	w := kafkaconn.NewWatch(kafkaconn.Subject{Config: &conn}, seen.report)
	a, b := kgo.BrokerMetadata{Host: "a", Port: 1}, kgo.BrokerMetadata{Host: "b", Port: 2}
	toA, toB := net.Conn(&net.TCPConn{}), net.Conn(&net.TCPConn{})
	has := func(want ...string) {
		t.Helper()
		if !slices.Equal(seen.all, want) {
			t.Fatalf("reported %q, want %q", seen.all, want)
		}
	}
	w.OnBrokerConnect(a, 0, toA, nil)
	w.OnBrokerConnect(b, 0, toB, syscall.ECONNREFUSED)
	has() // a still works
	w.OnBrokerConnect(b, 0, nil, kgo.ErrClientClosed)
	w.OnBrokerConnect(b, 0, nil, context.Canceled)
	has() // we did that ourselves
	w.OnBrokerConnect(b, 0, toB, kerr.SaslAuthenticationFailed)
	if len(seen.all) != 1 || !strings.Contains(seen.all[0], "broker b:2 refused") {
		t.Fatalf("a refused login must count at once, but reported is %q", seen.all)
	}
	w.OnBrokerConnect(b, 0, toB, nil)
	seen.wait(t, "")
	w.OnBrokerDisconnect(a, toA)
	w.OnBrokerDisconnect(b, toB)
	has()
	w.OnBrokerConnect(b, 0, nil, syscall.ECONNREFUSED)
	has("nothing listens at broker b:2: check that it runs and that the address in brokers is right")
	w.OnBrokerConnect(a, 0, toA, nil)
	seen.wait(t, "")
}

// TestMutedWatch: a client that is closed has no say any more, good or bad.
func TestMutedWatch(t *testing.T) {
	conn := kafkaconn.Config{Brokers: []string{"a:1"}}
	seen := newReports()
	w := kafkaconn.NewWatch(kafkaconn.Subject{Config: &conn}, seen.report)
	a := kgo.BrokerMetadata{Host: "a", Port: 1}
	w.OnBrokerConnect(a, 0, nil, syscall.ECONNREFUSED)
	seen.wait(t, "nothing listens at broker a:1")
	w.Mute()
	w.OnBrokerConnect(a, 0, nil, kerr.SaslAuthenticationFailed)
	w.OnGroupManageError(kerr.GroupAuthorizationFailed)
	w.Good()
	w.OnBrokerConnect(a, 0, &net.TCPConn{}, nil)
	if len(seen.all) > 0 {
		t.Errorf("a muted watch reported %q", seen.all)
	}
}
