package kafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/internal/kafkaconn"
)

// tenure is this process's hold on the positions, over all sessions. It
// belongs to the keeper.
type tenure struct {
	positions  Positions
	askLife    func(context.Context) (Life, error)
	commission func(Place) error
	instance   string // random

	life     Life
	place    Place
	holds    bool   // a session has taken the positions over
	restored bool   // the source has them
	warned   bool   // of the positions topic's settings
	failed   bool   // the last slice did
	stray    bool   // what is written may lie behind a hole
	fenced   bool   // somebody else took the transactional id
	number   uint64 // of the last slice
	before   string // who wrote the slice record when the source got its positions
	producer int64  // the producer id and epoch of the last transaction
	epoch    int16
	// doubt is a slice whose commit was asked for and not confirmed.
	doubt *slice
	left  *slice // what was under way when the output closed
}

func newTenure(opts *Options) *tenure {
	return &tenure{positions: opts.Positions, askLife: opts.Life, commission: opts.Commission, instance: rand.Text()}
}

// stopError is what no retry mends: the output stops for good.
type stopError struct{ error }

func (e *stopError) Unwrap() error { return e.error }

// sentence is an error that says all there is to be said.
type sentence struct{ error }

func (e *sentence) Unwrap() error { return e.error }

func say(format string, args ...any) error { return &sentence{fmt.Errorf(format, args...)} }

// explain is kafkaconn.Explain for errors that are not our own.
func (o *Output) explain(err error) error {
	var said *sentence
	if errors.As(err, &said) {
		return err
	}
	return kafkaconn.Explain(err, o.subject)
}

// fencedBy tells that Kafka takes nothing from this producer any more because
// the transactional id has another one.
func fencedBy(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// begin makes the session ready for transactions: when it returns nil, this
// process alone writes the positions, knows what was committed, and the source
// has it.
func (t *tenure) begin(ctx context.Context, s *session) error {
	if err := t.settleLife(ctx, s); err != nil {
		return err
	}
	place, err := s.findPlace(ctx, &t.life)
	if err != nil {
		return err
	}
	t.place = place
	// In the first session whoever has the id has to go: it is an earlier
	// life of this pod. In later ones it may be a later life of it.
	if t.holds {
		if err := t.stillOurs(ctx, s); err != nil {
			return err
		}
	}
	s.promote(t.life.TransactionalID)
	if err := t.takeOver(ctx, s); err != nil {
		return err
	}
	t.holds, t.fenced = true, false
	return t.resume(ctx, s)
}

// settleLife asks who we are, until the source has its positions.
func (t *tenure) settleLife(ctx context.Context, s *session) error {
	if t.restored {
		return nil
	}
	life, err := t.askLife(ctx)
	if err != nil {
		return say("find out whose positions these are: %w", err)
	}
	t.life = life
	s.out.subject.TransactionalID = life.TransactionalID
	return nil
}

// stillOurs fails when another process has taken over. After a fence it gives
// that one time to say who it is.
func (t *tenure) stillOurs(ctx context.Context, s *session) error {
	if !t.fenced {
		// Initialised with what it was, the id is ours unless somebody else
		// has initialised it (KIP-360). It ends what we left open, too.
		err := s.initProducer(ctx, t.life.TransactionalID, t.producer, t.epoch)
		if err == nil || !fencedBy(err) {
			return err
		}
		t.fenced = true
	}
	patience := time.Now().Add(s.out.config.Transaction.Timeout)
	for {
		states, err := s.states(ctx, reading{place: t.place, mayEndEarly: true}, t.life.Key)
		if err != nil {
			return err
		}
		if by := states[0].owner; by == nil || by.Instance != t.instance {
			return &stopError{t.ousted(by)}
		}
		if time.Now().After(patience) {
			return nil // it is not to be found: we try again
		}
		if err := pause(ctx, s.out.tuning.minBackoff); err != nil {
			return err
		}
	}
}

// ousted is what a process says that lost its positions to another one.
func (t *tenure) ousted(by *ownerRecord) error {
	if by == nil {
		return say("the record of who owns the positions of %q is gone from topic %q: find out who deleted it, then restart this pod (%s on node %s)",
			t.life.Key, t.place.Topic, t.life.Pod, t.life.Node)
	}
	return say("another agent took over transactional id %q: pod %s on node %s (data_dir %s) at %s; this is pod %s on node %s (data_dir %s): two agents of one node and pipeline must not run at once, so stop one of them, or give their nodes or clusters different names, then restart this pod",
		t.life.TransactionalID, by.Pod, by.Node, by.Disk, by.Time.UTC().Format(time.RFC3339), t.life.Pod, t.life.Node, t.life.Disk)
}

// takeOver fences whoever has the transactional id and says who has it now. In
// the partition of the positions its record lies behind everything that could
// be committed before.
func (t *tenure) takeOver(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, s.out.config.Transaction.Timeout+s.out.tuning.dialWait)
	defer cancel()
	if t.life.Former != nil && t.life.Former.TransactionalID != t.life.TransactionalID {
		if err := s.initProducer(ctx, t.life.Former.TransactionalID, -1, -1); err != nil {
			return err
		}
	}
	if _, _, err := s.client.ProducerID(ctx); err != nil {
		return kafkaconn.Explain(err, s.out.subject)
	}
	owner := encode(ownerRecord{
		Version: formatVersion, Disk: t.life.Disk, Node: t.life.Node, Pod: t.life.Pod,
		Instance: t.instance, Time: time.Now(),
	})
	recs := []*kgo.Record{t.record(t.life.Key+ownerSuffix, owner)}
	if t.renamed() {
		recs = append(recs, t.record(t.life.Former.Key+ownerSuffix, owner))
	}
	return t.commitPositions(ctx, s, recs)
}

