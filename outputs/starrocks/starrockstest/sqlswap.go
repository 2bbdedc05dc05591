package starrockstest

import (
	"regexp"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/expression"
	sqlfunction "github.com/dolthub/go-mysql-server/sql/expression/function"
	sqljson "github.com/dolthub/go-mysql-server/sql/expression/function/json"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

const swapRule analyzer.RuleId = 9000

// swapExpressions puts our expressions in the place of the engine's where the
// two systems differ, the arrow operator and CAST, and where the engine works
// anew for each row: REGEXP compiles its pattern, LIKE tries each letter
// through a collation, STR_TO_DATE reads its text, and texts are compared after
// conversions.
//
//nolint:revive // the library's type of rule
func swapExpressions(ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
	return transform.NodeExprsWithOpaque(n, func(e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		return swapExpression(ctx, e)
	})
}

func swapExpression(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
	switch e := e.(type) {
	case *sqlfunction.RegexpLike:
		if e.Flags == nil {
			return swapped("regexp", e.Text, e.Pattern)
		}
	case *expression.Like:
		if e.Escape == nil && isTextLiteral(e.RightChild) {
			return swapped("like", e.LeftChild, e.RightChild)
		}
	case *expression.Equals:
		if left := e.Left(); isTextLiteral(e.Right()) && left.Resolved() && types.IsTextOnly(left.Type()) {
			return swapped("equals", left, e.Right())
		}
	case *callExpression:
		if step := e.truncStep(); step != 0 {
			return &truncExpression{UnaryExpression: expression.UnaryExpression{Child: e.args[1]}, call: e, step: step}, transform.NewTree, nil
		}
	case *sqlfunction.StrToDate:
		if isTextLiteral(e.Date) && isTextLiteral(e.Format) {
			if v, err := e.Eval(ctx, nil); err == nil {
				if at, ok := v.(time.Time); ok {
					return expression.NewLiteral(at, types.DatetimeMaxPrecision), transform.NewTree, nil
				}
			}
		}
	case *sqljson.JSONExtract:
		if len(e.Paths) == 1 {
			return swapped("json_query", e.JSON, e.Paths[0])
		}
	case *expression.Convert:
		if to, ok := castKind(e.Type()); ok {
			return &castExpression{expression.UnaryExpression{Child: e.Child}, to}, transform.NewTree, nil
		}
	}
	return e, transform.SameTree, nil
}

func swapped(name string, args ...sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
	e, err := newCall(functions[name], args)
	return e, transform.NewTree, err
}

func isTextLiteral(e sql.Expression) bool {
	l, ok := e.(*expression.Literal)
	return ok && types.IsTextOnly(l.Type())
}

// bindLike reads a pattern of LIKE once: % is any text, _ any letter, and a
// backslash takes the meaning from either. Bytes are compared, as StarRocks does.
func bindLike(known []*value) kernel {
	if known[1] == nil || known[1].null {
		return func(a []value) value { return truth(likeRegexp(a[1].s).MatchString(a[0].s)) }
	}
	match := likeMatcher(known[1].text())
	return func(a []value) value { return truth(match(a[0].s)) }
}

func likeMatcher(pattern string) func(string) bool {
	inner := strings.TrimPrefix(strings.TrimSuffix(pattern, "%"), "%")
	if strings.ContainsAny(inner, `%_\`) {
		return likeRegexp(pattern).MatchString
	}
	match := func(a, b string) bool { return a == b }
	switch before, behind := strings.HasPrefix(pattern, "%"), strings.HasSuffix(pattern, "%"); {
	case before && behind:
		match = strings.Contains
	case before:
		match = strings.HasSuffix
	case behind:
		match = strings.HasPrefix
	}
	return func(s string) bool { return match(s, inner) }
}

func likeRegexp(pattern string) *regexp.Regexp {
	var out strings.Builder
	out.WriteString("(?s)^")
	escaped := false
	for _, c := range pattern {
		switch {
		case !escaped && c == '\\':
			escaped = true
			continue
		case !escaped && c == '%':
			out.WriteString(".*")
		case !escaped && c == '_':
			out.WriteString(".")
		default:
			out.WriteString(regexp.QuoteMeta(string(c)))
		}
		escaped = false
	}
	out.WriteString("$")
	return compile(out.String())
}

func truth(yes bool) value {
	v := value{kind: kindBoolean}
	if yes {
		v.i = 1
	}
	return v
}
