package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn/kafkatest"
)

// TestZombie: a process that was cut off while its successor started cannot
// write a line that counts; it says who has taken over, and does not come back.
func TestZombie(t *testing.T) {
	t.Parallel()
	for _, under := range []string{"idle", "in a transaction"} {
		t.Run(under, func(t *testing.T) {
			t.Parallel()
			b := txBroker(t)
			zombie(t, newNode(t, b, txDefaults(b), "a"), under == "idle")
		})
	}
}

func zombie(t *testing.T, n *node, idle bool) {
	if !idle {
		n.config.Transaction.Interval = n.config.Transaction.Timeout / 2
	}
	old := n.start()
	n.line("proxy", 20)
	old.awaitRestore()
	old.out.Write(old.read(20, "proxy"))
	if idle {
		old.pump()
	} else {
		old.landed(1)
	}
	n.config.Transaction.Interval = txDefaults(n.broker).Transaction.Interval
	n.life.Pod = "the successor"
	n.line("proxy", 20)
	successor := n.start()
	successor.pump()
	// It wakes and goes on with what it takes for its lines.
	if b := old.read(20, "proxy"); b != nil {
		old.out.Write(b)
	}
	old.unready(`another agent took over transactional id "` + n.life.TransactionalID + `": pod the successor on node ` + n.life.Node)
	old.mu.Lock()
	aborted := old.containers["proxy"].aborted
	old.mu.Unlock()
	if aborted == 0 {
		t.Error("nothing of the old process was taken back")
	}
	successor.pump() // it was not disturbed
	n.line("proxy", 20)
	successor.pump()
	if err := old.out.Close(deadline(t)); err != nil && !strings.Contains(err.Error(), "the successor") {
		t.Errorf("the old process closed with %v", err)
	}
	successor.stop()
	n.exact()
}

// TestRenamedNode: a node with another name goes on with its disk's positions,
// and a process that still runs under the old name is fenced.
func TestRenamedNode(t *testing.T) {
	t.Parallel()
	b, n, a := newTx(t)
	n.line("proxy", 5)
	oldKey, oldID := n.life.Key, n.life.TransactionalID
	n.life.Former = &Former{TransactionalID: oldID, Key: oldKey, Place: n.life.Place}
	n.life.Key, n.life.TransactionalID, n.life.Pod = "test/b/main", "millrace-test-b-main", "renamed"
	renamed := n.start()
	renamed.pump()
	if string(renamed.restored["proxy"]) != `{"next":20}` {
		t.Errorf("restored %s", renamed.restored)
	}
	a.out.Write(a.read(10, "proxy"))
	a.unready("pod renamed")
	renamed.stop()
	n.exact()
	if left := onTopic(t, b, oldKey); !slices.Equal(left, []string{"\x00owner"}) {
		t.Errorf("under the old name there is %q", left)
	}
	if n.life.Former != nil || n.life.Adopt {
		t.Errorf("the rename was not noted: %+v", n.life)
	}
}

// onTopic are the records under a key, by what follows it.
func onTopic(t *testing.T, b *kafkatest.Broker, key string) []string {
	t.Helper()
	present := map[string]bool{}
	for _, rec := range readCommitted(t, b, "millrace.positions") {
		if suffix, ok := strings.CutPrefix(string(rec.Key), key); ok {
			present[suffix] = rec.Value != nil
		}
	}
	maps.DeleteFunc(present, func(_ string, there bool) bool { return !there })
	return slices.Sorted(maps.Keys(present))
}

// TestOtherDisk: positions of another disk are not applied to these files, and
// leave the topic; when the first disk comes back, it does not start anew.
func TestOtherDisk(t *testing.T) {
	t.Parallel()
	b, n, a := newTx(t)
	a.stop()
	imaged := newNode(t, b, n.config, "a")
	imaged.life.Disk = "another disk"
	other := imaged.start()
	other.awaitRestore()
	if len(other.restored) != 0 {
		t.Errorf("restored %s", other.restored)
	}
	other.stop()
	if left := onTopic(t, b, n.life.Key); !slices.Equal(left, []string{"\x00owner", "\x00slice"}) {
		t.Errorf("the topic holds %q", left)
	}
	back := n.start()
	back.unready(`are those of another disk now (data_dir another disk, this one is disk-of-a)`)
	check(t, back.out.Close(deadline(t)))
}

