package starrocks

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// recommended is the table that create_table makes, for the fields of a record
// as the agent writes it: a partition a day of which two weeks are kept, three
// copies, rows spread over the buckets in turn, columns that tell where each row
// came from, and Korean time and namespace as the dashboards ask for them
// (expression_partitioning.md, generated_columns.md; StarRocks 3.1 and later).
// With no columns mapped it is manifests/starrocks/kong_log_events_recommended.sql.
func recommended(cfg *Config) string {
	var columns []string
	taken := map[string]bool{}
	add := func(name, kind string) {
		if !taken[name] {
			taken[name] = true
			columns = append(columns, "    `"+name+"` "+kind)
		}
	}
	field := func(name, kind string) { add(columnOf(cfg.Columns, name), kind) }
	field(timeField, "DATETIME NOT NULL")
	field("stream", "VARCHAR(32)")
	field("logtag", "VARCHAR(64)")
	field("message", "VARCHAR(1048576)")
	field("kubernetes", "JSON")
	field("kubernetes_namespace", "JSON")
	for _, name := range sortedKeys(cfg.Columns) {
		field(name, "VARCHAR(65533)")
	}
	add(truncatedColumn, "BOOLEAN")
	add(topicColumn, "VARCHAR(249)")
	add(partitionColumn, "INT")
	add(offsetColumn, "BIGINT")
	at := columnOf(cfg.Columns, timeField)
	add("kst_time", "DATETIME AS convert_tz(`"+at+"`, 'UTC', 'Asia/Seoul')")
	add("ns", "VARCHAR(256) AS get_json_string(`"+columnOf(cfg.Columns, "kubernetes")+"`, '$.namespace_name')")
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS `%s`.`%s` (\n%s\n) ENGINE = OLAP\nDUPLICATE KEY(`%s`)\n"+
		"PARTITION BY date_trunc('day', `%s`)\nDISTRIBUTED BY RANDOM\n"+
		`PROPERTIES ("replication_num" = "3", "partition_live_number" = "14", "bloom_filter_columns" = "ns")`,
		cfg.Database, cfg.Table, strings.Join(columns, ",\n"), at, at)
}

// create makes the table. The error is one sentence.
func (d *destination) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	db, err := open(d.cfg)
	if err == nil {
		defer db.Close() // once
		_, err = db.ExecContext(ctx, recommended(d.cfg))
	}
	if err == nil {
		return nil
	}
	return d.remote.fault(d.cfg.QueryAddr, "the table cannot be created: "+queryReason(err),
		"create the database and GRANT CREATE TABLE ON it to the user, or create the table by hand (with fewer than three backends, that is the way to fewer copies) and set create_table to false")
}

// question is a query and what goes into its placeholders.
type question struct {
	text string
	args []any
}

// rowsOf runs a query and calls row for each of its rows with the columns as
// texts. Servers that do not know the question, or users that may not ask it,
// are no error: there is no row then.
func rowsOf(ctx context.Context, db *sql.DB, q question, row func([]string)) {
	rows, err := db.QueryContext(ctx, q.text, q.args...)
	if err != nil {
		return
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return
	}
	for rows.Next() {
		cells := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if rows.Scan(into...) != nil {
			return
		}
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = c.String
		}
		row(texts)
	}
}
