package starrockstest

import (
	"fmt"
	"strconv"
	"strings"
)

// parser reads tokens left to right; the last token is tokenEnd and is never
// passed.
type parser struct {
	sql    string
	tokens []token
	pos    int
	// columnsOf gives the columns of an existing table, for ALTER TABLE.
	columnsOf func(db, table string) []column
}

func newParser(sql string) (*parser, error) {
	tokens, err := lex(sql)
	return &parser{sql: sql, tokens: tokens, columnsOf: func(string, string) []column { return nil }}, err
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokenEnd {
		p.pos++
	}
	return t
}

// accept steps over the words or symbols when all of them come next.
func (p *parser) accept(words ...string) bool {
	for i, w := range words {
		if p.pos+i >= len(p.tokens) || !p.tokens[p.pos+i].is(w) {
			return false
		}
	}
	p.pos += len(words)
	return true
}

func (p *parser) expect(words ...string) error {
	for _, w := range words {
		if t := p.next(); !t.is(w) {
			return p.unexpected(t)
		}
	}
	return nil
}

// unexpected is the server's syntax error for a token.
func (p *parser) unexpected(t token) error {
	line := 1 + strings.Count(p.sql[:t.from], "\n")
	column := t.from - strings.LastIndexByte(p.sql[:t.from], '\n') - 1
	text := p.sql[t.from:t.to]
	if t.kind == tokenEnd {
		text = "<EOF>"
	}
	return fmt.Errorf("Getting syntax error at line %d, column %d. Detail message: Unexpected input '%s'", line, column, text)
}

func (p *parser) name() (string, error) {
	t := p.next()
	if !t.isName() || t.kind == tokenWord && reserved[strings.ToLower(t.text)] {
		return "", p.unexpected(t)
	}
	return t.text, nil
}

// reserved holds the words of StarRocks' grammar that need backquotes as a
// name, as far as a table definition may meet them.
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`add all alter and as between both by case column create cross current_date database
		databases default delete desc describe distinct drop else exists explain false from full function grant group
		having in index inner insert into is join key keys kill lateral left like limit load not null on or order outer
		over partition primary procedure range rank read row rows schema select set show table tables then to true
		union unique update use using values when where with`) {
		m[w] = true
	}
	return m
}()

// qualified reads [catalog.][db.]name; the only catalog is default_catalog.
func (p *parser) qualified() (db, name string, err error) {
	var parts []string
	for {
		part, err := p.name()
		if err != nil {
			return "", "", err
		}
		parts = append(parts, part)
		if !p.accept(".") {
			break
		}
	}
	if len(parts) == 3 && parts[0] == "default_catalog" {
		parts = parts[1:]
	}
	switch len(parts) {
	case 1:
		return "", parts[0], nil
	case 2:
		return parts[0], parts[1], nil
	}
	return "", "", fmt.Errorf("Unknown catalog '%s'", parts[0])
}

// names reads (a, b, c).
func (p *parser) names() ([]string, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var list []string
	for {
		n, err := p.name()
		if err != nil {
			return nil, err
		}
		list = append(list, n)
		if !p.accept(",") {
			return list, p.expect(")")
		}
	}
}

// balanced steps over a parenthesised group and returns its tokens.
func (p *parser) balanced() ([]token, error) {
	from, depth := p.pos, 0
	for {
		t := p.next()
		switch {
		case t.kind == tokenEnd:
			return nil, p.unexpected(t)
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		}
		if depth == 0 {
			return p.tokens[from:p.pos], nil
		}
	}
}

func (p *parser) text() (string, error) {
	t := p.next()
	if t.kind != tokenString {
		return "", p.unexpected(t)
	}
	return t.text, nil
}

func (p *parser) number() (int, error) {
	t := p.next()
	n, err := strconv.Atoi(t.text)
	if t.kind != tokenNumber || err != nil {
		return 0, p.unexpected(t)
	}
	return n, nil
}

// properties reads ("key" = "value", ...).
func (p *parser) properties() ([][2]string, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var list [][2]string
	for {
		key, err := p.text()
		if err != nil {
			return nil, err
		}
		if err := p.expect("="); err != nil {
			return nil, err
		}
		val, err := p.text()
		if err != nil {
			return nil, err
		}
		list = append(list, [2]string{key, val})
		if !p.accept(",") {
			return list, p.expect(")")
		}
	}
}

var integerTypes = map[string]kind{
	"tinyint": kindTinyInt, "smallint": kindSmallInt, "int": kindInt, "integer": kindInt, "bigint": kindBigInt,
}

var plainTypes = map[string]kind{
	"boolean": kindBoolean, "bool": kindBoolean, "float": kindFloat, "double": kindDouble,
	"date": kindDate, "datetime": kindDatetime, "json": kindJSON,
}

// parseType reads a column type; types this server does not know are refused.
func parseType(p *parser) (columnType, error) {
	t := p.next()
	name := strings.ToLower(t.text)
	if t.kind != tokenWord {
		return columnType{}, p.unexpected(t)
	}
	if k, ok := integerTypes[name]; ok { // the display width is legal and means nothing
		if p.peek().is("(") {
			_, err := p.balanced()
			return columnType{kind: k}, err
		}
		return columnType{kind: k}, nil
	}
	if k, ok := plainTypes[name]; ok {
		return columnType{kind: k}, nil
	}
	limit := maxVarchar
	switch name {
	case "string", "text":
		return columnType{kind: kindString, length: stringBytes}, nil
	case "char":
		limit = maxChar
	case "varchar":
	default:
		return columnType{}, fmt.Errorf("Unknown data type '%s'; this stand-in knows integers, floats, date, datetime, char, varchar, string and json", name)
	}
	length := 1
	if p.accept("(") {
		n, err := p.number()
		if err != nil {
			return columnType{}, err
		}
		if length = n; n < 1 || n > limit {
			return columnType{}, fmt.Errorf("%s size must be <= %d: %d", t.text, limit, n)
		}
		if err := p.expect(")"); err != nil {
			return columnType{}, err
		}
	}
	return columnType{kind: kindString, length: length, char: name == "char"}, nil
}
