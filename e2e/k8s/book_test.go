package k8s

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/demo/traffic"
	"millrace/internal/pipeline"
	"millrace/outputs/starrocks/starrockstest"
)

// book holds the lines that pods were told to print, and how many rows each
// has. It is for one goroutine.
type book struct {
	lines   map[key]*entry
	skipped int // rows of the table that were looked at
	missing int // lines that have no row yet
	now     tally
	others  map[string]func(message string) bool // what pods print that are no writers
}

// tally counts what happened since the last balance.
type tally struct {
	lines, filtered, unselected int
	lost                        int // and accounted for
	rows, repeated, unexpected  int
	bare                        int // rows that lack what the API server knows
	samples                     []string
}

type key [16]byte

type entry struct {
	pod  *pod
	at   int // how many of its pod's came before
	rows int
}

func newBook() *book {
	return &book{lines: map[key]*entry{}, others: map[string]func(string) bool{}}
}

// texts says what the lines of a pod have to be that is no writer.
func (b *book) texts(pod string, fit func(message string) bool) { b.others[pod] = fit }

func keyOf(stream, message string) key {
	sum := sha256.Sum256([]byte(stream + "\n" + message))
	return key(sum[:16])
}

// enter notes a line that p prints. The shipped configuration filters the
// gateway's checks of itself.
func (b *book) enter(p *pod, l traffic.Line) {
	if l.Kind == traffic.Health {
		b.now.filtered++
		return
	}
	b.lines[keyOf(l.Stream, l.Message)] = &entry{pod: p, at: p.entered}
	p.entered++
	b.missing++
}

// read looks at the rows that came since it was last called.
func (b *book) read(s *starrockstest.Server) {
	n := 0
	for row := range s.Rows(database, table) {
		if n++; n <= b.skipped {
			continue
		}
		b.skipped = n
		b.row(row)
	}
}

func (b *book) row(row starrockstest.Row) {
	b.now.rows++
	stream, message := text(row.Get("stream")), text(row.Get("message"))
	e := b.lines[keyOf(stream, message)]
	var where struct {
		Pod       string            `json:"pod_name"`
		UID       string            `json:"pod_id"`
		Namespace string            `json:"namespace_name"`
		Container string            `json:"container_name"`
		Host      string            `json:"host"`
		DockerID  string            `json:"docker_id"`
		Image     string            `json:"container_image"`
		Labels    map[string]string `json:"labels"`
	}
	raw := text(row.Get("kubernetes"))
	err := json.Unmarshal([]byte(raw), &where)
	switch {
	case err == nil && b.others[where.Pod] != nil && b.others[where.Pod](message):
	case e == nil:
		b.fault(&b.now.unexpected, "unexpected", message)
	case e.rows > 0:
		e.rows++
		b.fault(&b.now.repeated, "repeated", message)
	case err != nil || where.Pod != e.pod.name || !slices.Contains(e.pod.uids, where.UID) || where.Namespace != kongs || where.Container != e.pod.container || where.Host == "":
		e.rows++
		b.missing--
		b.fault(&b.now.unexpected, fmt.Sprintf("of pod %s %v, container %s, but named %s", e.pod.name, e.pod.uids, e.pod.container, raw), message)
	case len(where.DockerID) != 64:
		e.rows++
		b.missing--
		b.fault(&b.now.unexpected, fmt.Sprintf("of pod %s without its container's ID: %s", e.pod.name, raw), message)
	default:
		e.rows++
		b.missing--
		e.pod.ids[where.DockerID]++
		if where.Image == "" || where.Labels[kongLabel] != "kong" {
			b.fault(&b.now.bare, fmt.Sprintf("bare: of %s with image %q, labels %v", where.Pod, where.Image, where.Labels), message)
		}
	}
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case nil:
		return ""
	}
	return fmt.Sprint(v)
}

func (b *book) fault(count *int, what, message string) {
	if *count++; *count <= 3 {
		b.now.samples = append(b.now.samples, fmt.Sprintf("%s: %.90s", what, message))
	}
}

// came tells whether the last n lines of a pod have their rows.
func (b *book) came(p *pod, n int) bool {
	for _, e := range b.lines {
		if e.pod == p && e.at >= p.entered-n && e.rows == 0 {
			return false
		}
	}
	return true
}

// giveUp takes what has no row for lost, and counts it.
func (b *book) giveUp() int {
	for k, e := range b.lines {
		if e.rows == 0 {
			delete(b.lines, k)
			b.now.lost++
		}
	}
	b.missing = 0
	return b.now.lost
}

// lost says which lines have no row.
func (b *book) lost() (samples []string) {
	for _, e := range b.lines {
		if e.rows == 0 {
			samples = append(samples, e.pod.name)
		}
	}
	slices.Sort(samples)
	return slices.Compact(samples)
}

// balance waits until each line has its row, and says what came; anything else
// that came is a failure.
func (c *cluster) balance() string {
	c.Helper()
	b := c.book
	for end := time.Now().Add(90 * time.Second); ; {
		b.read(c.warehouse)
		if b.missing == 0 || time.Now().After(end) {
			break
		}
		c.pause(300 * time.Millisecond)
	}
	t := b.now
	b.now = tally{}
	said := fmt.Sprintf("lines=%d = rows=%d + filtered=%d + lost and said=%d; lost=%d repeated=%d unexpected=%d; not selected: %d; without the API server's names: %d",
		t.lines, t.rows-t.repeated-t.unexpected, t.filtered, t.lost, b.missing, t.repeated, t.unexpected, t.unselected, t.bare)
	if b.missing+t.repeated+t.unexpected > 0 || t.lines != t.rows+t.filtered+t.lost {
		c.Errorf("%s\n%s\nlost of pods %v", said, strings.Join(t.samples, "\n"), b.lost())
		return said
	}
	if t.bare > 0 {
		c.Logf("%s", strings.Join(t.samples, "\n"))
	}
	return said + c.agentSays()
}

// pause lets time pass between two looks at something.
func (c *cluster) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.Context().Done():
	}
}

// agentSays checks the agent's own account: nothing dropped or missed, and
// nothing pending.
func (c *cluster) agentSays() string {
	c.Helper()
	var s struct{ Pipelines []pipeline.Status }
	var l pipeline.Balance
	c.until("the agent has nothing pending", 30*time.Second, func() bool {
		body, err := c.ask(c.agent().Status.PodIP+":9600", "/status")
		s.Pipelines = nil
		if err != nil || json.Unmarshal([]byte(body), &s) != nil || len(s.Pipelines) != 1 {
			return false
		}
		l = s.Pipelines[0].Ledger
		return l.Pending == 0
	})
	if l.Missing() != 0 || len(l.Dropped) != 0 {
		c.Errorf("the agent's account does not balance or has dropped lines: %+v", l)
	}
	if n := c.metric("millrace_agent_missed_files_total"); n != 0 {
		c.Errorf("the agent says that it missed %v files", n)
	}
	return fmt.Sprintf("; the agent's process: read=%d = delivered=%d + filtered=%d, reread=%d", l.Read, l.Delivered, l.Filtered, l.Reread)
}
