package starrockstest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// printedJSON is a JSON value for the engine, in the text this server prints.
type printedJSON string

var _ types.JSONBytes = printedJSON("")

// Clone, ToInterface and GetBytes make it the engine's JSON.
func (p printedJSON) Clone(context.Context) sql.JSONWrapper { return p }

func (p printedJSON) ToInterface() (any, error) {
	var v any
	return v, json.Unmarshal([]byte(p), &v)
}

func (p printedJSON) GetBytes() ([]byte, error) { return []byte(p), nil }

// fromSQL is the counterpart of sqlValue for whatever the engine computes.
func fromSQL(ctx *sql.Context, v any) value {
	switch v := v.(type) {
	case nil:
		return value{null: true, kind: kindString}
	case string:
		return textValue(v)
	case []byte:
		return textValue(string(v))
	case printedJSON:
		return value{kind: kindJSON, s: string(v)}
	case time.Time:
		return value{kind: kindDatetime, i: datetimeMicros(v)}
	case bool:
		if v {
			return value{kind: kindBoolean, i: 1}
		}
		return value{kind: kindBoolean}
	case float64:
		return value{kind: kindDouble, f: v}
	case float32:
		return value{kind: kindDouble, f: float64(v)}
	case decimal.Decimal:
		return textValue(v.String())
	case sql.JSONWrapper:
		plain, err := v.ToInterface()
		if err != nil {
			return nullOf(kindJSON)
		}
		text, _ := json.Marshal(plain)
		return parseJSONKernel([]value{textValue(string(text))})
	case sql.AnyWrapper:
		plain, err := sql.UnwrapAny(ctx, v)
		if err != nil {
			return nullOf(kindString)
		}
		return fromSQL(ctx, plain)
	}
	if n, _, err := types.Int64.Convert(ctx, v); err == nil && n != nil {
		return value{kind: kindBigInt, i: n.(int64)}
	}
	return textValue(fmt.Sprint(v))
}

// callExpression is one call of a function of ours in a query.
type callExpression struct {
	fn    *function
	call  kernel
	args  []sql.Expression
	known []*value // of arguments that are literals
}

func newCall(fn *function, args []sql.Expression) (sql.Expression, error) {
	if err := fn.checkArity(len(args)); err != nil {
		return nil, err
	}
	known := make([]*value, len(args))
	for i, a := range args {
		if l, ok := a.(*expression.Literal); ok {
			v := fromSQL(nil, l.Value())
			known[i] = &v
		}
	}
	return &callExpression{fn, fn.bind(known), args, known}, nil
}

func (c *callExpression) FunctionName() string       { return c.fn.name }
func (c *callExpression) Description() string        { return "StarRocks " + c.fn.name }
func (c *callExpression) Type() sql.Type             { return sqlType(c.fn.result) }
func (c *callExpression) IsNullable() bool           { return true }
func (c *callExpression) Children() []sql.Expression { return c.args }

func (c *callExpression) Resolved() bool {
	for _, a := range c.args {
		if !a.Resolved() {
			return false
		}
	}
	return true
}

func (c *callExpression) String() string {
	args := make([]string, len(c.args))
	for i, a := range c.args {
		args[i] = a.String()
	}
	return c.fn.name + "(" + strings.Join(args, ",") + ")"
}

// Eval computes the call for one row.
func (c *callExpression) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	var room [4]value
	args := room[:0]
	for i, a := range c.args {
		if c.known[i] != nil {
			args = append(args, *c.known[i])
			continue
		}
		v, err := a.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		args = append(args, fromSQL(ctx, v))
	}
	return sqlValue(c.fn.apply(c.call, args)), nil
}

// WithChildren rebinds the call.
func (c *callExpression) WithChildren(children ...sql.Expression) (sql.Expression, error) {
	return newCall(c.fn, children)
}

// CollationCoercibility makes results compare byte by byte, as in StarRocks.
func (c *callExpression) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_Default, 4
}

// engineOwns are functions that a query has from the engine: we have them for
// generated columns, or in the place of operators.
var engineOwns = map[string]bool{"lower": true, "upper": true, "trim": true, "concat": true, "like": true, "equals": true}

func sqlFunctions() map[string]sql.Function {
	m := map[string]sql.Function{}
	for name, fn := range functions {
		if !engineOwns[name] {
			m[name] = sql.FunctionN{Name: name, Fn: func(args ...sql.Expression) (sql.Expression, error) { return newCall(fn, args) }}
		}
	}
	m["current_version"] = sql.Function0{Name: "current_version", Fn: func() sql.Expression {
		return expression.NewLiteral(starrocksVersion, types.LongText)
	}}
	return m
}

// castExpression is CAST with StarRocks' rule: what does not convert is NULL.
type castExpression struct {
	expression.UnaryExpression
	to kind
}

func (c *castExpression) Type() sql.Type   { return sqlType(c.to) }
func (c *castExpression) IsNullable() bool { return true }
func (c *castExpression) String() string {
	return fmt.Sprintf("CAST(%s AS %s)", c.Child, columnType{kind: c.to}.sqlType())
}

// Eval converts one value.
func (c *castExpression) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := c.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	return sqlValue(fromSQL(ctx, v).cast(c.to)), nil
}

// WithChildren replaces the operand.
func (c *castExpression) WithChildren(children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(c, len(children), 1)
	}
	return &castExpression{expression.UnaryExpression{Child: children[0]}, c.to}, nil
}

func castKind(t sql.Type) (kind, bool) {
	switch {
	case t == types.Int64:
		return kindBigInt, true
	case t == types.Float64:
		return kindDouble, true
	case t == types.Float32:
		return kindFloat, true
	case types.IsJSON(t):
		return kindJSON, true
	case types.IsTextOnly(t):
		return kindString, true
	case types.IsDatetimeType(t):
		return kindDatetime, true
	case types.IsDateType(t):
		return kindDate, true
	}
	return 0, false
}

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }
