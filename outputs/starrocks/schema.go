package starrocks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// queryTimeout bounds one look at the table's description.
const queryTimeout = 20 * time.Second

// errNoTable adds nothing to the sentence that says so.
var errNoTable = errors.New("")

// describe reads the table's description through the MySQL protocol. The
// error is one sentence that says what to do.
func describe(ctx context.Context, cfg *Config) (*table, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	s := subject{cfg.Database, cfg.Table, cfg.Username}
	db, err := open(cfg)
	if err != nil {
		return nil, s.fault(cfg.QueryAddr, "the table's description cannot be read: "+reason(err), "check query_addr and query_tls")
	}
	defer db.Close() // one look, one connection
	t, err := readColumns(ctx, db, cfg)
	if err != nil {
		return nil, s.fault(cfg.QueryAddr, "the table's description cannot be read: "+queryReason(err), queryAdvice(err))
	}
	if len(t.columns) == 0 {
		return nil, fmt.Errorf("%w%w", s.fault(cfg.QueryAddr, "there is no such table, or the user may not see it", "create the table and GRANT INSERT ON it to the user, or set create_table"), errNoTable)
	}
	if faults := t.check(cfg.Columns); len(faults) > 0 {
		return nil, s.fault(cfg.QueryAddr, "the table does not fit: "+strings.Join(faults, ", "), "alter the table or correct the key columns")
	}
	return t, nil
}

// open prepares a connection with the password of this moment.
func open(cfg *Config) (*sql.DB, error) {
	password, err := cfg.Password.Read()
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", cfg.QueryAddr
	c.User, c.Passwd = cfg.Username, password
	c.Timeout, c.ReadTimeout, c.WriteTimeout = dialTimeout, queryTimeout, queryTimeout
	// StarRocks' prepared statements are younger than its MySQL protocol.
	c.InterpolateParams = true
	c.Logger = &mysql.NopLogger{}
	if cfg.QueryTLS != nil {
		host, _, err := net.SplitHostPort(cfg.QueryAddr)
		if err != nil {
			return nil, err
		}
		if c.TLS, err = cfg.QueryTLS.config(host); err != nil {
			return nil, err
		}
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// readColumns asks for the columns; none means that there is no such table.
func readColumns(ctx context.Context, db *sql.DB, cfg *Config) (*table, error) {
	rows, err := db.QueryContext(ctx, "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, IS_NULLABLE FROM information_schema.columns"+
		" WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", cfg.Database, cfg.Table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	t := &table{}
	for rows.Next() {
		var name, kind, nullable string
		var length sql.NullInt64
		if err := rows.Scan(&name, &kind, &length, &nullable); err != nil {
			return nil, err
		}
		t.columns = append(t.columns, column{name, kindOf(kind), maxText(length), strings.EqualFold(nullable, "NO")})
	}
	return t, rows.Err()
}

// kindOf reads a DATA_TYPE; StarRocks shows STRING as varchar.
func kindOf(dataType string) columnKind {
	name, _, _ := strings.Cut(strings.ToLower(dataType), "(")
	switch name {
	case "varchar", "char", "string", "text", "longtext":
		return textColumn
	case "datetime":
		return datetimeColumn
	case "json":
		return jsonColumn
	}
	return otherColumn
}

func maxText(length sql.NullInt64) int {
	if !length.Valid || length.Int64 <= 0 {
		return maxString
	}
	return int(length.Int64)
}

func queryReason(err error) string {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return fmt.Sprintf("StarRocks answers %d: %s", my.Number, (*table)(nil).clean(my.Message))
	}
	if errors.Is(err, mysql.ErrInvalidConn) {
		return "it closed the connection"
	}
	return reason(err)
}

func queryAdvice(err error) string {
	var my *mysql.MySQLError
	if errors.As(err, &my) && my.Number == 1045 { // ER_ACCESS_DENIED_ERROR
		return "check username and password"
	}
	return "check query_addr and that the frontend runs, or leave query_addr empty to take the table for the default one"
}
