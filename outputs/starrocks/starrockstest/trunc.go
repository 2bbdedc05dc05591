package starrockstest

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
)

// truncExpression is date_trunc of a unit that is always as long. Rows come
// much in the order of their times, so the last answer mostly is the next one.
type truncExpression struct {
	expression.UnaryExpression
	call *callExpression
	step int64
	last atomic.Pointer[truncated]
}

// truncated is an answer, and how it is counted.
type truncated struct {
	slice int64
	at    any
}

// truncStep is how long the unit of a call of date_trunc is; 0 for any other
// call.
func (c *callExpression) truncStep() int64 {
	if c.fn.name != "date_trunc" || c.known[0] == nil || c.known[0].null {
		return 0
	}
	if unit := strings.ToLower(c.known[0].text()); unit != "week" {
		return unitMicros[unit]
	}
	return 0
}

func (e *truncExpression) Type() sql.Type   { return e.call.Type() }
func (e *truncExpression) IsNullable() bool { return true }
func (e *truncExpression) String() string   { return e.call.String() }

// Eval computes one row; what is no time yet goes the long way.
func (e *truncExpression) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := e.Child.Eval(ctx, row)
	at, ok := v.(time.Time)
	if err != nil || !ok {
		return e.call.Eval(ctx, row)
	}
	slice := floorDiv(datetimeMicros(at), e.step)
	if last := e.last.Load(); last != nil && last.slice == slice {
		return last.at, nil
	}
	next := &truncated{slice, datetimeTime(slice * e.step)}
	e.last.Store(next)
	return next.at, nil
}

// WithChildren replaces the operand.
func (e *truncExpression) WithChildren(children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(e, len(children), 1)
	}
	call, err := newCall(e.call.fn, []sql.Expression{e.call.args[0], children[0]})
	if err != nil {
		return nil, err
	}
	return &truncExpression{UnaryExpression: expression.UnaryExpression{Child: children[0]}, call: call.(*callExpression), step: e.step}, nil
}
