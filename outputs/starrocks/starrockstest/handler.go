package starrockstest

import (
	"context"
	"strings"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// queryHandler stands before the engine's handler: it answers what the engine
// does not know, rewrites what the engine spells differently, and dresses
// results as the server sends them.
type queryHandler struct {
	mysql.Handler
	server *Server
	mysql  *mysqlServer
}

// ComInitDB takes "catalog.database" and "catalog" too.
func (h *queryHandler) ComInitDB(c *mysql.Conn, name string) error {
	if name == defaultCatalog {
		name = ""
	}
	return h.Handler.ComInitDB(c, strings.TrimPrefix(name, defaultCatalog+"."))
}

// ComQuery answers one statement.
func (h *queryHandler) ComQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	first, _ := firstStatement(query)
	return h.one(ctx, c, first, callback)
}

// ComMultiQuery answers the first statement and returns the rest.
func (h *queryHandler) ComMultiQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) (string, error) {
	first, rest := firstStatement(query)
	return rest, h.one(ctx, c, first, func(r *sqltypes.Result, more bool) error { return callback(r, more || rest != "") })
}

func (h *queryHandler) one(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	result, err := h.answer(ctx, c, query)
	if err != nil {
		return mysql.NewSQLError(1064, "HY000", "%s", err.Error())
	}
	if result != nil {
		return callback(result, false)
	}
	return h.Handler.ComQuery(ctx, c, rewrite(query), func(r *sqltypes.Result, more bool) error {
		dress(r.Fields)
		return callback(r, more)
	})
}

// ComPrepare rewrites the statement that is then executed.
func (h *queryHandler) ComPrepare(ctx context.Context, c *mysql.Conn, query string, p *mysql.PrepareData) ([]*querypb.Field, error) {
	query = rewrite(query)
	p.PrepareStmt = query
	fields, err := h.Handler.ComPrepare(ctx, c, query, p)
	dress(fields)
	return fields, err
}

// ComStmtExecute runs a prepared statement.
func (h *queryHandler) ComStmtExecute(ctx context.Context, c *mysql.Conn, p *mysql.PrepareData, callback func(*sqltypes.Result) error) error {
	return h.Handler.ComStmtExecute(ctx, c, p, func(r *sqltypes.Result) error {
		dress(r.Fields)
		return callback(r)
	})
}

// currentDB is the session's database.
func (h *queryHandler) currentDB(ctx context.Context, c *mysql.Conn) (string, error) {
	sqlCtx, err := h.mysql.server.SessionManager().NewContextWithQuery(ctx, c, "")
	if err != nil {
		return "", err
	}
	return sqlCtx.GetCurrentDatabase(), nil
}

const blobFlag = 16

// dress makes a result look as StarRocks sends it: text is VARCHAR.
func dress(fields []*querypb.Field) {
	for _, f := range fields {
		if f.Type == querypb.Type_TEXT {
			f.Type, f.Flags = querypb.Type_VARCHAR, f.Flags&^blobFlag
		}
	}
}
