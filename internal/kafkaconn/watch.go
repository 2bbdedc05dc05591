package kafkaconn

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Watch is a client's hook that tells why nothing flows. It is needed because
// franz-go retries a wrong password or an unreachable broker for ever and says
// nothing to those who produce or poll.
//
// What it reports is the state of the connections:
//   - a login or certificate that was refused counts at once;
//   - a broker that cannot be reached counts when no connection to another
//     one is open, because losing one of three brokers stops nobody;
//   - the next connection that works, or Good, ends it.
//
// Mute it before the client is closed: attempts to connect outlive
// kgo.Client.Close, and their errors would be reported after it.
type Watch struct {
	subject Subject
	report  func(error)

	mu    sync.Mutex
	muted bool
	bad   bool
	open  map[net.Conn]struct{}
}

// NewWatch returns a hook for one client; give it to Options. report gets one
// explained error at each failure that counts, the same sentence again and
// again while it lasts, and nil when it is over. It is called by the client's
// goroutines, one at a time: it must not block and must not call the client
// or the Watch.
func NewWatch(about Subject, report func(error)) *Watch {
	return &Watch{subject: about, report: report, open: map[net.Conn]struct{}{}}
}

// Good says that something went through: what was reported before is over.
// A consumer calls it when it was assigned partitions, because nothing else
// tells that a group error is over. It may be called concurrently.
func (w *Watch) Good() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.good()
}

// Mute ends the reports: none is under way when it returns, and none follows,
// not even the nil that ends an error. It may be called concurrently.
func (w *Watch) Mute() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.muted = true
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (w *Watch) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, conn net.Conn, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.open[conn] = struct{}{}
		w.good()
		return
	}
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) {
		return
	}
	if len(w.open) > 0 && !refused(err) {
		return
	}
	about := w.subject
	about.Broker = net.JoinHostPort(meta.Host, strconv.Itoa(int(meta.Port)))
	w.failed(err, about)
}

// OnBrokerDisconnect implements kgo.HookBrokerDisconnect.
func (w *Watch) OnBrokerDisconnect(_ kgo.BrokerMetadata, conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, conn)
}

// OnGroupManageError implements kgo.HookGroupManageError.
func (w *Watch) OnGroupManageError(err error) {
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed(err, w.subject)
}

func (w *Watch) failed(err error, about Subject) {
	if !w.muted {
		w.bad = true
		w.report(Explain(err, about))
	}
}

func (w *Watch) good() {
	if w.bad && !w.muted {
		w.bad = false
		w.report(nil)
	}
}

// refused tells a broker that does not want us, or that we do not trust, from
// one that is not there.
func refused(err error) bool {
	var ke *kerr.Error
	var file *fileError
	return errors.As(err, &ke) || errors.As(err, &file) || tlsTrouble(err, &Subject{}) != ""
}
