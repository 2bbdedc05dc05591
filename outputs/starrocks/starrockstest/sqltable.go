package starrockstest

import (
	"io"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// sqlTable shows a snapshot of a table to the query engine: a query sees what
// was visible when it was planned, and loads are never held up.
type sqlTable struct {
	table  *table
	snap   snapshot
	picked []column // what the query reads
	names  []string // as the engine asked for them, nil for all
	tests  []scanTest
}

var (
	_ sql.ProjectedTable  = (*sqlTable)(nil)
	_ sql.StatisticsTable = (*sqlTable)(nil)
)

func newSQLTable(t *table) *sqlTable {
	snap := t.snapshot()
	return &sqlTable{table: t, snap: snap, picked: snap.columns}
}

func (t *sqlTable) Name() string               { return t.table.name }
func (t *sqlTable) String() string             { return t.table.name }
func (t *sqlTable) Collation() sql.CollationID { return sql.Collation_Default }

func (t *sqlTable) Schema() sql.Schema { return t.schemaOf(t.picked) }

// PrimaryKeySchema is the schema before columns were picked; the engine finds
// the places of picked columns by it. There is no key.
func (t *sqlTable) PrimaryKeySchema() sql.PrimaryKeySchema {
	return sql.NewPrimaryKeySchema(t.schemaOf(t.snap.columns))
}

func (t *sqlTable) schemaOf(columns []column) sql.Schema {
	var s sql.Schema
	for _, c := range columns {
		s = append(s, &sql.Column{Name: c.name, Type: sqlType(c.typ.kind), Nullable: !c.notNull,
			Source: t.table.name, DatabaseSource: t.table.db, Comment: c.comment})
	}
	return s
}

func (t *sqlTable) Projections() []string { return t.names }

func (t *sqlTable) WithProjections(names []string) sql.Table {
	p := &sqlTable{table: t.table, snap: t.snap, names: names, tests: t.tests}
	for _, n := range names {
		for _, c := range t.snap.columns {
			if equalFold(c.name, n) {
				p.picked = append(p.picked, c)
			}
		}
	}
	return p
}

// RowCount lets COUNT(*) without a condition skip the rows.
func (t *sqlTable) RowCount(*sql.Context) (uint64, bool, error) {
	return uint64(t.snap.rows), true, nil
}

func (t *sqlTable) DataLength(*sql.Context) (uint64, error) { return uint64(t.snap.rows) * 512, nil }

func (t *sqlTable) Partitions(*sql.Context) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(wholeTable{}), nil
}

func (t *sqlTable) PartitionRows(*sql.Context, sql.Partition) (sql.RowIter, error) {
	return &rowIter{table: t, row: -1}, nil
}

type wholeTable struct{}

func (wholeTable) Key() []byte { return []byte("all") }

// rowIter walks the segments. boxed holds the engine's form of the current
// segment's dictionaries, so that repeated metadata costs no allocation.
type rowIter struct {
	table    *sqlTable
	seg, row int // of the row before
	boxed    [][]any
	cols     []*colData // of the picked columns in the segment
	room     []any      // for the next rows
	scan     *scanner
}

func (i *rowIter) Next(*sql.Context) (sql.Row, error) {
	if !i.step() {
		return nil, io.EOF
	}
	seg := i.table.snap.segments[i.seg]
	width := len(i.table.picked)
	if len(i.room) < width {
		i.room = make([]any, 64*width)
	}
	row := sql.Row(i.room[:width:width])
	i.room = i.room[width:]
	for n := range i.table.picked {
		row[n] = i.cell(seg, n)
	}
	return row, nil
}

// step goes to the next row that passes the table's tests.
func (i *rowIter) step() bool {
	for ; i.seg < len(i.table.snap.segments); i.seg, i.row, i.scan = i.seg+1, -1, nil {
		seg := i.table.snap.segments[i.seg]
		if i.scan == nil {
			i.scan, i.boxed, i.cols = newScanner(seg, i.table.tests), make([][]any, len(i.table.picked)), make([]*colData, len(i.table.picked))
			for n, c := range i.table.picked {
				i.cols[n] = seg.cols[c.id]
			}
		}
		for i.row++; i.row < seg.rows; i.row++ {
			if i.scan.passes(i.row) {
				return true
			}
		}
	}
	return false
}

func (i *rowIter) cell(seg *segment, n int) any {
	d := i.cols[n]
	if d == nil {
		return sqlValue(seg.value(i.row, &i.table.picked[n]))
	}
	if d.dict == nil {
		return sqlValue(d.value(i.row))
	}
	if d.null(i.row) {
		return nil
	}
	if i.boxed[n] == nil {
		i.boxed[n] = make([]any, len(d.dict))
	}
	code := d.codes[i.row]
	if i.boxed[n][code] == nil {
		i.boxed[n][code] = sqlValue(value{kind: d.kind, s: d.dict[code]})
	}
	return i.boxed[n][code]
}

func (i *rowIter) Close(*sql.Context) error { return nil }

// sqlType is the engine's type for a kind. Text is LONGTEXT there, whatever
// its length, and goes out as VARCHAR.
func sqlType(k kind) sql.Type {
	switch k {
	case kindBoolean:
		return types.Boolean
	case kindTinyInt:
		return types.Int8
	case kindSmallInt:
		return types.Int16
	case kindInt:
		return types.Int32
	case kindBigInt:
		return types.Int64
	case kindFloat:
		return types.Float32
	case kindDouble:
		return types.Float64
	case kindDate:
		return types.Date
	case kindDatetime:
		return types.DatetimeMaxPrecision
	case kindJSON:
		return types.JSON
	}
	return types.LongText
}

// sqlValue is the engine's Go value for one of ours.
func sqlValue(v value) any {
	if v.null {
		return nil
	}
	switch v.kind {
	case kindBoolean, kindTinyInt:
		return int8(v.i)
	case kindSmallInt:
		return int16(v.i)
	case kindInt:
		return int32(v.i)
	case kindBigInt:
		return v.i
	case kindFloat:
		return float32(v.f)
	case kindDouble:
		return v.f
	case kindDate:
		return datetimeTime(v.i * microsPerDay)
	case kindDatetime:
		return datetimeTime(v.i)
	case kindJSON:
		return printedJSON(v.s)
	}
	return v.s
}
