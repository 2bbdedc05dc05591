package kafka

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestZombieWakesInItsTakeover: a process that was paused after it had found
// its transactional id its own, and before it took it over again, wakes when its
// successor has gone on. It takes the id from the successor, sees that positions
// were committed since its own, and writes no line.
func TestZombieWakesInItsTakeover(t *testing.T) {
	t.Parallel()
	b := txBroker(t)
	n := newNode(t, b, txDefaults(b), "a")
	old := n.start()
	n.line("proxy", 20)
	old.pump()

	var failed, paused atomic.Bool
	inPause, wake := make(chan struct{}), make(chan struct{})
	b.Cluster().ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster().KeepControl()
		if !req.(*kmsg.EndTxnRequest).Commit || failed.Swap(true) {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	b.Cluster().ControlKey(int16(kmsg.InitProducerID), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster().KeepControl()
		if req.(*kmsg.InitProducerIDRequest).ProducerID < 0 && failed.Load() && !paused.Swap(true) {
			b.Cluster().SleepControl(func() {
				close(inPause)
				<-wake
			})
		}
		return nil, nil, false
	})
	n.line("proxy", 20)
	old.out.Write(old.read(20, "proxy"))
	<-inPause

	n.life.Pod = "the successor"
	successor := n.start()
	successor.pump()
	close(wake)
	old.unready("has committed positions of")
	n.line("proxy", 20)
	successor.out.Write(successor.read(20, "proxy"))
	successor.unready("another agent took over")
	for _, a := range []*agent{old, successor} {
		if err := a.out.Close(deadline(t)); err != nil && !strings.Contains(err.Error(), "must not run at once") {
			t.Errorf("closed with %v", err)
		}
	}
	again := n.start()
	again.pump()
	again.stop()
	n.exact()
}