// TestForeignPosition: a position of another disk among ours is not applied,
// and leaves the topic.
func TestForeignPosition(t *testing.T) {
	t.Parallel()
	b, n, a := newTx(t)
	a.stop()
	put(t, b, n, n.life.Key+"/foreign", `{"v":1,"disk":"another disk","pos":{"next":3}}`)
	next := n.start()
	next.awaitRestore()
	if len(next.restored) != 1 || next.restored["proxy"] == nil {
		t.Errorf("restored %s", next.restored)
	}
	next.stop()
	if left := onTopic(t, b, n.life.Key); !slices.Equal(left, []string{"\x00owner", "\x00slice", "/proxy"}) {
		t.Errorf("the topic holds %q", left)
	}
}

// TestAdopted: positions of at_least_once are where reading goes on.
func TestAdopted(t *testing.T) {
	t.Parallel()
	b := txBroker(t)
	n := newNode(t, b, txDefaults(b), "a")
	n.local = map[string][]byte{"proxy": []byte(`{"next":15}`), "quiet": []byte(`{"next":7}`)}
	a := n.start()
	a.awaitRestore()
	if !maps.EqualFunc(a.restored, n.local, slices.Equal) {
		t.Errorf("restored %s", a.restored)
	}
	a.kill()
	if n.life.Adopt {
		t.Error("the adoption was not noted")
	}
	n.local = nil // does not count any more
	next := n.start()
	next.awaitRestore()
	if string(next.restored["proxy"]) != `{"next":15}` || string(next.restored["quiet"]) != `{"next":7}` {
		t.Errorf("restored %s", next.restored)
	}
	next.stop()
}

// TestCommissionFails: nothing is written before data_dir knows where.
func TestCommissionFails(t *testing.T) {
	t.Parallel()
	b := txBroker(t)
	n := newNode(t, b, txDefaults(b), "a")
	n.broken = errors.New("no space left on device")
	a := n.start()
	a.unready("note where the positions are: no space left on device")
	n.mu.Lock()
	n.broken = nil
	n.mu.Unlock()
	n.line("proxy", 5)
	a.pump()
	a.stop()
	n.exact()
}

// TestLostPositions: what says that there were positions, without them, is
// never taken for a first start.
func TestLostPositions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(t *testing.T, b *kafkatest.Broker, n *node)
		want   string
	}{
		{"topic deleted", func(t *testing.T, b *kafkatest.Broker, n *node) { deletePositions(t, b, n) }, "is not there any more"},
		{"topic created again", func(t *testing.T, b *kafkatest.Broker, n *node) {
			deletePositions(t, b, n)
			other := newNode(t, b, n.config, "b").start()
			other.awaitRestore()
			other.stop()
		}, "was deleted and created again"},
		{"another cluster", func(_ *testing.T, _ *kafkatest.Broker, n *node) { n.life.Place.ClusterID = "elsewhere" }, `are in Kafka cluster "elsewhere"`},
		{"another topic", func(_ *testing.T, _ *kafkatest.Broker, n *node) { n.life.Place.Topic = "elsewhere" }, `are on topic "elsewhere"`},
		{"fewer partitions", func(_ *testing.T, _ *kafkatest.Broker, n *node) { n.life.Place.Partition = 99 }, "are in partition 99"},
		{"records gone", func(_ *testing.T, _ *kafkatest.Broker, n *node) { n.life.Key = "test/elsewhere/main" }, "holds no positions of"},
		{"policy delete", func(t *testing.T, b *kafkatest.Broker, n *node) { setPolicy(t, b, "compact,delete") }, "cleanup.policy=compact,delete"},
		{"later version", func(t *testing.T, b *kafkatest.Broker, n *node) {
			put(t, b, n, n.life.Key+"/proxy", `{"v":2,"disk":"disk-of-a","pos":{"next":1}}`)
		}, "its version is 2 and this millrace knows versions up to 1"},
		{"later version of the source's", func(t *testing.T, b *kafkatest.Broker, n *node) {
			put(t, b, n, n.life.Key+"/proxy", `{"v":1,"disk":"disk-of-a","pos":{"version":2}}`)
		}, "its version is later than ours"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, n, a := newTx(t)
			a.stop()
			test.change(t, b, n)
			next := n.start()
			next.unready(test.want)
			if next.restored != nil && !strings.Contains(test.name, "source") {
				t.Errorf("restored %s", next.restored)
			}
			check(t, next.out.Close(deadline(t)))
			t.Log(next.state.now)
		})
	}
}

