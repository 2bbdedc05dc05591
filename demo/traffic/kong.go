// Package traffic makes up what containers write: the lines of a Kong gateway
// under believable load, and those of other programs on the same node.
//
// Everything follows from a seed and the times that are passed in: the same
// calls give the same lines. Every line of a Kong carries an identifier that
// no other line has, so that a lost or repeated line can be told exactly. The
// package starts no goroutine, and its generators are for one goroutine each.
package traffic

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Kind says what a line is, which decides what becomes of it on its way.
type Kind uint8

// The kinds of line a Kong container writes.
const (
	// Access is a request in the access log, as the dashboards read it.
	Access Kind = iota
	// Health is Kong's own check from 127.0.0.1, an access line too.
	Health
	// Malformed is an access line whose request is empty or garbage.
	Malformed
	// Notice is a line of the error log that reports nothing wrong.
	Notice
	// Failure is a line of the error log that goes with a failed request.
	Failure
	// Trace is one line of a stack trace.
	Trace
	// Long is a line that the container runtime has to write in pieces.
	Long
	kindCount
)

var kindNames = [kindCount]string{"access", "health", "malformed", "notice", "failure", "trace", "long"}

// String is the kind in one lower-case word.
func (k Kind) String() string { return kindNames[k] }

// Line is one line a program wrote, without its newline.
type Line struct {
	// Stream is "stdout" or "stderr".
	Stream string
	// Message is the text; valid UTF-8, and never empty.
	Message string
	// Kind says what it is.
	Kind Kind
}

// Zone is the zone of the container's clock, in which Kong writes its times.
var Zone = time.FixedZone("KST", 9*60*60)

// Kong makes up the lines of one Kong proxy container.
type Kong struct {
	r       *rand.Rand
	source  uint64
	count   uint64
	queue   []Line // lines that follow the last one: traces, error log
	trouble trouble
}

// NewKong returns a generator. Two generators with different sources never
// give the same line, whatever their seeds.
func NewKong(seed uint64, source uint16) *Kong {
	return &Kong{r: rand.New(rand.NewPCG(seed, uint64(source))), source: uint64(source)}
}

// Next is the next line, written at the given time.
func (k *Kong) Next(at time.Time) Line {
	if len(k.queue) > 0 {
		l := k.queue[0]
		k.queue = k.queue[1:]
		return l
	}
	switch p := k.r.Float64(); {
	case p < 0.020:
		return k.health(at)
	case p < 0.025:
		return k.malformed(at)
	case p < 0.040:
		return k.notice(at)
	case p < 0.0405:
		return k.long(at)
	}
	return k.request(at)
}

// id is the identifier of the next line: 16 hexadecimal digits that look
// random. The mixing is a bijection, so no two lines of any generator share one.
func (k *Kong) id() string {
	k.count++
	x := k.source<<48 | k.count
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return fmt.Sprintf("%016x", x)
}

func (k *Kong) health(at time.Time) Line {
	return Line{"stdout", fmt.Sprintf(`127.0.0.1 [%s] "GET /status?request_id=%s HTTP/1.1" 200 0.000 - "localhost:8100" "kube-probe/1.35"`,
		local(at), k.id()), Health}
}

// request is an access line; what goes wrong queues lines of the error log.
func (k *Kong) request(at time.Time) Line {
	s := pick(k.r, sites)
	e := pick(k.r, s.endpoints)
	id := k.id()
	a := k.answer(at, s, e)
	request := fmt.Sprintf("%s %s %s", e.method, k.target(e, id), pick(k.r, protocols))
	client := k.client()
	k.explain(at, a, fmt.Sprintf(`client: %s, server: kong, request: "%s", upstream: "http://%s%s", host: "%s"`,
		client, request, s.upstream, e.path, s.host), id)
	return Line{"stdout", fmt.Sprintf(`%s [%s] "%s" %d %s %s "%s" "%s"`,
		client, local(at), request, a.status, seconds(a.total), a.upstream, s.host, pick(k.r, agents)), Access}
}

// local is nginx's $time_local.
func local(at time.Time) string { return at.In(Zone).Format("02/Jan/2006:15:04:05 -0700") }

// logged is the time of nginx's error log.
func logged(at time.Time) string { return at.In(Zone).Format("2006/01/02 15:04:05") }

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }
