package kafka

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/kafkaconn"
	"millrace/internal/kafkaconn/kafkatest"
)

// setLimit changes the topic's max.message.bytes.
func setLimit(t *testing.T, b *kafkatest.Broker, bytes int) { setLimitOf(t, b, topic, bytes) }

func setLimitOf(t *testing.T, b *kafkatest.Broker, topic string, bytes int) {
	t.Helper()
	check(t, b.Admin(func(admin *kadm.Client) error {
		value := strconv.Itoa(bytes)
		done, err := admin.AlterTopicConfigs(deadline(t), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &value}}, topic)
		if err != nil {
			return err
		}
		_, err = done.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		return err
	}))
}

// decoded is what a consumer sees of a record.
type decoded struct {
	Message   string `json:"message"`
	Truncated bool   `json:"truncated"`
}

// closeCut closes the output and returns the records in the order written.
func (r *rig) closeCut(limit int) []decoded {
	r.t.Helper()
	check(r.t, r.out.Close(deadline(r.t)))
	r.balanced()
	var all []decoded
	for _, rec := range readAll(r.t, r.broker, topic) {
		if len(rec.Value)+len(rec.Key) > limit {
			r.t.Errorf("a record of %d bytes is beyond %d", len(rec.Value), limit)
		}
		var d decoded
		if err := json.Unmarshal(rec.Value, &d); err != nil {
			r.t.Fatalf("%.100q: %v", rec.Value, err)
		}
		all = append(all, d)
	}
	return all
}

// longMessages are what the limit is about.
func longMessages() []string {
	text := func(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] }
	return []string{
		text(16 << 10), text(65_533), text(65_534), text(1 << 20),
		text(1<<20 - 400), strings.Repeat("\x01", 1<<20), strings.Repeat(`"`, 1<<20), strings.Repeat("\xff", 1<<20),
		strings.Repeat("가", 350_000), "short",
	}
}

// TestRecordThatDoesNotFitIsCut: with the topic's own limit, with one above
// Kafka's default, and with none that may be read.
func TestRecordThatDoesNotFitIsCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		acls  []kfake.ACL
		limit int // of the topic, 0: Kafka's default
		cut   int // records that do not fit it
	}{
		{"default", []kfake.ACL{kafkatest.WriteACL(topic), kafkatest.DescribeConfigsACL(topic)}, 0, 5},
		{"small", []kfake.ACL{kafkatest.WriteACL(topic), kafkatest.DescribeConfigsACL(topic)}, 20_000, 8},
		{"large", []kfake.ACL{kafkatest.WriteACL(topic), kafkatest.DescribeConfigsACL(topic)}, 10 << 20, 0},
		{"default, not to be read", []kfake.ACL{kafkatest.WriteACL(topic)}, 0, 5},
		{"small, not to be read", []kfake.ACL{kafkatest.WriteACL(topic)}, 100_000, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startBare(t, kfake.SeedTopics(1, topic), kfake.User(kafkaconn.ScramSHA512, user, password, test.acls...))
			limit := defaultLimit
			if test.limit > 0 {
				limit = test.limit
				setLimit(t, b, limit)
			}
			c := defaults(b)
			c.Key, c.Compression = KeyContainer, "none" // the broker looks at the compressed size
			r := newRig(t, b, c)
			o := r.origin("proxy")
			wrote := longMessages()
			for _, m := range wrote {
				r.out.Write(r.batch(o, m))
			}
			got := r.closeCut(limit)
			if len(got) != len(wrote) {
				t.Fatalf("%d records arrived of %d", len(got), len(wrote))
			}
			cut := 0
			for i, d := range got {
				want := strings.ToValidUTF8(wrote[i], "\uFFFD")
				if wrote[i][0] == 0xff {
					want = strings.Repeat("\uFFFD", len(wrote[i]))
				}
				if !d.Truncated && d.Message != want || !strings.HasPrefix(want, d.Message) || !utf8.ValidString(d.Message) {
					t.Errorf("message %d of %d bytes arrived as %d bytes, truncated=%t", i, len(wrote[i]), len(d.Message), d.Truncated)
				}
				if d.Truncated {
					cut++
				}
			}
			balance := o.Account.Balance()
			// A limit found by halving lies below the true one: what waits
			// together with a record that is refused may be cut as well.
			learned := len(test.acls) == 1 && test.limit > 0 && cut > test.cut && cut <= 8
			if cut != test.cut && !learned || balance.Cut != int64(cut) || balance.Replaced != 1 || balance.Delivered != int64(len(wrote)) {
				t.Errorf("%d cut, want %d; counted %+v", cut, test.cut, balance)
			}
		})
	}
}