// initProducer ends what is open under a transactional id, and fences whoever
// has it, or, with the producer id and epoch of the last one, only that one.
func (s *session) initProducer(ctx context.Context, id string, producer int64, epoch int16) error {
	ctx, cancel := context.WithTimeout(ctx, s.out.config.Transaction.Timeout+s.out.tuning.dialWait)
	defer cancel()
	about := s.out.subject
	about.TransactionalID = id
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = &id
	req.TransactionTimeoutMillis = int32(s.out.config.Transaction.Timeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = producer, epoch
	for {
		resp, err := req.RequestWith(ctx, s.client)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) { // its last one is being ended
			return kafkaconn.Explain(err, about)
		}
		if err := pause(ctx, s.out.tuning.minBackoff); err != nil {
			return err
		}
	}
}

// noteProducer notes who the transaction that was begun is of.
func (t *tenure) noteProducer(ctx context.Context, s *session) error {
	producer, epoch, err := s.client.ProducerID(ctx)
	if err == nil {
		t.producer, t.epoch = producer, epoch
	}
	return err
}

// record is one on the positions topic; no value is a tombstone.
func (t *tenure) record(key string, value []byte) *kgo.Record {
	return &kgo.Record{Topic: t.place.Topic, Partition: t.place.Partition, Key: []byte(key), Value: value}
}

// positionRecord is that of a container; no position is a tombstone.
func (t *tenure) positionRecord(container string, pos []byte) *kgo.Record {
	var value []byte
	if pos != nil {
		value = appendPosition(nil, t.life.Disk, pos)
	}
	return t.record(t.life.Key+positionSuffix+container, value)
}

// sliceRecord is the one of the slice with the number.
func (t *tenure) sliceRecord(number uint64) *kgo.Record {
	return t.record(t.life.Key+sliceSuffix, encode(sliceRecord{
		Version: formatVersion, Disk: t.life.Disk, Instance: t.instance, Slice: number,
	}))
}

// commitPositions is a transaction of its own.
func (t *tenure) commitPositions(ctx context.Context, s *session, recs []*kgo.Record) error {
	about := s.out.positionsSubject("Write")
	err := s.client.BeginTransaction()
	if err == nil {
		err = t.noteProducer(ctx, s)
	}
	if err == nil {
		err = s.client.ProduceSync(ctx, recs...).FirstErr()
	}
	if err == nil {
		err = s.out.sameProducer(ctx, s)
	}
	if err == nil {
		if err = s.client.EndTransaction(ctx, kgo.TryCommit); err == nil {
			err = t.noteProducer(ctx, s)
		}
	} else if end := s.client.EndTransaction(ctx, kgo.TryAbort); end != nil && fencedBy(end) {
		err = end
	}
	t.fenced = t.fenced || fencedBy(err)
	return kafkaconn.Explain(err, about)
}