func deletePositions(t *testing.T, b *kafkatest.Broker, n *node) {
	check(t, b.Admin(func(admin *kadm.Client) error {
		_, err := admin.DeleteTopic(deadline(t), n.config.Transaction.PositionsTopic)
		return err
	}))
}

func setPolicy(t *testing.T, b *kafkatest.Broker, policy string) {
	check(t, b.Admin(func(admin *kadm.Client) error {
		_, err := admin.AlterTopicConfigs(deadline(t), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &policy}}, "millrace.positions")
		return err
	}))
}

// put writes a record as another version of millrace would.
func put(t *testing.T, b *kafkatest.Broker, n *node, key, value string) {
	client, err := b.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	check(t, err)
	defer client.Close()
	check(t, client.ProduceSync(deadline(t), &kgo.Record{
		Topic: n.life.Place.Topic, Partition: n.life.Place.Partition, Key: []byte(key), Value: []byte(value),
	}).FirstErr())
}

// TestOpenTransactionOfANeighbour: while another node has a transaction open in
// the partition of the positions, what was committed behind it is not visible,
// and is waited for.
func TestOpenTransactionOfANeighbour(t *testing.T) {
	t.Parallel()
	b, n, a := newTx(t)
	neighbour(t, b, n, a)
}

func neighbour(t *testing.T, b *kafkatest.Broker, n *node, a *agent) {
	client, err := b.Client(kgo.TransactionalID("a neighbour of "+n.life.Node), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	check(t, err)
	defer client.Close()
	check(t, client.BeginTransaction())
	check(t, client.ProduceSync(deadline(t), &kgo.Record{
		Topic: n.life.Place.Topic, Partition: n.life.Place.Partition, Key: []byte("neighbour/key"), Value: []byte("x"),
	}).FirstErr())
	n.line("proxy", 30)
	a.pump()
	a.kill()
	next := n.start()
	next.unready("another node may have a transaction open in partition")
	if next.restored != nil {
		t.Errorf("restored %s before everything was visible", next.restored)
	}
	check(t, client.EndTransaction(deadline(t), kgo.TryAbort))
	next.awaitRestore()
	if want := fmt.Sprintf(`{"next":%d}`, n.lines["proxy"]); string(next.restored["proxy"]) != want {
		t.Errorf("restored %s, want %s", next.restored, want)
	}
	next.pump()
	next.stop()
	n.exact()
}

// TestMissingCreateRight: the sentence holds the command.
func TestMissingCreateRight(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	c := txDefaults(b)
	c.Conn = b.Conn(user, password)
	a := newNode(t, b, c, "a").start()
	a.unready(`user "agent" needs Write on topic "millrace.positions"`)
	check(t, b.Allow(deadline(t), user, kadm.OpWrite, "millrace.positions"))
	a.unready(`user "agent" may not see it, and the right to create it is missing: run kafka-topics.sh --bootstrap-server ` + b.Addr + ` --create --topic millrace.positions --partitions 50 --config cleanup.policy=compact`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, a.out.Close(ctx))
}

// TestNewNeedsItsEnds: exactly_once without a source that takes part is a
// mistake of the assembly.
func TestNewNeedsItsEnds(t *testing.T) {
	b := startBroker(t)
	c := txDefaults(b)
	c.Delivery = ExactlyOnce
	if out, err := New(Options{Config: c, Pipeline: "test"}); err == nil {
		out.Close(t.Context()) //nolint:errcheck // it should not exist
		t.Error("an output without positions")
	}
}
