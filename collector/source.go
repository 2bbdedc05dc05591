package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/kafkaconn"
	"millrace/internal/pipeline"
	"millrace/outputs/starrocks"
)

const (
	// pollRecords bounds what one poll returns, and so by how much a queue
	// may exceed a batch.
	pollRecords = 10_000
	// fetchWait is how long a broker holds a fetch that finds nothing.
	fetchWait = 250 * time.Millisecond
	// defaultRevokeWait is well below the rebalance timeout of a minute, after
	// which the group would go on without us.
	defaultRevokeWait = 10 * time.Second
	// closeWait bounds the last commits of a shutdown.
	closeWait = 10 * time.Second
	// leaveWait bounds leaving the group: the client waits for a join that is
	// under way, and that may wait for a member that is gone (joinAndSync in
	// its consumer_group.go).
	leaveWait = 3 * time.Second
)

// labelNames are the labels of the ledger's accounts.
var labelNames = []string{"topic", "partition"}

// sourceOptions are what a source is made of.
type sourceOptions struct {
	config   KafkaConfig
	pipeline string
	loads    *starrocks.Output // where the pipeline's output resolves labels; nil: no label is in
	limits   limits
	memory   memory
	lanes    int
	extra    int             // bytes that filters add to each row
	origins  originsOf       // nil: records are from where they were fetched
	until    map[int32]int64 // where partitions end for us; nil: nowhere
	pool     *pipeline.Pool  // of at least a batch a lane
	ledger   *pipeline.Ledger
	log      *slog.Logger
	registry prometheus.Registerer // nil: no metrics
	report   func(error)           // readiness; must not block
	// revokeWait is how long the group waits for loads that are on their way
	// when a partition is taken from us; 0: the default.
	revokeWait time.Duration
}

// source is a pipeline.Source that reads a topic as a member of a consumer
// group. A record counts as done when the group's offset is committed behind
// it, which happens only after its batch was Done(nil).
//
// Run is the poll loop. Everything else is owned by one more goroutine, the
// loop, from Run's beginning to Close's end, because outcomes, revocations
// and commits go on while the output drains. It never blocks: commits have
// goroutines of their own, and so has each emit, for filters take time.
type source struct {
	sourceOptions
	client  *kgo.Client
	subject kafkaconn.Subject
	watch   *kafkaconn.Watch
	health  health
	emit    func(*pipeline.Batch)

	polled     chan kgo.Fetches // from Run; it goes on when next says so
	next       chan struct{}
	ends       chan end // room for every batch, so that Done never blocks
	committed  chan *commit
	verdicts   chan verdict
	rereads    chan reread
	checks     chan check
	explained  chan explanation
	rebalances chan *rebalance
	draining   chan chan struct{}
	closing    chan struct{}
	ended      chan struct{} // the loop is gone

	kill        context.CancelFunc // of the client and all that it does
	emits, work sync.WaitGroup
	stop        context.Context // ends with Close: for commits, fetch errors and the lag
	cancel      context.CancelFunc

	interrupts interrupts
	lags       lags
	heart      heart

	owner  string
	to     *starrocks.Target
	beside map[int32]stored // what stands there; by the group's goroutine, between two callbacks

	// Owned by the loop.
	topic       topic
	member      string // our id in the group
	visible     string // a label that was visible when something was stored
	drained     []chan struct{}
	commits     int // on their way
	planning    int // of these, with a plan
	lanes       []*lane
	parts       map[int32]*partition
	accounts    map[int32]*pipeline.Account
	revoking    []*rebalance
	inFlight    int // batches emitted and not yet done
	isDraining  bool
	fetchFailed bool      // an error about the whole topic, and no record since
	deadline    time.Time // of closing; zero: not closing
}

// topic is what tells a topic from all others there have been.
type topic struct {
	id      string // as in pipeline.Origin
	cluster string
}

