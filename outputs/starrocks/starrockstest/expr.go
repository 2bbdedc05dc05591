package starrockstest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// expr is the compiled expression of a generated column. eval may be called
// concurrently; row gives the source columns by their place in the table.
type expr interface {
	eval(row func(column int) value) value
	kind() kind
}

type columnExpr struct {
	column int // id
	typ    kind
}

func (e columnExpr) eval(row func(int) value) value { return row(e.column) }
func (e columnExpr) kind() kind                     { return e.typ }

type literalExpr struct{ v value }

func (e literalExpr) eval(func(int) value) value { return e.v }
func (e literalExpr) kind() kind                 { return e.v.kind }

type castExpr struct {
	arg expr
	to  kind
}

func (e castExpr) eval(row func(int) value) value { return e.arg.eval(row).cast(e.to) }
func (e castExpr) kind() kind                     { return e.to }

type callExpr struct {
	fn   *function
	call kernel
	args []expr
}

func (e callExpr) eval(row func(int) value) value {
	var room [4]value
	args := room[:0]
	for _, a := range e.args {
		args = append(args, a.eval(row))
	}
	return e.fn.apply(e.call, args)
}
func (e callExpr) kind() kind { return e.fn.result }

// parseExpr compiles the expression at p, which may name the given columns
// only. It refuses what this server cannot compute.
func parseExpr(p *parser, columns []column) (expr, error) {
	t := p.next()
	switch {
	case t.is("("):
		e, err := parseExpr(p, columns)
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case t.kind == tokenString:
		return literalExpr{textValue(t.text)}, nil
	case t.kind == tokenNumber || t.is("-") && p.peek().kind == tokenNumber:
		return numberExpr(p, t)
	case t.is("cast") && p.peek().is("("):
		return parseCast(p, columns)
	case t.kind == tokenWord && p.peek().is("("):
		return parseCall(p, t.text, columns)
	case t.isName():
		for _, c := range columns {
			if !strings.EqualFold(c.name, t.text) {
				continue
			}
			if c.generated != nil {
				return nil, fmt.Errorf("Expression can not refers to other generated columns: %s", c.name)
			}
			return arrow(p, columnExpr{c.id, c.typ.kind})
		}
		return nil, fmt.Errorf("Column '%s' cannot be resolved", t.text)
	}
	return nil, p.unexpected(t)
}

func numberExpr(p *parser, t token) (expr, error) {
	text := t.text
	if t.is("-") {
		text = "-" + p.next().text
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return literalExpr{value{kind: kindBigInt, i: n}}, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, p.unexpected(t)
	}
	return literalExpr{value{kind: kindDouble, f: f}}, nil
}

// arrow reads any "-> 'path'" behind a JSON column.
func arrow(p *parser, e expr) (expr, error) {
	for p.peek().is("->") {
		p.next()
		path := p.next()
		if path.kind != tokenString {
			return nil, p.unexpected(path)
		}
		fn := functions["json_query"]
		args := []expr{e, literalExpr{textValue(path.text)}}
		e = callExpr{fn, fn.bind(literals(args)), args}
	}
	return e, nil
}

func parseCast(p *parser, columns []column) (expr, error) {
	p.next()
	e, err := parseExpr(p, columns)
	if err != nil {
		return nil, err
	}
	if err := p.expect("as"); err != nil {
		return nil, err
	}
	typ, err := parseType(p)
	if err != nil {
		return nil, err
	}
	return castExpr{e, typ.kind}, p.expect(")")
}

func parseCall(p *parser, name string, columns []column) (expr, error) {
	fn := functions[strings.ToLower(name)]
	if fn == nil || fn.queryOnly {
		return nil, fmt.Errorf("No matching function with signature: %s; this stand-in cannot compute it in a generated column", strings.ToLower(name))
	}
	p.next()
	var args []expr
	for !p.peek().is(")") {
		if len(args) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		e, err := parseExpr(p, columns)
		if err != nil {
			return nil, err
		}
		args = append(args, e)
	}
	p.next()
	if err := fn.checkArity(len(args)); err != nil {
		return nil, err
	}
	return arrow(p, callExpr{fn, fn.bind(literals(args)), args})
}

// literals gives the values of the arguments known before any row, nil for
// the others.
func literals(args []expr) []*value {
	known := make([]*value, len(args))
	for i, a := range args {
		if l, ok := a.(literalExpr); ok {
			known[i] = &l.v
		}
	}
	return known
}

// dependencies lists the ids of the columns an expression reads.
func dependencies(e expr) []int {
	switch e := e.(type) {
	case columnExpr:
		return []int{e.column}
	case castExpr:
		return dependencies(e.arg)
	case callExpr:
		var ids []int
		for _, a := range e.args {
			ids = append(ids, dependencies(a)...)
		}
		slices.Sort(ids)
		return slices.Compact(ids)
	}
	return nil
}
