package collector

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/outputs/starrocks/starrockstest"
)

// offsetsWatch sees every offset that the broker takes.
type offsetsWatch struct {
	mu       sync.Mutex
	expelled string // the id of the member whose commits the broker refuses by itself
	high     map[int32]int64
	back     []string
}

// expel notes whose commits are refused.
func (o *offsetsWatch) expel(member string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expelled = member
}

// see notes a request that the broker is about to take.
func (o *offsetsWatch) see(req *kmsg.OffsetCommitRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if req.MemberID == o.expelled {
		return
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if p.Offset < o.high[p.Partition] {
				o.back = append(o.back, *p.Metadata)
			}
			o.high[p.Partition] = p.Offset
		}
	}
}

// A member is thrown out while its commit is on its way; another one has its
// partitions and goes on; then the first one joins again, and the client, whose
// member has another id now, still holds the partitions. It neither moves their
// offsets back nor loads again what the other one has loaded.
func TestMemberThatWasOutForAWhile(t *testing.T) {
	for _, alone := range []bool{true, false} {
		w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}})
		watch := &offsetsWatch{high: map[int32]int64{}}
		var refused atomic.Int32
		var joining atomic.Bool
		born := make(chan struct{})
		var first *child
		w.b.cluster.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.b.cluster.KeepControl()
			if req, ok := req.(*kmsg.OffsetCommitRequest); ok {
				its := req.InstanceID != nil && *req.InstanceID == "kong-0"
				for _, topic := range req.Topics {
					if its && !joining.Load() && slices.ContainsFunc(topic.Partitions, advanced) {
						<-born
						first.signal(syscall.SIGSTOP) // with the answer in its hands
						watch.expel(req.MemberID)
						refused.Add(1)
						return refusedCommit(req, kerr.UnknownMemberID), nil, true
					}
				}
				watch.see(req)
			}
			return nil, nil, false
		})
		first = spawn(t, w.b, w.srv)
		close(born)
		eventually(t, "its commit is refused", func() bool { return refused.Load() > 0 })
		w.expel("kong-0")
		second := spawn(t, w.b, w.srv, asMember("kong-1")...)
		w.each()
		w.produce("meanwhile", 30)
		w.each()
		if alone {
			second.signal(syscall.SIGKILL)
			<-second.gone
			w.expel("kong-1")
		}
		joining.Store(true)
		first.signal(syscall.SIGCONT)
		eventually(t, "the first one is back", func() bool {
			g := w.b.cluster.GroupInfo(testGroup)
			return g != nil && slices.ContainsFunc(g.Members, func(m kfake.GroupMember) bool {
				return m.InstanceID != nil && *m.InstanceID == "kong-0"
			})
		})
		w.produce("after", 30)
		w.each()
		first.shutDown()
		second.shutDown()
		w.each()
		if len(watch.back) > 0 {
			t.Errorf("alone=%v: offsets went back: %s", alone, strings.Join(watch.back, ", "))
		}
	}
}
