package starrockstest

import (
	"fmt"
	"slices"
	"strings"
)

func parseAlter(p *parser) (statement, error) {
	var s statement
	s, err := s.tableName(p)
	if err != nil {
		return s, err
	}
	switch {
	case p.accept("drop", "column"):
		s.verb = verbDropColumn
		s.drop, err = p.name()
		return s, err
	case p.accept("add", "column"):
		s.verb = verbAddColumn
		return s, s.added(p)
	}
	return s, p.unexpected(p.peek())
}

// added reads one column, or a list in parentheses.
func (s *statement) added(p *parser) error {
	list := p.accept("(")
	for {
		c, err := parseColumn(p, p.columnsOf(s.db, s.table))
		if err != nil {
			return err
		}
		s.add = append(s.add, c)
		if !list || !p.accept(",") {
			break
		}
	}
	if list {
		return p.expect(")")
	}
	switch {
	case p.accept("first"):
		s.after = "FIRST"
	case p.accept("after"):
		name, err := p.name()
		s.after = name
		return err
	}
	return nil
}

// place gives the index at which ADD COLUMN puts a column, and refuses what
// the server refuses.
func (s *statement) place(columns []column, c column) (int, error) {
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
	switch s.after {
	case "":
		return end, nil
	case "FIRST":
		return 0, fmt.Errorf("Can not add value column '%s' before key columns", c.name)
	}
	for i, o := range columns {
		if strings.EqualFold(o.name, s.after) {
			return min(i+1, end), nil
		}
	}
	return 0, fmt.Errorf("Column[%s] does not exists", s.after)
}
