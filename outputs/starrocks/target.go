package starrocks

import (
	"slices"
	"strings"
	"sync/atomic"

	"millrace/internal/pipeline"
)

// Target is where a load goes. Its JSON form is stored outside the process, so
// keys keep their meaning.
type Target struct {
	URLs     []string `json:"urls"`
	Query    string   `json:"query,omitempty"` // host:port of the MySQL protocol; empty: none
	Database string   `json:"db"`
	Table    string   `json:"table"`
}

// String names the target in sentences.
func (t *Target) String() string {
	return t.Database + "." + t.Table + " at " + strings.Join(t.URLs, ", ")
}

// Target is where the output sends loads now.
func (o *Output) Target() *Target { return o.main.target() }

// destination is a table at one cluster, and what is known of both.
type destination struct {
	cfg    *Config
	remote *remote
	// described is closed once shape is there.
	described chan struct{}
	shape     atomic.Pointer[shape]
}

// shape is the table's description and what follows from it for rows.
type shape struct {
	table  *table
	layout *layout
}

func newDestination(cfg *Config) *destination {
	return &destination{cfg: cfg, remote: newRemote(cfg), described: make(chan struct{})}
}

func (d *destination) target() *Target {
	return &Target{URLs: d.cfg.URLs, Query: d.cfg.QueryAddr, Database: d.cfg.Database, Table: d.cfg.Table}
}

// is says whether t is this destination: the same table at a cluster that has
// one of its addresses.
func (d *destination) is(t *Target) bool {
	return t.Database == d.cfg.Database && t.Table == d.cfg.Table &&
		slices.ContainsFunc(t.URLs, func(u string) bool { return slices.Contains(d.cfg.URLs, u) })
}

// use takes a table's description. The first one is called by one goroutine.
func (d *destination) use(t *table) error {
	l, err := newLayout(t, d.cfg.Columns)
	if err != nil {
		return err
	}
	if old := d.shape.Load(); old != nil {
		l.remember(old.layout)
	}
	if d.shape.Swap(&shape{t, l}) == nil {
		close(d.described)
	}
	return nil
}

// destination is where a batch or a label belongs; nil is where loads go now.
// Another one than that is of a time before the configuration was changed: it is
// reached with the user and the keys of today.
func (o *Output) destination(t *Target) *destination {
	if t == nil || o.main.is(t) {
		return o.main
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.former {
		if d.is(t) && d.cfg.QueryAddr == t.Query {
			return d
		}
	}
	cfg := o.cfg
	cfg.URLs, cfg.QueryAddr, cfg.Database, cfg.Table = t.URLs, t.Query, t.Database, t.Table
	cfg.CreateTable = false
	d := newDestination(&cfg)
	o.former = append(o.former, d)
	o.begin(d)
	return d
}

// destinationOf is where a batch belongs.
func (o *Output) destinationOf(b *pipeline.Batch) *destination {
	t, _ := b.Claim.To.(*Target)
	return o.destination(t)
}
