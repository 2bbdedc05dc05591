package starrockstest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// answer gives the result of the statements the engine does not know; nil
// means that it is the engine's.
func (h *queryHandler) answer(ctx context.Context, c *mysql.Conn, query string) (*sqltypes.Result, error) {
	p, err := newParser(query)
	if err != nil {
		return nil, nil
	}
	if isDefinition(query) {
		return h.define(ctx, c, query)
	}
	switch {
	case p.accept("show", "catalogs"):
		return rows([]string{"Catalog", "Type", "Comment"}, [][]string{{defaultCatalog, "Internal", "An internal catalog contains this cluster's self-managed tables."}}), nil
	case p.accept("admin", "show", "frontend", "config"):
		return h.frontendConfig(p)
	case p.accept("admin", "set", "frontend", "config"):
		return h.setConfig(c, p)
	case p.accept("set", "catalog"):
		return &sqltypes.Result{}, nil
	case p.accept("show", "create", "table"):
		return h.aboutTable(ctx, c, p, showCreate)
	case p.accept("show", "full", "columns", "from"), p.accept("show", "full", "fields", "from"):
		return h.aboutTable(ctx, c, p, showFullColumns)
	case p.accept("show", "columns", "from"), p.accept("show", "fields", "from"):
		return h.aboutTable(ctx, c, p, describe)
	case (p.accept("desc") || p.accept("describe")) && !p.peek().is("select"):
		return h.aboutTable(ctx, c, p, describe)
	case p.accept("set"):
		return setUnknown(p), nil
	}
	return nil, nil
}

func (h *queryHandler) define(ctx context.Context, c *mysql.Conn, query string) (*sqltypes.Result, error) {
	if !h.server.users[c.User].Admin {
		return nil, errors.New("Access denied; you need (at least one of) the CREATE, ALTER or DROP privilege(s) for this operation")
	}
	db, err := h.currentDB(ctx, c)
	if err != nil {
		return nil, err
	}
	return &sqltypes.Result{}, h.server.Exec(db, query)
}

// setUnknown swallows SET of session variables that only StarRocks has; nil
// leaves the statement to the engine.
func setUnknown(p *parser) *sqltypes.Result {
	_ = p.accept("session") || p.accept("global")
	switch name := strings.ToLower(p.next().text); {
	case !p.peek().is("="):
		return nil
	case strings.HasPrefix(name, "query_"), strings.HasPrefix(name, "enable_"), strings.HasPrefix(name, "pipeline_"),
		strings.HasPrefix(name, "cbo_"), strings.HasSuffix(name, "_mem_limit"), name == "resource_group", name == "warehouse":
		return &sqltypes.Result{}
	}
	return nil
}

// rows builds a result of VARCHAR columns; "\x00" stands for NULL.
func rows(names []string, cells [][]string) *sqltypes.Result {
	r := &sqltypes.Result{}
	for _, n := range names {
		r.Fields = append(r.Fields, &querypb.Field{Name: n, Type: querypb.Type_VARCHAR, Charset: mysql.CharacterSetUtf8, ColumnLength: 1024})
	}
	for _, line := range cells {
		row := make([]sqltypes.Value, len(line))
		for i, cell := range line {
			if row[i] = sqltypes.NewVarChar(cell); cell == null {
				row[i] = sqltypes.NULL
			}
		}
		r.Rows = append(r.Rows, row)
	}
	r.RowsAffected = uint64(len(r.Rows))
	return r
}

const null = "\x00"

// like reads an optional LIKE 'pattern'.
func like(p *parser) (func(string) bool, error) {
	if !p.accept("like") {
		return func(string) bool { return true }, nil
	}
	pattern, err := p.text()
	if err != nil {
		return nil, err
	}
	expr := strings.NewReplacer("%", ".*", "_", ".").Replace(regexp.QuoteMeta(pattern))
	re, err := regexp.Compile("(?is)^" + expr + "$")
	if err != nil {
		return nil, fmt.Errorf("read LIKE pattern: %w", err)
	}
	return re.MatchString, nil
}

func (h *queryHandler) frontendConfig(p *parser) (*sqltypes.Result, error) {
	match, err := like(p)
	if err != nil {
		return nil, err
	}
	lines := [][]string{}
	if match("run_mode") {
		lines = append(lines, []string{"run_mode", "[]", "shared_nothing", "String", "false", ""})
	}
	for _, l := range defaultLimits {
		if l.backend || !match(string(l.name)) {
			continue
		}
		val, typ := fmt.Sprint(h.server.limit(l.name)), "int"
		if l.name == emptyLoadAsError {
			val, typ = fmt.Sprint(h.server.limit(l.name) == 1), "boolean"
		}
		lines = append(lines, []string{string(l.name), "[]", val, typ, "true", ""})
	}
	return rows([]string{"Key", "AliasNames", "Value", "Type", "IsMutable", "Comment"}, lines), nil
}

