package starrockstest

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/vitess/go/mysql"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/sirupsen/logrus"
)

// defaultCatalog is the catalog of StarRocks' own tables.
const defaultCatalog = "default_catalog"

// mysqlVersion is the version frontends put into the MySQL handshake;
// starrocksVersion is what current_version() answers.
const (
	mysqlVersion     = "8.0.33"
	starrocksVersion = "3.5.0-0000000"
)

// mysqlServer is the frontend's MySQL port, on go-mysql-server.
type mysqlServer struct {
	listener net.Listener
	server   *server.Server
	done     chan struct{}
}

// newEngine makes what answers queries, over the server's tables of any time.
func newEngine(s *Server) *sqle.Engine {
	a := analyzer.NewBuilder(&sqlProvider{server: s}).AddPreAnalyzeRule(swapRule, swapExpressions).AddPostValidationRule(scanRule, scanFirst).Build()
	a.Catalog.InfoSchema = newInfoSchema(s)
	return sqle.New(a, nil)
}

func listenMySQL(addr string, s *Server) (*mysqlServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	m := &mysqlServer{listener: ln, done: make(chan struct{})}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	// The engine tells of each connection through logrus' standard logger, which it alone uses here.
	logrus.SetLevel(logrus.ErrorLevel)
	session := func(_ context.Context, c *mysql.Conn, addr string) (sql.Session, error) {
		base := sql.NewBaseSessionWithClientServer(addr, sql.Client{User: c.User, Capabilities: c.Capabilities}, c.ConnectionID)
		base.SetLogger(logrus.NewEntry(quiet))
		return base, nil
	}
	handler := &queryHandler{server: s, mysql: m}
	wrap := func(h mysql.Handler) (mysql.Handler, error) {
		handler.Handler = h
		return handler, nil
	}
	cfg := server.Config{Listener: ln, Version: mysqlVersion, ProtocolListenerFactory: s.protocolListener}
	if m.server, err = server.NewServerWithHandler(cfg, s.engine, sql.NewContext, session, nil, wrap); err != nil {
		ln.Close()
		return nil, fmt.Errorf("start MySQL protocol: %w", err)
	}
	go func() {
		defer close(m.done)
		m.server.Listener.Accept()
	}()
	return m, nil
}

func (m *mysqlServer) addr() string { return m.listener.Addr().String() }

func (m *mysqlServer) close() {
	m.server.Listener.Close()
	<-m.done
}

// protocolListener puts our accounts in the place of the engine's own.
func (s *Server) protocolListener(cfg server.Config, l mysql.ListenerConfig, sel server.ServerEventListener) (server.ProtocolListener, error) {
	l.AuthServer = &accounts{s}
	return server.MySQLProtocolListenerFactory(cfg, l, sel)
}

// accounts checks mysql_native_password against the server's users.
type accounts struct{ server *Server }

func (a *accounts) AuthMethods() []mysql.AuthMethod {
	return []mysql.AuthMethod{mysql.NewMysqlNativeAuthMethod(a, a)}
}

func (a *accounts) DefaultAuthMethodDescription() mysql.AuthMethodDescription {
	return mysql.MysqlNativePassword
}

func (a *accounts) HandleUser(string, net.Addr) bool { return true }

//nolint:revive // the library's interface
func (a *accounts) UserEntryWithHash(_ []*x509.Certificate, salt []byte, user string, reply []byte, from net.Addr) (mysql.Getter, error) {
	u, known := a.server.users[user]
	want := mysql.ScrambleMysqlNativePassword(salt, []byte(u.Password))
	if !known || string(want) != string(reply) {
		return nil, mysql.NewSQLError(mysql.ERAccessDeniedError, mysql.SSAccessDeniedError, "Access denied for user '%s' (using password: YES)", user)
	}
	return account(user), nil
}

type account string

func (a account) Get() *querypb.VTGateCallerID { return &querypb.VTGateCallerID{Username: string(a)} }

// sqlProvider shows the databases and functions of the server to the engine.
type sqlProvider struct {
	server *Server
	once   sync.Once
	funcs  map[string]sql.Function
}

func (p *sqlProvider) Database(_ *sql.Context, name string) (sql.Database, error) {
	name = strings.TrimPrefix(name, defaultCatalog+".")
	if d := p.server.database(name); d != nil {
		return &sqlDatabase{p.server, d}, nil
	}
	return nil, sql.ErrDatabaseNotFound.New(name)
}

func (p *sqlProvider) HasDatabase(ctx *sql.Context, name string) bool {
	_, err := p.Database(ctx, name)
	return err == nil
}

func (p *sqlProvider) AllDatabases(*sql.Context) []sql.Database {
	var list []sql.Database
	for _, d := range p.server.allDatabases() {
		list = append(list, &sqlDatabase{p.server, d})
	}
	return list
}

func (p *sqlProvider) Function(_ *sql.Context, name string) (sql.Function, bool) {
	p.once.Do(func() { p.funcs = sqlFunctions() })
	f, ok := p.funcs[strings.ToLower(name)]
	return f, ok
}

// sqlDatabase shows one database.
type sqlDatabase struct {
	server *Server
	db     *database
}

func (d *sqlDatabase) Name() string { return d.db.name }

// IsReadOnly keeps the engine from definitions of its own; ours never reach it.
func (d *sqlDatabase) IsReadOnly() bool { return true }

func (d *sqlDatabase) GetTableInsensitive(ctx *sql.Context, name string) (sql.Table, bool, error) {
	_, t, err := d.server.find(d.db.name, name)
	if err != nil {
		return nil, false, nil
	}
	if name := ctx.Session.Client().User; name != viewUser && !d.server.users[name].Select {
		return nil, false, fmt.Errorf("Access denied; you need (at least one of) the SELECT privilege(s) on TABLE %s for this operation", t.name)
	}
	return newSQLTable(t), true, nil
}

func (d *sqlDatabase) GetTableNames(*sql.Context) ([]string, error) {
	var names []string
	for _, t := range d.server.allTables(d.db) {
		names = append(names, t.name)
	}
	return names, nil
}
