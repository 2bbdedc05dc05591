package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// collector is a member of the collector's group.
type collector struct {
	*end
	scraped   loads           // of the present process, the last answer
	former    loads           // of those before it, added up
	parts     map[int]bool    // partitions that it has, or had
	plans     map[string]bool // labels of plans that its former processes left
	unclear   int             // times it was stopped and left the end of a load to others
	atKill    int64           // rows that were visible when it was last killed
	earlyRuns int             // kills in a row that came before it had taken up its work
}

// loads are the collector's metrics that matter here.
type loads struct {
	Delivered  int64 `json:"delivered"`
	TakenOver  int64 `json:"taken_over"`  // records whose plan another process had made
	HandedOver int64 `json:"handed_over"` // records left to another process
	Resolved   int64 `json:"resolved"`    // loads that were found in, after their answer was lost or their sender killed
	Late       int64 `json:"publish_timeouts"`
	Failed     int64 `json:"failed"`
}

func (l loads) plus(o loads) loads {
	return loads{l.Delivered + o.Delivered, l.TakenOver + o.TakenOver, l.HandedOver + o.HandedOver, l.Resolved + o.Resolved, l.Late + o.Late, l.Failed + o.Failed}
}

// newCollector writes the configuration of a member.
func newCollector(r *run, name string, static bool) (*collector, error) {
	e, err := newEnd(name, r.dir)
	if err != nil {
		return nil, err
	}
	m := &collector{end: e, plans: map[string]bool{}}
	file := filepath.Join(r.dir, name+".yaml")
	m.argv, m.env = []string{r.opts.millrace, "collector", "-config", file}, []string{"POD_NAME=" + name}
	if err := os.WriteFile(filepath.Join(r.dir, "collector.password"), []byte(r.cluster.collector.password), 0o600); err != nil {
		return nil, fmt.Errorf("write the collectors' password: %w", err)
	}
	if err := os.WriteFile(file, []byte(m.config(r, static)), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of %s: %w", name, err)
	}
	return m, nil
}

func (m *collector) config(r *run, static bool) string {
	more := ""
	if static {
		more += "\n        instance_id: ${POD_NAME}"
	}
	if r.cluster.ca != "" {
		more += "\n        tls: {ca_file: " + r.cluster.ca + "}"
	}
	return fmt.Sprintf(`data_dir: %[1]s/%[2]s
admin: "%[3]s"
log: {level: info, format: text}
pipelines:
  - name: chaos
    source:
      kafka:
        brokers: ["%[4]s"]
        topic: %[5]s
        group: %[6]s
        sasl: {username: %[7]s, password_file: %[1]s/collector.password}%[8]s
    output:
      starrocks:
        urls: ["http://%[9]s"]
        database: %[10]s
        table: %[11]s
        username: %[12]s
        password_file: %[1]s/starrocks.password
        query_addr: "%[13]s"
        create_table: true
        load: {max_age: %[14]s, max_per_second: %[15]g, max_backoff: 2s, timeout: 30s}
`, r.dir, m.name, m.admin, strings.Join(r.cluster.addrs, `", "`), r.cluster.topic, r.cluster.group, r.cluster.collector.user, more,
		r.warehouse.frontend, database, strings.TrimPrefix(table, database+"."), loader, r.warehouse.query, r.opts.maxAge, r.opts.perSecond)
}

// start starts the next process.
func (m *collector) start() error {
	m.former = m.former.plus(m.scraped)
	m.scraped = loads{}
	return m.end.start()
}

// look reads metrics and ledger, if the collector answers. An error is that it
// has ended by itself.
func (m *collector) look() error {
	if all, err := m.scrape(); err == nil {
		m.scraped = loads{Delivered: all.sum("millrace_records_delivered_total"), TakenOver: all.sum("millrace_records_taken_over_total"),
			HandedOver: all.sum("millrace_records_handed_over_total"), Resolved: all.sum("millrace_loads_total", "result", "resolved"),
			Late: all.sum("millrace_loads_total", "result", "publish_timeout"), Failed: all.sum("millrace_loads_total", "result", "failed")}
		if l, err := m.ledger(); err == nil {
			m.parts = map[int]bool{}
			for name := range l.Accounts {
				_, id, _ := strings.Cut(strings.TrimSuffix(name, "]"), "[")
				if n, err := strconv.Atoi(id); err == nil {
					m.parts[n] = true
				}
			}
		}
	}
	return m.died()
}

// mayOwn tells whether a plan may be of the present process. Where members
// have no names of their own, all that stand beside partitions of its are.
func (m *collector) mayOwn(p *plan) bool {
	return strings.HasPrefix(p.Owner, m.name+"/") || m.parts[p.of] && !strings.HasPrefix(p.Owner, "collector-")
}

// plan is what a collector notes beside the offset of a partition before it
// sends a load.
type plan struct {
	Label string `json:"label"`
	Owner string `json:"owner"`
	of    int    // the partition beside which it stands
}

// plans are those that stand beside the group's offsets now.
func (c *cluster) plans(ctx context.Context) (all []plan, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	offsets, err := kadm.NewClient(c.client).FetchOffsets(ctx, c.group)
	if err != nil {
		return nil, fmt.Errorf("read the offsets of group %s: %w", c.group, err)
	}
	for _, o := range offsets[c.topic] {
		text, ours := strings.CutPrefix(o.Metadata, "millrace ")
		var note struct {
			Plan *plan `json:"plan"`
		}
		if ours && json.Unmarshal([]byte(text), &note) == nil && note.Plan != nil {
			note.Plan.of = int(o.Partition)
			all = append(all, *note.Plan)
		}
	}
	return all, nil
}

// leave ends the present process as Kubernetes does. One that cannot tell any
// more what became of its last loads leaves that to its successor: that is
// counted, and no error.
func (m *collector) leave() error {
	if err := m.look(); err != nil {
		return err
	}
	err := m.stop()
	if err != nil && strings.Contains(tail(m.log), "it is found out at the next start") {
		m.unclear++
		return nil
	}
	return err
}