// newSource checks the options; nothing is dialled before Run.
func newSource(o sourceOptions) (*source, error) {
	s := &source{
		sourceOptions: o,
		subject:       kafkaconn.Subject{Config: &o.config.Conn, Topic: o.config.Topic, Right: "Read", Group: o.config.Group},
		health:        health{report: o.report},
		polled:        make(chan kgo.Fetches),
		next:          make(chan struct{}),
		ends:          make(chan end, o.pool.Size()),
		committed:     make(chan *commit),
		verdicts:      make(chan verdict),
		rereads:       make(chan reread),
		checks:        make(chan check),
		explained:     make(chan explanation),
		rebalances:    make(chan *rebalance),
		draining:      make(chan chan struct{}),
		closing:       make(chan struct{}),
		ended:         make(chan struct{}),
		parts:         map[int32]*partition{},
		accounts:      map[int32]*pipeline.Account{},
	}
	if s.revokeWait == 0 {
		s.revokeWait = defaultRevokeWait
	}
	s.owner, s.to = owner(o.config.InstanceID), s.target()
	s.limits.parts = roomForParts(note{TopicID: widestID, After: newLabel(), Plan: s.newPlan()})
	if s.limits.parts < 1 {
		return nil, fmt.Errorf("output.starrocks.urls[0] is too long: a plan with it does not fit beside an offset in Kafka, which takes %d bytes", maxNote)
	}
	s.stop, s.cancel = context.WithCancel(context.Background())
	for range o.lanes {
		s.lanes = append(s.lanes, &lane{extra: o.extra, origins: o.origins})
	}
	s.watch = kafkaconn.NewWatch(s.subject, func(err error) { s.health.set("connection", err) })
	opts, err := s.options()
	if err != nil {
		return nil, err
	}
	if err := kgo.ValidateOpts(opts...); err != nil {
		return nil, fmt.Errorf("configure the consumer of topic %q: %w", o.config.Topic, err)
	}
	if o.registry != nil {
		if err := o.registry.Register(&s.lags); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return s, nil
}

// options are the consumer's settings.
func (s *source) options() ([]kgo.Opt, error) {
	c := &s.config
	opts, err := kafkaconn.Options(&c.Conn, "millrace-"+s.pipeline, s.log, s.watch)
	if err != nil {
		return nil, err
	}
	start := kgo.NewOffset().AtStart()
	if c.StartAt == startAtEnd {
		start = kgo.NewOffset().AtEnd()
	}
	opts = append(opts,
		kgo.ConsumeTopics(c.Topic),
		kgo.ConsumerGroup(c.Group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Markers are kept to commit behind them: an idle topic has no lag.
		kgo.KeepControlRecords(),
		kgo.ConsumeStartOffset(start),
		// An offset that is out of range means lost records: somebody has to
		// decide what to do, not we.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(s.onAssigned),
		kgo.OnPartitionsRevoked(s.onRevoked),
		kgo.OnPartitionsLost(s.onLost),
		kgo.OnOffsetsFetched(s.onFetched),
		kgo.AdjustFetchOffsetsFn(s.onStart),
		kgo.FetchMaxWait(fetchWait),
		kgo.MaxConcurrentFetches(concurrentFetches),
		kgo.FetchMaxBytes(int32(s.memory.fetch)),
		kgo.FetchMaxPartitionBytes(int32(s.memory.fetchPartition)),
		kgo.MaxDecompressBatchBytes(s.memory.decompressed),
	)
	if c.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(c.InstanceID))
	}
	return opts, nil
}

// Run implements pipeline.Source. It polls until ctx is done and emits what
// was polled until then; what does not fit any more is read again by the
// partition's next owner.
func (s *source) Run(ctx context.Context, emit func(*pipeline.Batch)) error {
	opts, err := s.options()
	if err != nil {
		close(s.ended)
		return err
	}
	s.emit = emit
	var life context.Context
	life, s.kill = context.WithCancel(context.Background())
	if s.client, err = kgo.NewClient(append(opts, kgo.WithContext(life))...); err != nil {
		s.kill()
		close(s.ended)
		return fmt.Errorf("consume topic %q: %w", s.config.Topic, err)
	}
	s.work.Go(s.watchLag)
	s.work.Go(s.beat)
	go s.loop() // Close waits for it
	for ctx.Err() == nil {
		poll, done := s.interrupts.begin(ctx)
		fetches := s.client.PollRecords(poll, pollRecords)
		done()
		s.polled <- fetches
		<-s.next
		s.client.AllowRebalance()
	}
	drained := make(chan struct{})
	s.draining <- drained
	<-drained
	s.emits.Wait()
	return context.Cause(ctx)
}

// Close implements pipeline.Source: it waits for the last commits and leaves
// the group, unless the member is a static one.
func (s *source) Close() error {
	if s.client == nil {
		s.cancel()
		return nil
	}
	close(s.closing)
	<-s.ended
	s.cancel()
	s.work.Wait()
	force := time.AfterFunc(leaveWait, s.kill)
	s.client.CloseAllowingRebalance()
	force.Stop()
	s.kill()
	if n := s.unsettled(); n > 0 {
		return fmt.Errorf("what became of loads into %d partitions is not committed in group %q: it is found out at the next start", n, s.config.Group)
	}
	return nil
}

// interrupts ends a poll early when the loop needs one to end.
type interrupts struct {
	wanted atomic.Bool
	cancel atomic.Pointer[context.CancelFunc]
}

// begin is the context for one poll.
func (i *interrupts) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	poll, cancel := context.WithCancel(ctx)
	i.cancel.Store(&cancel)
	if i.wanted.Load() {
		cancel()
	}
	return poll, cancel
}

// raise ends the poll that runs or the next one.
func (i *interrupts) raise() {
	i.wanted.Store(true)
	if cancel := i.cancel.Load(); cancel != nil {
		(*cancel)()
	}
}

func (i *interrupts) lower() { i.wanted.Store(false) }

// account is the account of a partition. It outlives the assignment, so that
// what is read again after a rebalance to and fro is told from what is new.
func (s *source) account(id int32) *pipeline.Account {
	a := s.accounts[id]
	if a == nil {
		name := fmt.Sprintf("%s[%d]", s.config.Topic, id)
		a = s.ledger.Open(name, s.config.Topic, strconv.Itoa(int(id)))
		s.accounts[id] = a
	}
	return a
}

// ignorable says that an error of a poll only tells that it ended.
func ignorable(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed)
}
