package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/internal/ops"
	"millrace/internal/pipeline"
	"millrace/outputs/starrocks"
)

const (
	// replayGroup is what a pipeline's group is called while its dead letters
	// are sent again: they are planned and loaded as all records are.
	replayGroup = ".replay"
	// replayWatch is how often it is looked whether all are done.
	replayWatch = 200 * time.Millisecond
	// replayAsk bounds one question about rows.
	replayAsk = 500
)

// Replay sends the dead letters of all pipelines again, up to the last one there
// is at the beginning, and returns when each is in the table, or is a dead letter
// again because StarRocks refuses it still. Rows keep the provenance of the
// first time, and what the table has is left out: running it twice changes
// nothing. Results go to out, a line a pipeline.
func Replay(ctx context.Context, c *Config, p *ops.Process, out io.Writer) error {
	limitMemory(c.MemoryLimit)
	var failed error
	for i := range c.Pipelines {
		l := &c.Pipelines[i]
		if l.Output.StarRocks.DeadLetter == nil {
			fmt.Fprintf(out, "pipeline %s has no dead_letter.topic\n", l.Name)
			continue
		}
		r := &replay{config: *c, process: p, table: l.Output.StarRocks.Database + "." + l.Output.StarRocks.Table, origins: map[originKey]*pipeline.Origin{},
			present: map[letter]bool{}, sent: map[letter]bool{}, refused: map[letter]bool{}, unfit: map[string]bool{}}
		if err := r.run(ctx, l); err != nil {
			failed = errors.Join(failed, fmt.Errorf("replay the dead letters of pipeline %s: %w", l.Name, err))
			continue
		}
		fmt.Fprintf(out, "pipeline %s: %d dead letters loaded, %d were in the table, %d refused again, %d cannot be replayed (cut, or of another table)\n",
			l.Name, len(r.sent)-len(r.refused), len(r.present), len(r.refused), len(r.unfit))
	}
	return failed
}

// replay is the replay of one pipeline's dead letters.
type replay struct {
	config  Config
	process *ops.Process
	table   string

	mu      sync.Mutex
	origins map[originKey]*pipeline.Origin
	// Letters by what became of them; one that is sent may be refused.
	present, sent, refused map[letter]bool
	unfit                  map[string]bool // by where they are
}

// letter is a dead letter, however often it was stored.
type letter struct {
	topicID string
	part    int32
	offset  int64
}

type originKey struct {
	fetched *pipeline.Account
	topic   string
	part    int32
}

// run reads the dead letters' topic as the pipeline reads its own.
func (r *replay) run(ctx context.Context, of *PipelineConfig) error {
	line := *of
	source := *of.Source.Kafka
	source.Topic, source.Group, source.StartAt = of.Output.StarRocks.DeadLetter.Topic, source.Group+"."+of.Name+replayGroup, startAtBeginning
	loads := *of.Output.StarRocks
	loads.Load.MaxRows = min(loads.Load.MaxRows, replayAsk)
	line.Source.Kafka, line.Output.StarRocks = &source, &loads
	r.config.Pipelines = []PipelineConfig{line}
	opts, err := kafkaconn.Options(&source.Conn, "millrace-replay", r.process.Logger, nil)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	left, err := replayRest(ctx, kadm.NewClient(client), &source)
	if err != nil || len(left) == 0 {
		return err
	}
	early, err := r.cutEarly(ctx, of.Source.Kafka, &source, left)
	if err != nil {
		return err
	}
	ends := map[int32]int64{}
	for id, rest := range left {
		ends[id] = rest.to
	}
	if err = r.load(ctx, kadm.NewClient(client), of, ends); err == nil && early != "" {
		err = errors.New(early)
	}
	return err
}

// load loads the letters before the ends.
func (r *replay) load(ctx context.Context, admin *kadm.Client, of *PipelineConfig, ends map[int32]int64) error {
	if len(ends) == 0 {
		return nil
	}
	line := &r.config.Pipelines[0]
	a := &assembly{config: &r.config, process: r.process, origins: r.origin, until: ends, topic: of.Source.Kafka.Topic, stored: r.stored}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var output *replayOutput
	a.wrap = func(o *starrocks.Output) pipeline.Output {
		output = &replayOutput{Output: o, replay: r, report: func(err error) { r.process.Health.Set(line.Name+"/replay", err) }}
		output.ctx, output.stop = context.WithCancel(context.WithoutCancel(ctx))
		return output
	}
	if err := a.start(ctx, line); err != nil {
		return err
	}
	err := r.tells(ctx, output.Output)
	if err == nil {
		err = r.wait(ctx, admin, line.Source.Kafka, ends)
	}
	stop()
	return errors.Join(err, a.group.Wait())
}

