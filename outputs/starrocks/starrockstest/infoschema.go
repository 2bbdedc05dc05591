package starrockstest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// allDatabases lists the databases by name.
func (s *Server) allDatabases() []*database {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*database
	for _, d := range s.databases {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *database) int { return cmp.Compare(a.name, b.name) })
	return list
}

func (s *Server) allTables(d *database) []*table {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*table
	for _, t := range d.tables {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *table) int { return cmp.Compare(a.name, b.name) })
	return list
}

// newInfoSchema is information_schema with the columns StarRocks shows.
func newInfoSchema(s *Server) sql.Database {
	d := infoDatabase{}
	add := func(name, columns string, rows func() []sql.Row) {
		t := &infoTable{name: name, rows: rows}
		for _, c := range strings.Fields(columns) {
			col := &sql.Column{Name: strings.TrimRight(c, "#@"), Type: types.LongText, Nullable: true, Source: name, DatabaseSource: "information_schema"}
			switch {
			case strings.HasSuffix(c, "#"):
				col.Type = types.Int64
			case strings.HasSuffix(c, "@"):
				col.Type = types.DatetimeMaxPrecision
			}
			t.schema = append(t.schema, col)
		}
		d[name] = t
	}
	add("schemata", "CATALOG_NAME SCHEMA_NAME DEFAULT_CHARACTER_SET_NAME DEFAULT_COLLATION_NAME SQL_PATH", s.infoSchemata)
	add("tables", "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_TYPE ENGINE VERSION# ROW_FORMAT TABLE_ROWS# AVG_ROW_LENGTH# DATA_LENGTH# "+
		"MAX_DATA_LENGTH# INDEX_LENGTH# DATA_FREE# AUTO_INCREMENT# CREATE_TIME@ UPDATE_TIME@ CHECK_TIME@ TABLE_COLLATION CHECKSUM# CREATE_OPTIONS TABLE_COMMENT", s.infoTables)
	add("columns", "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION# COLUMN_DEFAULT IS_NULLABLE DATA_TYPE "+
		"CHARACTER_MAXIMUM_LENGTH# CHARACTER_OCTET_LENGTH# NUMERIC_PRECISION# NUMERIC_SCALE# DATETIME_PRECISION# CHARACTER_SET_NAME "+
		"COLLATION_NAME COLUMN_TYPE COLUMN_KEY EXTRA PRIVILEGES COLUMN_COMMENT COLUMN_SIZE# DECIMAL_DIGITS# GENERATION_EXPRESSION SRS_ID#", s.infoColumns)
	add("tables_config", "TABLE_SCHEMA TABLE_NAME TABLE_ENGINE TABLE_MODEL PRIMARY_KEY PARTITION_KEY DISTRIBUTE_KEY DISTRIBUTE_TYPE "+
		"DISTRIBUTE_BUCKET# SORT_KEY PROPERTIES TABLE_ID#", s.infoTablesConfig)
	add("views", "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME VIEW_DEFINITION CHECK_OPTION IS_UPDATABLE DEFINER SECURITY_TYPE CHARACTER_SET_CLIENT COLLATION_CONNECTION",
		func() []sql.Row { return nil })
	add("materialized_views", "MATERIALIZED_VIEW_ID# TABLE_SCHEMA TABLE_NAME REFRESH_TYPE IS_ACTIVE TASK_ID# TASK_NAME", s.infoViews)
	add("loads", "ID# LABEL DB_NAME TABLE_NAME TYPE STATE SINK_ROWS# FILTERED_ROWS# CREATE_TIME@ LOAD_FINISH_TIME@ ERROR_MSG", s.infoLoads)
	return d
}

// infoDatabase is information_schema: computed tables by lower-case name.
type infoDatabase map[string]*infoTable

func (infoDatabase) Name() string     { return sql.InformationSchemaDatabaseName }
func (infoDatabase) IsReadOnly() bool { return true }

func (d infoDatabase) GetTableInsensitive(_ *sql.Context, name string) (sql.Table, bool, error) {
	t, ok := d[strings.ToLower(name)]
	if !ok {
		return nil, false, nil
	}
	return t, true, nil
}

func (d infoDatabase) GetTableNames(*sql.Context) ([]string, error) {
	var names []string
	for n := range d {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, nil
}

// infoTable computes its rows when it is read.
type infoTable struct {
	name   string
	schema sql.Schema
	rows   func() []sql.Row
}

func (t *infoTable) Name() string               { return t.name }
func (t *infoTable) String() string             { return t.name }
func (t *infoTable) Schema() sql.Schema         { return t.schema }
func (t *infoTable) Collation() sql.CollationID { return sql.Collation_Default }
func (t *infoTable) Partitions(*sql.Context) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(wholeTable{}), nil
}
func (t *infoTable) PartitionRows(*sql.Context, sql.Partition) (sql.RowIter, error) {
	return sql.RowsToRowIter(t.rows()...), nil
}