// TestLimitIsLoweredWhileRecordsFlow: the refused records are cut and go out in
// their order; the ones that fit are not touched.
func TestLimitIsLoweredWhileRecordsFlow(t *testing.T) {
	t.Parallel()
	for _, acls := range [][]kfake.ACL{
		{kafkatest.WriteACL(topic), kafkatest.DescribeConfigsACL(topic)},
		{kafkatest.WriteACL(topic)},
	} {
		t.Run(fmt.Sprintf("%d rights", len(acls)), func(t *testing.T) {
			b := startBare(t, kfake.SeedTopics(1, topic), kfake.User(kafkaconn.ScramSHA512, user, password, acls...))
			c := defaults(b)
			c.Key, c.Compression = KeyContainer, "none"
			r := newRig(t, b, c)
			o := r.origin("proxy")
			long := strings.Repeat("x", 300_000)
			write := func(i int) { r.out.Write(r.batch(o, fmt.Sprint(i, " ", long), fmt.Sprint(i+1, " short"))) }
			write(0)
			r.settled()
			const limit = 120_000
			setLimit(t, b, limit)
			for i := 2; i < 40; i += 2 {
				write(i)
			}
			check(t, r.out.Close(deadline(t)))
			r.balanced()
			recs := readAll(t, b, topic)
			if len(recs) != 40 {
				t.Fatalf("%d records arrived of 40", len(recs))
			}
			for i, rec := range recs {
				var d decoded
				check(t, json.Unmarshal(rec.Value, &d))
				number, rest, _ := strings.Cut(d.Message, " ")
				if number != strconv.Itoa(i) {
					t.Fatalf("record %d is number %s", i, number)
				}
				if cut := i%2 == 0 && i > 0; d.Truncated != cut || cut && (len(rec.Value) > limit || len(rest) < 50_000) {
					t.Errorf("record %d: %d bytes, truncated=%t", i, len(rec.Value), d.Truncated)
				}
			}
			if balance := o.Account.Balance(); balance.Cut != 19 {
				t.Errorf("%d counted as cut, want 19", balance.Cut)
			}
		})
	}
}

// TestRecordThatNeverFits is dropped, counted and named, and blocks nobody.
func TestRecordThatNeverFits(t *testing.T) {
	t.Parallel()
	b := startBroker(t, kfake.SeedTopics(1, topic))
	setLimit(t, b, 1000)
	r := newRig(t, b, defaults(b))
	big, small := r.origin("big"), r.origin("small")
	big.Tail = []byte(`,"kubernetes":{"labels":{"a":"` + strings.Repeat("b", 2000) + `"}}`)
	for range 3 {
		r.out.Write(r.batch(big, "secret content", "more"))
		mixed := r.batch(small, "fits")
		r.out.Write(mixed)
	}
	if got := r.closeCut(1000); len(got) != 3 {
		t.Errorf("%d records arrived, want 3", len(got))
	}
	if d := big.Account.Balance().Dropped["too_large"]; d != 6 {
		t.Errorf("%d dropped, want 6", d)
	}
	log := r.logged.String()
	if strings.Count(log, "was dropped") != 1 || !strings.Contains(log, "ns/pod/big") || strings.Contains(log, "secret") {
		t.Errorf("log: %s", log)
	}
}

// TestSizeRefusalsEndSomewhere: a broker that calls everything too large is not
// a reason to cut everything: nothing is lost, and the reason is told.
func TestSizeRefusalsEndSomewhere(t *testing.T) {
	t.Parallel()
	b := startBroker(t, kfake.SeedTopics(1, topic))
	refuse := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Count: -1, Err: kerr.MessageTooLarge})
	r := newRig(t, b, defaults(b))
	r.out.Write(r.batch(r.origin("proxy"), strings.Repeat("x", 10_000)))
	r.unready("larger than the topic's max.message.bytes")
	check(t, refuse.Wait(deadline(t), 12))
	refuse.Remove()
	r.ready()
	r.close()
}
