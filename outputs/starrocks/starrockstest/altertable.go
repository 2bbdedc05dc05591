package starrockstest

import (
	"fmt"
	"slices"
	"strings"
)

// alteration is one clause of ALTER TABLE.
type alteration struct {
	add   []column
	after string // "", "FIRST" or a column
	drop  string
}

func parseAlter(p *parser) (statement, error) {
	s := statement{verb: verbAlter}
	s, err := s.tableName(p)
	if err != nil {
		return s, err
	}
	for {
		var a alteration
		switch {
		case p.accept("drop", "column"):
			a.drop, err = p.name()
		case p.accept("add", "column"):
			err = a.added(p, p.columnsOf(s.db, s.table))
		default:
			err = p.unexpected(p.peek())
		}
		if err != nil {
			return s, err
		}
		if s.alter = append(s.alter, a); !p.accept(",") {
			return s, nil
		}
	}
}

// added reads one column, or a list in parentheses.
func (a *alteration) added(p *parser, before []column) error {
	list := p.accept("(")
	for {
		c, err := parseColumn(p, before)
		if err != nil {
			return err
		}
		a.add = append(a.add, c)
		if !list || !p.accept(",") {
			break
		}
	}
	if list {
		return p.expect(")")
	}
	switch {
	case p.accept("first"):
		a.after = "FIRST"
	case p.accept("after"):
		name, err := p.name()
		a.after = name
		return err
	}
	return nil
}

// place gives the index at which ADD COLUMN puts a column, and refuses what
// the server refuses.
func (a *alteration) place(columns []column, c column) (int, error) {
	if slices.ContainsFunc(columns, func(o column) bool { return strings.EqualFold(o.name, c.name) }) {
		return 0, fmt.Errorf("Can not add column which already exists in base table: %s", c.name)
	}
	if c.notNull && c.dflt == nil && c.generated == nil {
		return 0, fmt.Errorf("Can't add NOT NULL column %s without a default value", c.name)
	}
	end := len(columns)
	for end > 0 && columns[end-1].generated != nil && c.generated == nil {
		end--
	}
	switch a.after {
	case "":
		return end, nil
	case "FIRST":
		return 0, fmt.Errorf("Can not add value column '%s' before key columns", c.name)
	}
	for i, o := range columns {
		if strings.EqualFold(o.name, a.after) {
			return min(i+1, end), nil
		}
	}
	return 0, fmt.Errorf("Column[%s] does not exists", a.after)
}

// alter applies the clauses of one statement: all of them or none.
func (t *table) alter(clauses []alteration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	columns, id := slices.Clone(t.columns), t.nextID
	for _, a := range clauses {
		if a.drop != "" {
			var err error
			if columns, err = t.without(columns, a.drop); err != nil {
				return err
			}
		}
		for _, c := range a.add {
			at, err := a.place(columns, c)
			if err != nil {
				return err
			}
			c.id = id
			id++
			columns = slices.Insert(columns, at, c)
		}
	}
	t.columns, t.nextID = columns, id
	return nil
}

// without takes a column away, unless the table needs it.
func (t *table) without(columns []column, name string) ([]column, error) {
	at := slices.IndexFunc(columns, func(c column) bool { return strings.EqualFold(c.name, name) })
	switch {
	case at < 0:
		return nil, fmt.Errorf("Column does not exists: %s", name)
	case columns[at].key:
		return nil, fmt.Errorf("Can not drop key column %s when table has no other key", name)
	}
	used := func(list []string) bool {
		return slices.ContainsFunc(list, func(n string) bool { return strings.EqualFold(n, name) })
	}
	if used(t.def.distribute) || used(t.def.partitionBy) {
		return nil, fmt.Errorf("Partition or distribution column[%s] cannot be dropped", name)
	}
	for _, c := range columns {
		if c.generated != nil && slices.Contains(dependencies(c.generated), columns[at].id) {
			return nil, fmt.Errorf("Column: %s can not be dropped, because it is used in generated column: %s", name, c.name)
		}
	}
	return slices.Delete(columns, at, at+1), nil
}