func (s *Server) infoSchemata() (list []sql.Row) {
	for _, name := range append([]string{"information_schema"}, names(s.allDatabases())...) {
		list = append(list, sql.Row{"def", name, "utf8", "utf8_general_ci", nil})
	}
	return list
}

func names(list []*database) (names []string) {
	for _, d := range list {
		names = append(names, d.name)
	}
	return names
}

// eachTable collects one or more rows per table.
func (s *Server) eachTable(rows func(t *table) []sql.Row) (list []sql.Row) {
	for _, d := range s.allDatabases() {
		for _, t := range s.allTables(d) {
			list = append(list, rows(t)...)
		}
	}
	return list
}

func (s *Server) infoTables() []sql.Row {
	return s.eachTable(func(t *table) []sql.Row {
		return []sql.Row{{"def", t.db, t.name, yesNo(t.def.view != nil, "VIEW", "BASE TABLE"), "StarRocks", nil, "", t.snapshot().rows, int64(0), int64(0),
			nil, nil, nil, nil, t.created.UTC(), nil, nil, "utf8_general_ci", nil, "", t.def.comment}}
	})
}

func (s *Server) infoViews() []sql.Row {
	return s.eachTable(func(t *table) []sql.Row {
		v := t.def.view
		if v == nil {
			return nil
		}
		return []sql.Row{{t.id, t.db, t.name, yesNo(v.every > 0, "ASYNC", "MANUAL"), "true", nil, nil}}
	})
}

func (s *Server) infoColumns() []sql.Row {
	return s.eachTable(func(t *table) (list []sql.Row) {
		for i, c := range t.snapshot().columns {
			var length, precision, scale, fraction, dflt any
			switch {
			case c.typ.kind == kindString:
				length = int64(c.typ.length)
			case c.typ.kind.isInteger():
				precision, scale = map[kind]int64{kindBoolean: 1, kindTinyInt: 3, kindSmallInt: 5, kindInt: 10, kindBigInt: 19}[c.typ.kind], int64(0)
			case c.typ.kind == kindFloat || c.typ.kind == kindDouble:
				precision = map[kind]int64{kindFloat: 7, kindDouble: 15}[c.typ.kind]
			case c.typ.kind == kindDatetime:
				fraction = int64(0)
			}
			if c.dflt != nil {
				dflt = *c.dflt
			}
			var formula any
			if c.generated != nil {
				formula = c.formula
			}
			list = append(list, sql.Row{"def", t.db, t.name, c.name, int64(i + 1), dflt, yesNo(c.notNull, "NO", "YES"), c.typ.dataType(),
				length, length, precision, scale, fraction, nil,
				nil, c.typ.declare(), yesNo(c.key, "DUP", ""), "", "", c.comment, length, scale, formula, nil})
		}
		return list
	})
}

func (s *Server) infoTablesConfig() []sql.Row {
	return s.eachTable(func(t *table) []sql.Row {
		list := func(names []string) string {
			quoted := make([]string, len(names))
			for i, n := range names {
				quoted[i] = quoteName(n)
			}
			return strings.Join(quoted, ", ")
		}
		var pairs []string
		for _, kv := range t.def.properties {
			pairs = append(pairs, fmt.Sprintf("%q:%q", kv[0], kv[1]))
		}
		return []sql.Row{{t.db, t.name, "OLAP", "DUP_KEYS", "", list(t.def.partitionBy), list(t.def.distribute),
			yesNo(len(t.def.distribute) > 0, "HASH", "RANDOM"), int64(t.def.buckets), list(t.def.keys), "{" + strings.Join(pairs, ",") + "}", t.id}}
	})
}

func (s *Server) infoLoads() (list []sql.Row) {
	at := func(t time.Time) any {
		if t.IsZero() {
			return nil
		}
		return t.UTC()
	}
	for _, d := range s.allDatabases() {
		for _, x := range s.Transactions(d.name) {
			state := map[State]string{StatePrepare: "LOADING", StatePrepared: "PREPARED", StateCommitted: "PREPARED", StateVisible: "FINISHED", StateAborted: "CANCELLED"}[x.State]
			list = append(list, sql.Row{x.ID, x.Label, x.DB, x.Table, "STREAM_LOAD", state, x.Rows, int64(0), at(x.Begun), at(x.Finished), x.Reason})
		}
	}
	return list
}
