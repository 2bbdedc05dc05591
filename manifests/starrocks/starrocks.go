// Package starrocks holds the table definitions that are shipped with the
// manifests, for programs that create the tables themselves: the demo and
// tests. The files beside it are what an operator feeds to the mysql client.
package starrocks

import _ "embed" // for the SQL files

// KongLogEvents is kong_log_events.sql: a USE statement and the CREATE TABLE
// of the table that Kong's log lines land in, each ended by a semicolon.
//
//go:embed kong_log_events.sql
var KongLogEvents string
