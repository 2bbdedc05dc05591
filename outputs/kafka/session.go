package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
)

const (
	// defaultLimit is Kafka's default of max.message.bytes.
	defaultLimit = 1_048_588
	// minLimit and maxLimit bound what the client is told; both are far from
	// what a topic for logs has.
	minLimit, maxLimit = 512, 64 << 20
	// minLearned is where guessing ends: below it a refusal is not about
	// size, and cutting records further would only lose them.
	minLearned = 16 << 10
	// overhead is what a record batch of one record adds to its key and
	// value at most: 61 bytes of header and some 20 of varints in Kafka's
	// format, 84 as franz-go counts before it knows the broker's version.
	overhead = 128
)

// session is the life of one client.
type session struct {
	out      *Output
	clientID string
	client   *kgo.Client
	watch    *kafkaconn.Watch
	limit    atomic.Int64 // the topic's max.message.bytes, as far as known

	// In transactions: the partition of records without a key, which of them
	// had a leader when the session began, what the positions topic takes,
	// and the transaction that is open. partition and slice change only while
	// the gate is closed.
	partition      int32
	leaders        []bool
	positionsLimit int
	slice          *slice

	refusedAt int  // the last limit that was too high, 0 if none was
	warned    bool // that the limit cannot be read
}

// newSession makes a client; it dials nothing yet.
func (o *Output) newSession(clientID string) (*session, error) {
	s := &session{out: o, clientID: clientID}
	s.limit.Store(defaultLimit)
	if err := s.open(""); err != nil {
		return nil, err
	}
	return s, nil
}

// renew is a fresh session that remembers what the old one learned.
func (s *session) renew() *session {
	n := &session{out: s.out, clientID: s.clientID, refusedAt: s.refusedAt, warned: s.warned}
	n.limit.Store(defaultLimit)
	n.mustOpen("")
	return n
}

// promote replaces the session's client, which was good for questions, by one
// for transactions.
func (s *session) promote(transactionalID string) {
	s.close()
	s.mustOpen(transactionalID)
}

func (s *session) mustOpen(transactionalID string) {
	if err := s.open(transactionalID); err != nil {
		panic(fmt.Sprintf("BUG: options that made a client once make none now: %v", err))
	}
}

// open makes the client, for transactions if the id is not empty.
func (s *session) open(transactionalID string) error {
	o := s.out
	s.watch = kafkaconn.NewWatch(o.subject, o.health.connected)
	opts, err := kafkaconn.Options(&o.config.Conn, s.clientID, o.log, s.watch)
	if err != nil {
		return err
	}
	partitioner := kgo.UniformBytesPartitioner(stickyBytes, true, true, nil)
	if transactionalID != "" {
		opts = append(opts, kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(o.config.Transaction.Timeout))
		if o.config.Key == KeyNone {
			partitioner = nil
		}
		partitioner = route{positions: o.config.Transaction.PositionsTopic, keyed: partitioner}
	}
	s.client, err = kgo.NewClient(append(opts,
		kgo.WithHooks(o.metrics),
		kgo.RequiredAcks(kgo.AllISRAcks()), // idempotent, as long as it is not switched off
		o.config.compression(),
		kgo.ProducerLinger(o.config.Linger),
		kgo.RecordPartitioner(partitioner),
		kgo.ProducerBatchMaxBytesFn(s.maxBatch),
		// The pool of batches bounds what is in flight; these must never.
		kgo.MaxBufferedRecords(math.MaxInt),
		kgo.MaxBufferedBytes(0),
		// Nothing is given up: no delivery timeout, and retries without end
		// are the client's default.
	)...)
	return err
}

// close ends the client: the records it holds come back. Its connections have
// no say from here on, for the next session speaks for itself.
func (s *session) close() {
	s.watch.Mute()
	s.client.Close()
}

// stickyBytes is how much goes to one partition before the next one's turn,
// for records without a key.
const stickyBytes = 1 << 20

// maxBatch is the size of a batch that a topic takes.
func (s *session) maxBatch(topic string) int32 {
	if topic == s.out.config.Transaction.PositionsTopic && s.positionsLimit > 0 {
		return int32(s.positionsLimit)
	}
	return int32(s.batchLimit())
}

// batchLimit is the size of a batch that the topic takes.
func (s *session) batchLimit() int { return int(s.limit.Load()) }

// recordLimit is the size of a record's key and value together that fit a
// batch.
func (s *session) recordLimit() int { return s.batchLimit() - overhead }

// connect asks what must be known before the first record: whether a broker
// lets us in, whether the topic is there and how large its batches may be.
func (s *session) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.out.tuning.dialWait)
	defer cancel()
	if err := s.client.Ping(ctx); err != nil {
		return err
	}
	s.out.health.connected(nil)
	admin, topic := kadm.NewClient(s.client), s.out.config.Topic
	topics, err := admin.ListTopics(ctx, topic)
	if err == nil {
		err = topics[topic].Err
	}
	if err != nil {
		return err
	}
	limit, err := kafkaconn.TopicLimit(ctx, admin, topic)
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		s.warnLimit()
	case err != nil:
		return err
	}
	s.setLimit(limit)
	s.leaders = make([]bool, len(topics[topic].Partitions))
	for p := range s.leaders {
		s.leaders[p] = topics[topic].Partitions[int32(p)].Leader >= 0
	}
	s.partition = draw(len(s.leaders))
	return nil
}

// setLimit takes the topic's limit, 0 if it is not known. A limit that was
// refused before, and is claimed still, is halved.
func (s *session) setLimit(described int) {
	limit := described
	if limit == 0 {
		limit = defaultLimit
	}
	switch {
	case s.refusedAt == 0:
	case limit >= s.refusedAt:
		limit = max(s.refusedAt/2, minLearned)
	case described > 0:
		s.refusedAt = 0 // it was lowered, and that was all
	}
	s.limit.Store(int64(min(max(limit, minLimit), maxLimit)))
	s.out.limit.Store(int64(s.recordLimit()))
}

// warnLimit tells once that the limit is a guess.
func (s *session) warnLimit() {
	if s.warned {
		return
	}
	s.warned = true
	s.out.log.Warn("the topic's max.message.bytes cannot be read, because the user has no right DescribeConfigs on the topic; Kafka's default is assumed and corrected when a batch is refused",
		slog.String("topic", s.out.config.Topic), slog.Int("assumed_bytes", defaultLimit))
}
