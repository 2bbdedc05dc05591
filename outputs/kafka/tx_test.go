package kafka

import (
	"maps"
	"slices"
	"testing"
	"time"

	"millrace/internal/kafkaconn/kafkatest"
)

// txDefaults are short transactions of the super user.
func txDefaults(b *kafkatest.Broker) Config {
	c := defaults(b)
	c.Conn = b.Conn(kafkatest.AdminUser, kafkatest.AdminPassword)
	c.Transaction.Interval = 50 * time.Millisecond
	return c
}

// TestExactlyOnce: lines of several lives of an agent are there once, whichever
// way it ended.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	for _, key := range []string{KeyNone, KeyPod, KeyContainer} {
		t.Run("key="+key, func(t *testing.T) {
			t.Parallel()
			b := txBroker(t)
			c := txDefaults(b)
			c.Key = key
			n := newNode(t, b, c, "a")
			for life := range 3 {
				a := n.start()
				for range 5 {
					n.line("proxy", 100)
					n.line("ingress", 30)
					a.pump()
				}
				n.line("proxy", 50)
				for range 3 { // under way
					if batch := a.read(10, "proxy"); batch != nil {
						a.out.Write(batch)
					}
				}
				if life%2 == 0 {
					a.stop()
				} else {
					a.kill()
				}
			}
			a := n.start()
			a.pump()
			a.stop()
			n.exact()
			if got := slices.Sorted(maps.Keys(a.restored)); !slices.Equal(got, []string{"ingress", "proxy"}) {
				t.Errorf("restored positions of %v", got)
			}
		})
	}
}
