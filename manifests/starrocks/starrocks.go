// Package starrocks holds the table definitions that are shipped with the
// manifests, for programs that create the tables themselves: the demo and
// tests. The files beside it are what an operator feeds to the mysql client.
// Each text begins with a USE statement; statements end with a semicolon.
package starrocks

import _ "embed" // for the SQL files

// KongLogEvents is kong_log_events.sql: the CREATE TABLE of the table that
// users of the Logging operator have, without provenance and partitions.
//
//go:embed kong_log_events.sql
var KongLogEvents string

// Recommended is kong_log_events_recommended.sql: the CREATE TABLE of the table
// under the same name that create_table makes.
//
//go:embed kong_log_events_recommended.sql
var Recommended string

// KongColumns is kong_columns.sql: one ALTER TABLE, with a column for each field
// of the filter kong.
//
//go:embed kong_columns.sql
var KongColumns string

// Kong10m is kong_10m.sql: the CREATE MATERIALIZED VIEW of ten-minute numbers
// over the table with the columns of KongColumns.
//
//go:embed kong_10m.sql
var Kong10m string