func (h *queryHandler) setConfig(c *mysql.Conn, p *parser) (*sqltypes.Result, error) {
	if !h.server.users[c.User].Admin {
		return nil, errors.New("Access denied; you need (at least one of) the OPERATE privilege(s) on SYSTEM for this operation")
	}
	pairs, err := p.properties()
	if err != nil {
		return nil, err
	}
	for _, kv := range pairs {
		if err := h.server.Set(kv[0], kv[1]); err != nil {
			return nil, err
		}
	}
	return &sqltypes.Result{}, nil
}

// aboutTable resolves "[db.]table [FROM db] [LIKE ..]" and shows the table.
func (h *queryHandler) aboutTable(ctx context.Context, c *mysql.Conn, p *parser, show func(*table, func(string) bool) *sqltypes.Result) (*sqltypes.Result, error) {
	db, name, err := p.qualified()
	if err != nil {
		return nil, err
	}
	if p.accept("from") || p.accept("in") {
		if _, db, err = p.qualified(); err != nil {
			return nil, err
		}
	}
	if db == "" {
		if db, err = h.currentDB(ctx, c); err != nil {
			return nil, err
		}
	}
	if equalFold(db, "information_schema") {
		return nil, nil
	}
	_, t, err := h.server.find(db, name)
	if err != nil {
		return nil, fmt.Errorf("Unknown table '%s.%s'", db, name)
	}
	if u := h.server.users[c.User]; !u.Select && !u.Insert && !u.Admin {
		return nil, errors.New("Access denied; you need (at least one of) the ANY privilege(s) on TABLE " + name + " for this operation")
	}
	match, err := like(p)
	if err != nil {
		return nil, err
	}
	return show(t, match), nil
}

func yesNo(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

func (c *column) defaultText() string {
	if c.dflt == nil {
		return null
	}
	return *c.dflt
}

func (c *column) extra() string {
	if c.generated == nil {
		return ""
	}
	return "AS " + c.formula
}

func describe(t *table, match func(string) bool) *sqltypes.Result {
	var lines [][]string
	for _, c := range t.snapshot().columns {
		if match(c.name) {
			lines = append(lines, []string{c.name, c.typ.describe(), yesNo(c.notNull, "NO", "YES"), yesNo(c.key, "true", "false"), c.defaultText(), c.extra()})
		}
	}
	return rows([]string{"Field", "Type", "Null", "Key", "Default", "Extra"}, lines)
}

func showFullColumns(t *table, match func(string) bool) *sqltypes.Result {
	var lines [][]string
	for _, c := range t.snapshot().columns {
		if match(c.name) {
			lines = append(lines, []string{c.name, c.typ.describe(), "", yesNo(c.notNull, "NO", "YES"), yesNo(c.key, "YES", "NO"), c.defaultText(), c.extra(), "", c.comment})
		}
	}
	return rows([]string{"Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"}, lines)
}

func showCreate(t *table, _ func(string) bool) *sqltypes.Result {
	return rows([]string{"Table", "Create Table"}, [][]string{{t.name, t.createStatement()}})
}

// createStatement prints SHOW CREATE TABLE.
func (t *table) createStatement() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (\n", quoteName(t.name))
	columns := t.snapshot().columns
	for i, c := range columns {
		fmt.Fprintf(&b, "  %s %s %s", quoteName(c.name), c.typ.declare(), yesNo(c.notNull, "NOT NULL", "NULL"))
		if c.dflt != nil {
			fmt.Fprintf(&b, " DEFAULT %q", *c.dflt)
		}
		if c.generated != nil {
			fmt.Fprintf(&b, " AS %s", c.formula)
		}
		fmt.Fprintf(&b, " COMMENT %q%s\n", c.comment, yesNo(i < len(columns)-1, ",", ""))
	}
	list := func(names []string) string {
		quoted := make([]string, len(names))
		for i, n := range names {
			quoted[i] = quoteName(n)
		}
		return strings.Join(quoted, ", ")
	}
	fmt.Fprintf(&b, ") ENGINE=OLAP \nDUPLICATE KEY(%s)\n", list(t.def.keys))
	if t.def.comment != "" {
		fmt.Fprintf(&b, "COMMENT %q\n", t.def.comment)
	}
	if t.def.partition != "" {
		fmt.Fprintf(&b, "PARTITION BY %s\n", t.def.partition)
	}
	if len(t.def.distribute) > 0 {
		fmt.Fprintf(&b, "DISTRIBUTED BY HASH(%s)", list(t.def.distribute))
	} else {
		b.WriteString("DISTRIBUTED BY RANDOM")
	}
	if t.def.buckets > 0 {
		fmt.Fprintf(&b, " BUCKETS %d", t.def.buckets)
	}
	b.WriteString(" \nPROPERTIES (\n")
	properties := t.def.properties
	if len(properties) == 0 {
		properties = [][2]string{{"replication_num", "1"}}
	}
	for i, kv := range properties {
		fmt.Fprintf(&b, "%q = %q%s\n", kv[0], kv[1], yesNo(i < len(properties)-1, ",", ""))
	}
	b.WriteString(");")
	return b.String()
}