// stored notes letters that were refused again.
func (r *replay) stored(letters []starrocks.DeadLetter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range letters {
		r.refused[letter{l.TopicID, l.Partition, l.Offset}] = true
	}
}

// rest is where dead letters of a partition begin that were not replayed yet, and
// where they end.
type rest struct{ from, to int64 }

// replayRest is what there is to replay, by partition; nothing if there is no
// such topic.
func replayRest(ctx context.Context, admin *kadm.Client, c *KafkaConfig) (map[int32]rest, error) {
	subject := kafkaconn.Subject{Config: &c.Conn, Topic: c.Topic, Right: "Read", Group: c.Group}
	starts, err := admin.ListStartOffsets(ctx, c.Topic)
	ends, eerr := admin.ListCommittedOffsets(ctx, c.Topic)
	done, derr := groupOffsets(ctx, admin, c.Group)
	if err = errors.Join(err, eerr, derr); err != nil {
		return nil, kafkaconn.Explain(err, subject)
	}
	left := map[int32]rest{}
	var failed error
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(c.Topic, o.Partition)
		if behind, ok := done.Lookup(c.Topic, o.Partition); ok {
			start.Offset = max(start.Offset, behind.At)
		}
		switch {
		case errors.Is(o.Err, kerr.UnknownTopicOrPartition):
		case o.Err != nil:
			failed = kafkaconn.Explain(o.Err, subject)
		case o.Offset > start.Offset:
			left[o.Partition] = rest{start.Offset, o.Offset}
		}
	})
	return left, failed
}

// groupOffsets are a group's offsets; none of one that there is not yet.
func groupOffsets(ctx context.Context, admin *kadm.Client, group string) (kadm.OffsetResponses, error) {
	offsets, err := admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return offsets, err
}

// tells fails unless the table's rows tell where they came from.
func (r *replay) tells(ctx context.Context, output *starrocks.Output) error {
	tells, err := output.Provenance(ctx)
	if err == nil && !tells {
		return fmt.Errorf("the rows of table %s do not tell where they came from, so it cannot be known which letters it has: it needs query_addr and the columns kafka_topic_id, kafka_partition and kafka_offset", r.table)
	}
	return err
}

// wait returns when the group is behind all of the ends.
func (r *replay) wait(ctx context.Context, admin *kadm.Client, c *KafkaConfig, ends map[int32]int64) error {
	for {
		offsets, err := admin.FetchOffsets(ctx, c.Group)
		if err == nil {
			done := 0
			for id, end := range ends {
				if o, ok := offsets.Lookup(c.Topic, id); ok && o.At >= end {
					done++
				}
			}
			if done == len(ends) {
				return nil
			}
		}
		if !idle(ctx, replayWatch) {
			return context.Cause(ctx)
		}
	}
}

// origin is where a dead letter's record was from, as its headers say.
func (r *replay) origin(fetched *pipeline.Origin, rec *kgo.Record) (*pipeline.Origin, int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.letter(rec)
	if !ok {
		r.unfit[fmt.Sprint(rec.Partition, "/", rec.Offset)] = true
		return nil, 0, false
	}
	key := originKey{fetched.Account, l.topicID, l.part}
	o := r.origins[key]
	if o == nil {
		o = &pipeline.Origin{Account: fetched.Account, Partition: l.part, TopicID: l.topicID}
		r.origins[key] = o
	}
	return o, l.offset, true
}

// letter reads a record's headers; false: it cannot be replayed into our table.
func (r *replay) letter(rec *kgo.Record) (letter, bool) {
	h := map[string]string{}
	for _, x := range rec.Headers {
		h[x.Key] = string(x.Value)
	}
	part, err := strconv.ParseInt(h["partition"], 10, 32)
	offset, oerr := strconv.ParseInt(h["offset"], 10, 64)
	if err != nil || oerr != nil || h["millrace"] != deadLetterVersion || h["topic_id"] == "" || h["table"] != r.table || h["truncated"] != "" {
		return letter{}, false
	}
	return letter{h["topic_id"], int32(part), offset}, true
}
