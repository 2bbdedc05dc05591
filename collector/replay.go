package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	source.Topic, source.Group, source.StartAt = of.Output.StarRocks.DeadLetter.Topic, source.Group+replayGroup, startAtBeginning
	line.Source.Kafka = &source
	opts, err := kafkaconn.Options(&source.Conn, "millrace-replay", r.process.Logger, nil)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := replayEnds(ctx, kadm.NewClient(client), &source)
	if err != nil || len(ends) == 0 {
		return err
	}
	r.config.Pipelines = []PipelineConfig{line}
	a := &assembly{config: &r.config, process: r.process, origins: r.origin, until: ends, topic: of.Source.Kafka.Topic, stored: r.stored}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var output *replayOutput
	a.wrap = func(o *starrocks.Output) pipeline.Output {
		output = &replayOutput{Output: o, replay: r, report: func(err error) { r.process.Health.Set(line.Name+"/replay", err) }}
		output.ctx, output.stop = context.WithCancel(context.WithoutCancel(ctx))
		return output
	}
	if err := a.start(ctx, &r.config.Pipelines[0]); err != nil {
		return err
	}
	if err = r.tells(ctx, output.Output); err == nil {
		err = r.wait(ctx, kadm.NewClient(client), &source, ends)
	}
	stop()
	err = errors.Join(err, a.group.Wait())
	return err
}

// stored notes letters that were refused again.
func (r *replay) stored(letters []starrocks.DeadLetter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range letters {
		r.refused[letter{l.TopicID, l.Partition, l.Offset}] = true
	}
}

// replayEnds are the offsets up to which there are dead letters now; none if
// there is no such topic yet.
func replayEnds(ctx context.Context, admin *kadm.Client, c *KafkaConfig) (map[int32]int64, error) {
	subject := kafkaconn.Subject{Config: &c.Conn, Topic: c.Topic, Right: "Read", Group: c.Group}
	starts, err := admin.ListStartOffsets(ctx, c.Topic)
	ends, eerr := admin.ListCommittedOffsets(ctx, c.Topic)
	if err = errors.Join(err, eerr); err != nil {
		return nil, kafkaconn.Explain(err, subject)
	}
	at := map[int32]int64{}
	var failed error
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(c.Topic, o.Partition)
		switch {
		case errors.Is(o.Err, kerr.UnknownTopicOrPartition):
		case o.Err != nil:
			failed = kafkaconn.Explain(o.Err, subject)
		case o.Offset > start.Offset:
			at[o.Partition] = o.Offset
		}
	})
	return at, failed
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
	h := map[string]string{}
	for _, x := range rec.Headers {
		h[x.Key] = string(x.Value)
	}
	part, err := strconv.ParseInt(h["partition"], 10, 32)
	offset, oerr := strconv.ParseInt(h["offset"], 10, 64)
	if err != nil || oerr != nil || h["millrace"] != deadLetterVersion || h["topic_id"] == "" || h["table"] != r.table || h["truncated"] != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.unfit[fmt.Sprint(rec.Partition, "/", rec.Offset)] = true
		return nil, 0, false
	}
	key := originKey{fetched.Account, h["topic_id"], int32(part)}
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.origins[key]
	if o == nil {
		o = &pipeline.Origin{Account: fetched.Account, Partition: int32(part), TopicID: h["topic_id"]}
		r.origins[key] = o
	}
	return o, offset, true
}

// replayOutput leaves out what the table has, and what comes twice. Batches
// whose question is not answered yet have a goroutine each; Close waits for
// them.
type replayOutput struct {
	*starrocks.Output
	replay *replay
	report func(error)
	ctx    context.Context
	stop   context.CancelFunc
	asking sync.WaitGroup
}

// Write implements pipeline.Output.
func (o *replayOutput) Write(b *pipeline.Batch) {
	o.asking.Go(func() {
		if err := o.leaveOut(b); err != nil {
			b.Done(err)
			return
		}
		o.Output.Write(b)
	})
}

// Close implements pipeline.Output.
func (o *replayOutput) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, o.stop)
	defer stop()
	o.asking.Wait()
	o.stop()
	return o.Output.Close(ctx)
}

// leaveOut takes the records out that are in the table already.
func (o *replayOutput) leaveOut(b *pipeline.Batch) error {
	offsets := map[*pipeline.Origin][]int64{}
	for i := range b.Records {
		r := &b.Records[i]
		offsets[r.Origin] = append(offsets[r.Origin], r.Offset)
	}
	present := map[*pipeline.Origin]map[int64]bool{}
	for origin, all := range offsets {
		present[origin] = map[int64]bool{}
		for some := range slices.Chunk(all, replayAsk) {
			if err := o.ask(origin, some, present[origin]); err != nil {
				return err
			}
		}
	}
	o.replay.mu.Lock()
	defer o.replay.mu.Unlock()
	kept := 0
	for i := range b.Records {
		r := &b.Records[i]
		seen := present[r.Origin]
		l := letter{r.Origin.TopicID, r.Origin.Partition, r.Offset}
		if seen[r.Offset] {
			if !o.replay.sent[l] {
				o.replay.present[l] = true
			}
			b.Delivered(b.SpanOf(i), 1)
			continue
		}
		o.replay.sent[l] = true
		seen[r.Offset] = true // the same letter may have been stored twice
		b.Records[kept], b.Records[i] = b.Records[i], b.Records[kept]
		kept++
	}
	b.Records = b.Records[:kept]
	return nil
}

// ask repeats the question until it is answered.
func (o *replayOutput) ask(origin *pipeline.Origin, offsets []int64, into map[int64]bool) error {
	for wait := askAgain; ; wait = min(wait*2, askSeldom) {
		present, err := o.Present(o.ctx, origin.TopicID, origin.Partition, offsets)
		o.report(err)
		if err == nil {
			for at := range present {
				into[at] = true
			}
			return nil
		}
		if !idle(o.ctx, wait) {
			return context.Cause(o.ctx)
		}
	}
}
