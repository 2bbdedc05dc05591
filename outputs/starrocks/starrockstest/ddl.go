package starrockstest

import (
	"fmt"
	"strings"
)

// statement is one parsed definition statement.
type statement struct {
	verb      verb
	db, table string
	soft      bool // IF [NOT] EXISTS
	create    *definition
	alter     []alteration
}

type verb uint8

const (
	verbCreateDatabase verb = iota
	verbDropDatabase
	verbCreateTable
	verbDropTable
	verbTruncate
	verbAlter
	verbCreateView
	verbDropView
	verbRefresh
	verbUse
)

// definition is what CREATE TABLE says.
type definition struct {
	columns     []column
	keys        []string
	comment     string
	partition   string // text behind PARTITION BY, "" for none
	partitionBy []string
	distribute  []string // hash columns, none for RANDOM
	buckets     int
	properties  [][2]string
	view        *view // nil for a table
}

// isDefinition tells whether a statement is for parseStatement rather than for
// the query engine.
func isDefinition(sql string) bool {
	p, err := newParser(sql)
	if err != nil {
		return false
	}
	return p.accept("create", "database") || p.accept("create", "schema") || p.accept("create", "table") ||
		p.accept("create", "external") || p.accept("create", "materialized") || p.accept("drop", "materialized") ||
		p.accept("refresh", "materialized", "view") || p.accept("drop", "database") || p.accept("drop", "schema") ||
		p.accept("drop", "table") || p.accept("truncate") || p.accept("alter", "table")
}

func parseStatement(p *parser) (statement, error) {
	switch {
	case p.accept("create", "database"), p.accept("create", "schema"):
		s := statement{verb: verbCreateDatabase, soft: p.accept("if", "not", "exists")}
		return s.databaseName(p)
	case p.accept("drop", "database"), p.accept("drop", "schema"):
		s := statement{verb: verbDropDatabase, soft: p.accept("if", "exists")}
		s, err := s.databaseName(p)
		p.accept("force")
		return s, err
	case p.accept("use"):
		return statement{verb: verbUse}.databaseName(p)
	case p.accept("create", "table"):
		return parseCreateTable(p)
	case p.accept("drop", "table"):
		s := statement{verb: verbDropTable, soft: p.accept("if", "exists")}
		s, err := s.tableName(p)
		p.accept("force")
		return s, err
	case p.accept("create", "materialized", "view"):
		return parseCreateView(p)
	case p.accept("drop", "materialized", "view"):
		return statement{verb: verbDropView, soft: p.accept("if", "exists")}.tableName(p)
	case p.accept("refresh", "materialized", "view"):
		s, err := statement{verb: verbRefresh}.tableName(p)
		p.accept("force")
		_ = p.accept("with", "sync", "mode") || p.accept("with", "async", "mode")
		return s, err
	case p.accept("truncate", "table"):
		return statement{verb: verbTruncate}.tableName(p)
	case p.accept("alter", "table"):
		return parseAlter(p)
	}
	return statement{}, p.unexpected(p.peek())
}

func (s statement) databaseName(p *parser) (statement, error) {
	_, name, err := p.qualified()
	s.db = name
	return s, err
}

func (s statement) tableName(p *parser) (statement, error) {
	db, name, err := p.qualified()
	s.db, s.table = db, name
	return s, err
}

func parseCreateTable(p *parser) (statement, error) {
	s := statement{verb: verbCreateTable, soft: p.accept("if", "not", "exists")}
	s, err := s.tableName(p)
	if err != nil {
		return s, err
	}
	d := &definition{}
	s.create = d
	if err := p.expect("("); err != nil {
		return s, err
	}
	for {
		if err := d.element(p); err != nil {
			return s, err
		}
		if p.accept(",") {
			continue
		}
		if err := p.expect(")"); err != nil {
			return s, err
		}
		break
	}
	for t := p.peek(); t.kind != tokenEnd && !t.is(";"); t = p.peek() {
		if err := d.clause(p); err != nil {
			return s, err
		}
	}
	return s, d.check()
}

// element reads one column or index of the list.
func (d *definition) element(p *parser) error {
	if p.accept("index") {
		if _, err := p.name(); err != nil {
			return err
		}
		names, err := p.names()
		if err != nil {
			return err
		}
		for _, n := range names {
			if d.find(n) == nil {
				return fmt.Errorf("INDEX column '%s' does not exist", n)
			}
		}
		if p.accept("using") {
			p.next()
			if p.peek().is("(") {
				if _, err := p.balanced(); err != nil {
					return err
				}
			}
		}
		if p.accept("comment") {
			_, err = p.text()
		}
		return err
	}
	c, err := parseColumn(p, d.columns)
	if err != nil {
		return err
	}
	if d.find(c.name) != nil {
		return fmt.Errorf("Duplicate column name '%s'", c.name)
	}
	if n := len(d.columns); n > 0 && d.columns[n-1].generated != nil && c.generated == nil {
		return fmt.Errorf("All generated columns must be after ordinary columns")
	}
	c.id = len(d.columns)
	d.columns = append(d.columns, c)
	return nil
}

func (d *definition) find(name string) *column {
	for i := range d.columns {
		if strings.EqualFold(d.columns[i].name, name) {
			return &d.columns[i]
		}
	}
	return nil
}

