package starrockstest

import (
	"iter"
	"sync"
	"time"
)

// table is one OLAP table. Its columns and its list of segments are replaced,
// never changed in place, so a reader holds a snapshot by copying them.
type table struct {
	id      int64
	db      string
	name    string
	def     *definition
	created time.Time
	shared  interner

	mu       sync.RWMutex
	columns  []column
	nextID   int
	segments []*segment
	rows     int64
	versions tabletVersions
}

func newTable(id int64, db, name string, def *definition) *table {
	return &table{id: id, db: db, name: name, def: def, created: time.Now(), columns: def.columns, nextID: len(def.columns)}
}

// snapshot is a table at one moment: what committed later is not in it.
type snapshot struct {
	columns  []column
	segments []*segment
	rows     int64
}

func (t *table) snapshot() snapshot {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return snapshot{t.columns, t.segments, t.rows}
}

// publish makes the rows of a transaction visible, all at once.
func (t *table) publish(segments []*segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range segments {
		t.segments = append(t.segments, s)
		t.rows += int64(s.rows)
	}
}

func (t *table) truncate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.versions = tabletVersions{} // of the tablets that are dropped
	t.segments, t.rows = nil, 0
}

// tabletVersions models the rowset versions of the table's fullest tablet:
// each load adds one, compaction takes them away at a steady rate. Versions
// outlive a restart.
type tabletVersions struct {
	count float64
	at    time.Time
}

// settle lets compaction catch up and returns the count; one version always
// stays.
func (v *tabletVersions) settle(perSecond float64, now time.Time) float64 {
	if !v.at.IsZero() {
		v.count = max(1, v.count-now.Sub(v.at).Seconds()*perSecond)
	}
	v.at = now
	return v.count
}

// Row is one stored row as tests see it. Values are nil for NULL, int64 for
// integers and booleans, float64 for floats, time.Time (a UTC wall clock) for
// DATE and DATETIME, and string for text and JSON, the latter as the server
// prints it. TxnID and Label name the load that brought the row.
type Row struct {
	TxnID   int64
	Label   string
	Columns []string // shared by the rows of one iteration: do not change
	Values  []any
}

// Get returns the value of the named column, nil when there is none.
func (r Row) Get(column string) any {
	for i, c := range r.Columns {
		if c == column {
			return r.Values[i]
		}
	}
	return nil
}

func (s snapshot) all() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		names := make([]string, len(s.columns))
		for i, c := range s.columns {
			names[i] = c.name
		}
		for _, seg := range s.segments {
			for row := range seg.rows {
				values := make([]any, len(s.columns))
				for i := range s.columns {
					values[i] = seg.value(row, &s.columns[i]).goValue()
				}
				if !yield(Row{seg.txn, seg.label, names, values}) {
					return
				}
			}
		}
	}
}

func (v value) goValue() any {
	switch {
	case v.null:
		return nil
	case v.kind.isText():
		return v.s
	case v.kind == kindDatetime:
		return datetimeTime(v.i)
	case v.kind == kindDate:
		return datetimeTime(v.i * microsPerDay)
	case v.kind == kindFloat || v.kind == kindDouble:
		return v.f
	}
	return v.i
}
