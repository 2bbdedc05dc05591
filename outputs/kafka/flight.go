package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/pipeline"
)

// flight is one batch on its way through the client: a slab of client records,
// slot i for the batch's record i, used again by later batches.
//
// It belongs to the goroutine that boards and produces it until the first
// record is produced, then to the client's promises, which run one after
// another, until the last of them, then to the keeper or the next batch.
type flight struct {
	out   *Output
	batch *pipeline.Batch
	slice *slice // that of its transaction, nil without
	seq   uint64 // order of Write

	// recs holds a Value for exactly those records that are outstanding.
	recs  []kgo.Record
	spans []passage
	ends  []int  // scratch: where the encoded records end
	keys  []byte // the keys of recs

	limit    int // what recs were encoded for; 0: they are not yet
	bytes    int // encoded
	produced time.Time
	left     int // records whose promise is still to come

	// refusal is why records came back: the first reason of the last attempt.
	// While the flight is in the air it is set with the lock of flights.
	refusal error
}

// outstanding tells that a record is neither delivered nor dropped.
func outstanding(r *kgo.Record) bool { return r.Value != nil }

// encoded tells that the slab is filled.
func (f *flight) encoded() bool { return f.limit > 0 }

// refused tells that records came back from the last attempt.
func (f *flight) refused() bool { return f.refusal != nil }

// passage is what the promises of a span's records share: it travels as the
// records' context, so that finding it back costs nothing.
type passage struct {
	context.Context
	flight                   *flight
	delivered, cut, replaced int
}

// board takes the batch on.
func (f *flight) board(o *Output, b *pipeline.Batch) {
	f.out, f.batch = o, b
	f.seq = o.seq.Add(1)
	f.slice, f.limit, f.bytes, f.refusal = nil, 0, 0, nil
	f.keys = f.keys[:0]
	if cap(f.spans) < len(b.Spans) {
		f.spans = make([]passage, len(b.Spans))
	}
	f.spans = f.spans[:len(b.Spans)]
	for i := range f.spans {
		p := &f.spans[i]
		if p.flight == nil { // only once: the client may still look at the context
			p.Context, p.flight = context.Background(), f
		}
		p.delivered, p.cut, p.replaced = 0, 0, 0
	}
	if cap(f.recs) < len(b.Records) {
		f.recs = make([]kgo.Record, len(b.Records))
	}
	f.recs = f.recs[:len(b.Records)]
}

// prepare makes the records fit the limit and returns how many of them are
// outstanding. When none is, the flight is to arrive.
func (f *flight) prepare(limit int) (n int) {
	switch {
	case !f.encoded():
		f.encode(limit)
	case limit < f.limit:
		f.shrink(limit)
	}
	for i := range f.recs {
		if outstanding(&f.recs[i]) {
			n++
		}
	}
	return n
}

// launch lets the flight go: it lands, or arrives at once when it has nothing to
// produce. It returns false when it would overtake records that were refused.
func (f *flight) launch(s *session) bool {
	n := f.prepare(s.recordLimit())
	if n > 0 {
		return f.produce(s, n)
	}
	if s.slice != nil {
		s.slice.add(f)
	}
	f.arrive()
	return true
}

// produce hands the n > 0 outstanding records to the session's client. It does
// nothing and returns false when it would overtake records that were refused.
// It does not block: the client's limits are beyond what a pool can hold. When
// it returns true, the flight may have landed already and be someone else's.
func (f *flight) produce(s *session, n int) bool {
	now := time.Now()
	f.produced = now
	if !f.out.flights.takeOff(f) {
		return false
	}
	if f.refused() {
		f.out.metrics.retries.Inc()
	}
	f.left, f.refusal = n, nil
	if s.slice != nil {
		s.slice.add(f)
	}
	promise, ctx, partition := f.out.promise, context.Background(), s.partition
	// Counted down, because after the last record the slab may be in use again.
	for i, recs := 0, f.recs; n > 0; i++ {
		if r := &recs[i]; outstanding(r) {
			n--
			// The time of this attempt, because Kafka may have refused
			// that of the last one: a clock that was ahead at boot. Asked
			// once, not by the client for each record.
			r.Timestamp = now
			r.Partition = partition // for those without a key
			s.client.Produce(ctx, r, promise)
		}
	}
	return true
}

// encode renders the records so that each fits limit, cutting messages where
// it must, and fills the slab.
func (f *flight) encode(limit int) {
	b := f.batch
	f.limit = limit
	f.ends = f.ends[:0]
	out := slices.Grow(b.Out[:0], encodedSize(b.Records))
	for i := range b.Records {
		r := &b.Records[i]
		var marks pipeline.Marks
		var fits bool
		out, marks, fits = r.AppendJSON(out, limit-len(f.out.key(r)))
		f.ends = append(f.ends, len(out))
		f.mark(i, marks, fits)
	}
	b.Out = out
	f.bytes = len(out)
	f.fill(out)
}

