package collector

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
)

// cutEarly leaves out of what is left the letters whose load is not finished, and
// those behind them. The offset of the pipeline's own group has not passed such a
// letter, so a plan may stand whose range it is in. Its label may be unknown, and the row of a replayed
// letter would be taken for the load's; or the letter is sent once more with its
// plan. early says in one sentence what was left; empty if nothing was.
func (r *replay) cutEarly(ctx context.Context, source, letters *KafkaConfig, left map[int32]rest) (early string, err error) {
	from := map[int32]kgo.Offset{}
	for id, rest := range left {
		from[id] = kgo.NewOffset().At(rest.from)
	}
	opts, err := kafkaconn.Options(&letters.Conn, "millrace-replay", r.process.Logger, nil)
	if err != nil {
		return "", err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{letters.Topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(fetchWait))...)
	if err != nil {
		return "", fmt.Errorf("consume topic %q: %w", letters.Topic, err)
	}
	defer client.Close()
	subject := kafkaconn.Subject{Config: &source.Conn, Topic: source.Topic, Right: "Describe", Group: source.Group}
	admin := kadm.NewClient(client)
	of, err := identify(ctx, admin, source.Topic)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) { // of a topic that is gone nothing is loaded any more
		return "", kafkaconn.Explain(err, subject)
	}
	behind, err := groupOffsets(ctx, admin, source.Group)
	if err != nil {
		return "", fmt.Errorf("read the offsets of group %q: %w", source.Group, kafkaconn.Explain(err, subject))
	}
	open := maps.Clone(left)
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			return "", fmt.Errorf("read topic %q, partition %d: %w", letters.Topic, e.Partition, errors.Join(context.Cause(ctx), kafkaconn.Explain(e.Err, subject)))
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			rest, ok := open[rec.Partition]
			if !ok {
				return
			}
			l, fits := r.letter(rec)
			at, known := behind.Lookup(source.Topic, l.part)
			if fits && rec.Offset < rest.to && l.topicID == of.id && (!known || l.offset >= at.At) {
				early = fmt.Sprintf("the letter of topic %q, partition %d, offset %d, and those behind it are not replayed: the load that they are of is not finished (group %q is at %d); let the collector run until it is, and replay again",
					source.Topic, l.part, l.offset, source.Group, max(at.At, 0))
				rest.to = rec.Offset
				left[rec.Partition] = rest
			}
			if rec.Offset+1 >= rest.to {
				delete(open, rec.Partition)
			}
		})
	}
	maps.DeleteFunc(left, func(_ int32, r rest) bool { return r.to <= r.from })
	return early, nil
}