// parseColumn reads `name type [NULL | NOT NULL] [DEFAULT v] [AS expr]
// [COMMENT text]`; before are the columns a generated one may read.
func parseColumn(p *parser, before []column) (column, error) {
	name, err := p.name()
	if err != nil {
		return column{}, err
	}
	c := column{name: name}
	if c.typ, err = parseType(p); err != nil {
		return c, err
	}
	for {
		switch {
		case p.accept("null"):
		case p.accept("not", "null"):
			c.notNull = true
		case p.accept("default"):
			t := p.next()
			if t.kind != tokenString && t.kind != tokenNumber && !t.is("null") {
				return c, p.unexpected(t)
			}
			if !t.is("null") {
				c.dflt = &t.text
			}
		case p.accept("comment"):
			if c.comment, err = p.text(); err != nil {
				return c, err
			}
		case p.peek().is("as"):
			if err := parseGenerated(p, &c, before); err != nil {
				return c, err
			}
		default:
			return c, nil
		}
	}
}

func parseGenerated(p *parser, c *column, before []column) error {
	p.next()
	from := p.peek().from
	e, err := parseExpr(p, before)
	if err != nil {
		return fmt.Errorf("column %s: %w", c.name, err)
	}
	if e.kind() != c.typ.kind {
		return fmt.Errorf("Illegal expression type for Generated Column Column Type: %s, Expression Type: %s",
			c.typ.sqlType(), columnType{kind: e.kind(), length: stringBytes}.sqlType())
	}
	c.generated, c.formula = e, strings.TrimSpace(p.sql[from:p.tokens[p.pos-1].to])
	return nil
}

// clause reads one clause behind the column list.
func (d *definition) clause(p *parser) (err error) {
	switch {
	case p.accept("engine", "="):
		if t := p.next(); !t.is("olap") {
			return fmt.Errorf("this stand-in has no table engine %q: use OLAP", t.text)
		}
	case p.accept("duplicate", "key"):
		d.keys, err = p.names()
	case p.accept("order", "by"):
		_, err = p.names()
	case p.peek().is("primary"), p.peek().is("unique"), p.peek().is("aggregate"):
		return fmt.Errorf("this stand-in has DUPLICATE KEY tables only, not %s KEY", strings.ToUpper(p.peek().text))
	case p.accept("comment"):
		d.comment, err = p.text()
	case p.accept("partition", "by"):
		err = d.partitions(p)
	case p.accept("distributed", "by", "random"):
		err = d.bucketCount(p)
	case p.accept("distributed", "by", "hash"):
		if d.distribute, err = p.names(); err == nil {
			err = d.bucketCount(p)
		}
	case p.accept("properties"):
		d.properties, err = p.properties()
	default:
		return p.unexpected(p.peek())
	}
	return err
}

func (d *definition) bucketCount(p *parser) (err error) {
	if p.accept("buckets") {
		d.buckets, err = p.number()
	}
	return err
}

func (d *definition) partitions(p *parser) error {
	from := p.peek().from
	var fn token
	if p.peek().kind == tokenWord {
		fn = p.next()
	}
	group, err := p.balanced()
	if err != nil {
		return err
	}
	if fn.is("range") || fn.is("list") {
		if p.peek().is("(") {
			if _, err := p.balanced(); err != nil {
				return err
			}
		}
	}
	d.partition = p.sql[from:p.tokens[p.pos-1].to]
	interval := false
	for i, t := range group {
		if t.is("interval") {
			interval = true
		}
		if t.is("convert_tz") || fn.is("convert_tz") {
			return fmt.Errorf("Unsupported expr 'convert_tz' in PARTITION BY clause")
		}
		if !t.isName() || interval || i+1 < len(group) && group[i+1].is("(") {
			continue
		}
		d.partitionBy = append(d.partitionBy, t.text)
	}
	return nil
}

// check applies the rules of the server's CreateTableAnalyzer.
func (d *definition) check() error {
	if len(d.columns) == 0 || d.columns[0].generated != nil {
		return fmt.Errorf("Table must have at least one column that is not generated")
	}
	if d.keys == nil { // without the clause the first column is the key
		d.keys = []string{d.columns[0].name}
	}
	for i, key := range d.keys {
		c := d.find(key)
		if c == nil {
			return fmt.Errorf("Key column '%s' doesn't exist", key)
		}
		if i >= len(d.columns) || c != &d.columns[i] {
			return fmt.Errorf("Key columns must be the first few columns of the schema and the order of the key columns must be consistent with the order of the schema")
		}
		if c.generated != nil {
			return fmt.Errorf("Generated Column can not be KEY")
		}
		if c.typ.kind == kindJSON || c.typ.kind == kindFloat || c.typ.kind == kindDouble {
			return fmt.Errorf("Invalid data type of key column '%s': '%s'", c.name, c.typ.sqlType())
		}
		c.key = true
	}
	for _, name := range d.distribute {
		c := d.find(name)
		if c == nil {
			return fmt.Errorf("Distribution column(%s) doesn't exist.", name)
		}
		if c.typ.kind == kindJSON || c.typ.kind == kindFloat || c.typ.kind == kindDouble {
			return fmt.Errorf("%s column can not be distribution column", c.typ.sqlType())
		}
	}
	for _, name := range d.partitionBy {
		c := d.find(name)
		if c == nil {
			return fmt.Errorf("Partition column [%s] doesn't exist", name)
		}
		if c.typ.kind == kindJSON {
			return fmt.Errorf("Type[JSON] can not be used in PARTITION BY")
		}
	}
	return nil
}