// encodedSize is about how long the records will be. Appending finds out, too,
// but leaves behind every length it tried.
func encodedSize(records []pipeline.Record) (n int) {
	for i := range records {
		r := &records[i]
		n += recordOverhead + len(r.Origin.Tail) + len(r.Message) + len(r.Message)/8
	}
	return n
}

// recordOverhead is a record's keys and time, and the escapes of a short line.
const recordOverhead = 144

// fill points the slab into out, which has its final place now.
func (f *flight) fill(out []byte) {
	var (
		b      = f.batch
		origin *pipeline.Origin
		key    []byte
		start  int
	)
	for i, end := range f.ends {
		if start == end {
			f.recs[i] = kgo.Record{} // dropped
			continue
		}
		if o := b.Records[i].Origin; o != origin {
			origin, key = o, f.addKey(f.out.key(&b.Records[i]))
		}
		f.recs[i] = kgo.Record{
			Key:     key,
			Value:   out[start:end:end],
			Topic:   f.out.config.Topic,
			Context: &f.spans[b.SpanOf(i)],
		}
		start = end
	}
}

// shrink encodes again what is not delivered and does not fit a limit that
// turned out to be lower.
func (f *flight) shrink(limit int) {
	f.limit = limit
	for i := range f.recs {
		rec, r := &f.recs[i], &f.batch.Records[i]
		room := limit - len(rec.Key)
		if len(rec.Value) <= room {
			continue
		}
		f.bytes -= len(rec.Value)
		value, marks, fits := r.AppendJSON(nil, room)
		marks.Replaced = false // counted before
		f.mark(i, marks, fits)
		rec.Value = value
		f.bytes += len(value)
	}
}

// mark counts how record i differs from its line. What does not fit is dropped.
func (f *flight) mark(i int, marks pipeline.Marks, fits bool) {
	r, span := &f.batch.Records[i], f.batch.SpanOf(i)
	p := &f.spans[span]
	switch {
	case !fits:
		f.batch.Dropped(span, 1, pipeline.TooLarge)
		f.out.warnDropped(r)
		return
	case marks.Cut && !r.Cut:
		p.cut++
		r.Cut = true // so that it is counted once, whatever comes
	}
	if marks.Replaced {
		p.replaced++
	}
}

// addKey copies a key to where it lives as long as the slab. No key is nil:
// the client then picks the partition.
func (f *flight) addKey(key string) []byte {
	if key == "" {
		return nil
	}
	start := len(f.keys)
	f.keys = append(f.keys, key...)
	return f.keys[start:len(f.keys):len(f.keys)]
}

// settle is every record's promise: Kafka's word on one record. The client
// calls it for one record after another. The first refusal closes the way at
// once, and not when the flight is down: the rest of it may take long, and what
// is written meanwhile would overtake what was refused.
func (o *Output) settle(r *kgo.Record, err error) {
	p := r.Context.(*passage)
	f := p.flight
	switch {
	case err == nil:
		r.Value = nil // not outstanding any more
		p.delivered++
	case !f.refused():
		o.metrics.refused(err)
		o.flights.refuse(f, err)
		o.wakeKeeper()
	}
	f.left--
	if f.left > 0 {
		return
	}
	if f.refused() {
		o.flights.land(f)
	} else {
		o.metrics.confirmed.Observe(time.Since(f.produced).Seconds())
		f.arrive()
	}
	if o.landing.Load() { // else the keeper does not care
		o.wakeKeeper()
	}
}

func (o *Output) wakeKeeper() {
	select {
	case o.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// arrive tells the batch the outcome of its records. In a transaction the
// batch is Done with the others of its slice; only its memory is free now.
func (f *flight) arrive() {
	sum := tally{bytes: f.bytes}
	for i := range f.spans {
		p := &f.spans[i]
		f.batch.Delivered(i, p.delivered)
		sum.records += p.delivered
		sum.mark(f.batch.Spans[i].Account, p)
	}
	if f.slice != nil {
		f.slice.land(&sum)
		f.batch.Release()
		f.out.flights.put(f)
		return
	}
	f.out.metrics.count(&sum)
	f.end(nil)
}

// end ends the journey: the batch is Done, and then the flight is free for
// another one.
func (f *flight) end(err error) {
	f.batch.Done(err)
	f.out.flights.put(f)
	f.out.flights.done(1)
}

// tally is what arrived, to be counted when it counts.
type tally struct {
	records, bytes int
	marks          []marked
}

// marked is how many records of an account differ from their lines.
type marked struct {
	account       *pipeline.Account
	cut, replaced int
}

func (t *tally) mark(account *pipeline.Account, p *passage) {
	if p.cut > 0 || p.replaced > 0 {
		t.marks = append(t.marks, marked{account, p.cut, p.replaced})
	}
}

func (t *tally) add(u *tally) {
	t.records += u.records
	t.bytes += u.bytes
	t.marks = append(t.marks, u.marks...)
}
