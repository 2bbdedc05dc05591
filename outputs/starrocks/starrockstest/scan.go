package starrockstest

import (
	"slices"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

const scanRule analyzer.RuleId = 9001

// scanFirst gives conditions on single columns to the table, which looks at
// them column by column, as a columnar store does, before it makes rows; and
// it groups times by numbers instead of their texts.
//
//nolint:revive // the library's type of rule
func scanFirst(_ *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
	return transform.NodeWithOpaque(n, func(n sql.Node) (sql.Node, transform.TreeIdentity, error) {
		switch n := n.(type) {
		case *plan.Filter:
			return narrow(n)
		case *plan.GroupBy:
			return groupNumbers(n)
		}
		return n, transform.SameTree, nil
	})
}

// narrow takes what the table can decide out of a filter.
func narrow(f *plan.Filter) (sql.Node, transform.TreeIdentity, error) {
	resolved, ok := f.Child.(*plan.ResolvedTable)
	if !ok {
		return f, transform.SameTree, nil
	}
	t, ok := resolved.Table.(*sqlTable)
	if !ok {
		return f, transform.SameTree, nil
	}
	scan := *t
	scan.tests = slices.Clone(t.tests)
	var rest []sql.Expression
	for _, e := range expression.SplitConjunction(f.Expression) {
		if test, ok := t.test(e); ok {
			scan.tests = append(scan.tests, test)
		} else {
			rest = append(rest, e)
		}
	}
	if len(scan.tests) == len(t.tests) {
		return f, transform.SameTree, nil
	}
	child, err := resolved.WithTable(&scan)
	if err != nil || len(rest) == 0 {
		return child, transform.NewTree, err
	}
	return plan.NewFilter(expression.JoinAnd(rest...), child), transform.NewTree, nil
}

// scanTest is a condition on one column.
type scanTest struct {
	column column
	sure   bool              // it says something else than NULL of NULL:
	null   bool              // this
	holds  func(value) bool  // of other values
	text   func(string) bool // the same of texts, for columns of them
	order  bool              // it compares: what the smallest and the largest pass, all do
}

// test compiles a condition, if it is one on a single column.
func (t *sqlTable) test(e sql.Expression) (scanTest, bool) {
	switch e := e.(type) {
	case *expression.Not:
		inner, ok := t.test(e.Child)
		holds := inner.holds
		not := scanTest{column: inner.column, sure: inner.sure, null: inner.sure && !inner.null, holds: func(v value) bool { return !holds(v) }}
		if text := inner.text; text != nil {
			not.text = func(s string) bool { return !text(s) }
		}
		return not, ok
	case *expression.IsNull:
		c, ok := t.columnOf(e.Child)
		return scanTest{column: c, sure: true, null: true, holds: func(value) bool { return false }}, ok
	case *callExpression:
		return t.testCall(e)
	case *expression.GreaterThanOrEqual:
		return t.testOrder(e.Left(), e.Right(), func(v, than int64) bool { return v >= than })
	case *expression.GreaterThan:
		return t.testOrder(e.Left(), e.Right(), func(v, than int64) bool { return v > than })
	case *expression.LessThanOrEqual:
		return t.testOrder(e.Left(), e.Right(), func(v, than int64) bool { return v <= than })
	case *expression.LessThan:
		return t.testOrder(e.Left(), e.Right(), func(v, than int64) bool { return v < than })
	}
	return scanTest{}, false
}

func (t *sqlTable) columnOf(e sql.Expression) (column, bool) {
	if f, ok := e.(*expression.GetField); ok {
		for _, c := range t.snap.columns {
			if equalFold(c.name, f.Name()) {
				return c, true
			}
		}
	}
	return column{}, false
}

// testCall is a call that gives a boolean for a text column and a literal.
func (t *sqlTable) testCall(e *callExpression) (scanTest, bool) {
	if e.fn.result != kindBoolean || len(e.args) != 2 {
		return scanTest{}, false
	}
	c, ok := t.columnOf(e.args[0])
	l, isLiteral := e.args[1].(*expression.Literal)
	if !ok || !isLiteral || l.Value() == nil || c.typ.kind != kindString {
		return scanTest{}, false
	}
	args := [2]value{1: fromSQL(nil, l.Value())}
	test := scanTest{column: c, holds: func(v value) bool {
		own := args
		own[0] = v
		return e.call(own[:]).i == 1
	}}
	switch want := args[1].s; e.fn.name {
	case "equals":
		test.text = func(s string) bool { return s == want }
	case "like":
		test.text = likeMatcher(want)
	}
	return test, args[1].kind == kindString
}

// testOrder compares a column of times, or of whole numbers, with a literal.
func (t *sqlTable) testOrder(left, right sql.Expression, holds func(v, than int64) bool) (scanTest, bool) {
	c, ok := t.columnOf(left)
	l, isLiteral := right.(*expression.Literal)
	if !ok || !isLiteral {
		return scanTest{}, false
	}
	var than int64
	switch v := l.Value().(type) {
	case time.Time:
		than, ok = datetimeMicros(v), c.typ.kind == kindDatetime
	default:
		n := fromSQL(nil, v)
		than, ok = n.i, !n.null && n.kind.isInteger() && c.typ.kind.isInteger()
	}
	return scanTest{column: c, order: true, holds: func(v value) bool { return holds(v.i, than) }}, ok
}

// scanner runs the tests over a segment. Each text of a dictionary is looked
// at once.
type scanner struct {
	seg   *segment
	tests []scanTest
	cols  []*colData // per test; nil where the column is younger than the segment
	known [][]int8   // per test, by code: 0 not known, 1 holds, -1 does not
}

func newScanner(seg *segment, tests []scanTest) *scanner {
	tests = needed(seg, tests)
	s := &scanner{seg: seg, tests: tests, cols: make([]*colData, len(tests)), known: make([][]int8, len(tests))}
	for i := range tests {
		d := seg.cols[tests[i].column.id]
		if s.cols[i] = d; d != nil && d.dict != nil {
			s.known[i] = make([]int8, len(d.dict))
		}
	}
	return s
}

// needed leaves out the comparisons that all rows of the segment pass.
func needed(seg *segment, tests []scanTest) (list []scanTest) {
	for _, t := range tests {
		d := seg.cols[t.column.id]
		if d == nil || !t.order || d.nulls != nil || len(d.nums) == 0 ||
			!t.holds(value{i: slices.Min(d.nums)}) || !t.holds(value{i: slices.Max(d.nums)}) {
			list = append(list, t)
		}
	}
	return list
}

func (s *scanner) passes(row int) bool {
	for i := range s.tests {
		t, d := &s.tests[i], s.cols[i]
		if d == nil {
			if v := s.seg.value(row, &t.column); v.null && !t.null || !v.null && !t.holds(v) {
				return false
			}
			continue
		}
		if d.null(row) {
			if !t.null {
				return false
			}
			continue
		}
		if s.known[i] == nil {
			if t.text != nil && !t.text(d.text(row)) || t.text == nil && !t.holds(d.value(row)) {
				return false
			}
			continue
		}
		state := &s.known[i][d.codes[row]]
		if *state == 0 {
			*state = -1
			if t.holds(d.value(row)) {
				*state = 1
			}
		}
		if *state < 0 {
			return false
		}
	}
	return true
}

// groupNumbers wraps the times of a GROUP BY.
func groupNumbers(n *plan.GroupBy) (sql.Node, transform.TreeIdentity, error) {
	changed := false
	keys := make([]sql.Expression, len(n.GroupByExprs))
	for i, e := range n.GroupByExprs {
		keys[i] = e
		if _, done := e.(*timeKey); !done && types.IsDatetimeType(e.Type()) {
			keys[i], changed = &timeKey{expression.UnaryExpression{Child: e}}, true
		}
	}
	if !changed {
		return n, transform.SameTree, nil
	}
	again := *n
	again.GroupByExprs = keys
	return &again, transform.NewTree, nil
}

// timeKey is a time as a number.
type timeKey struct{ expression.UnaryExpression }

func (k *timeKey) Type() sql.Type   { return types.Int64 }
func (k *timeKey) IsNullable() bool { return true }
func (k *timeKey) String() string   { return k.Child.String() }

// Eval gives microseconds.
func (k *timeKey) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := k.Child.Eval(ctx, row)
	if at, ok := v.(time.Time); ok && err == nil {
		return datetimeMicros(at), nil
	}
	return v, err
}

// WithChildren replaces the operand.
func (k *timeKey) WithChildren(children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(k, len(children), 1)
	}
	return &timeKey{expression.UnaryExpression{Child: children[0]}}, nil
}
