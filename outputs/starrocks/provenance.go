package starrocks

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Range is a run of offsets of one partition: from Start to before End.
type Range struct {
	Name       string // of the partition's account, topic[partition]
	TopicID    string // as in pipeline.Origin
	Partition  int32
	Start, End int64
}

// provenance says whether rows of the table tell where they came from.
func (t *table) provenance() bool {
	return !t.assumed && t.find(topicColumn) != nil && t.find(partitionColumn) != nil && t.find(offsetColumn) != nil
}

// holds says whether the table holds a row of any of the ranges. Loads are
// atomic, so a row of a load means all of it. The error is one sentence.
func (d *destination) holds(ctx context.Context, ranges []Range) (bool, error) {
	var conditions []string
	var args []any
	for _, r := range ranges {
		if r.End > r.Start {
			conditions = append(conditions, "("+topicColumn+" = ? AND "+partitionColumn+" = ? AND "+offsetColumn+" >= ? AND "+offsetColumn+" < ?)")
			args = append(args, r.TopicID, r.Partition, r.Start, r.End)
		}
	}
	if len(conditions) == 0 {
		return false, nil
	}
	n := 0
	err := d.ask(ctx, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT "+offsetColumn+" FROM "+d.name()+
			" WHERE "+strings.Join(conditions, " OR ")+" LIMIT 1) AS found", args...).Scan(&n)
	})
	return n > 0, err
}

// Highest is the highest offset from start on of a partition's rows in the table
// that loads go to now; found is false when there is none, or when its rows do
// not tell. It waits for the table's description. The error is one sentence.
func (o *Output) Highest(ctx context.Context, topicID string, partition int32, start int64) (offset int64, found bool, err error) {
	d := o.main
	select {
	case <-d.described:
	case <-ctx.Done():
		return 0, false, context.Cause(ctx)
	}
	if !d.shape.Load().table.provenance() {
		return 0, false, nil
	}
	var highest sql.NullInt64
	err = d.ask(ctx, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT MAX("+offsetColumn+") FROM "+d.name()+
			" WHERE "+topicColumn+" = ? AND "+partitionColumn+" = ? AND "+offsetColumn+" >= ?", topicID, partition, start).Scan(&highest)
	})
	return highest.Int64, highest.Valid, err
}

// Provenance says whether rows of the table that loads go to now tell where they
// came from. It waits for the table's description; the error is that of ctx.
func (o *Output) Provenance(ctx context.Context) (bool, error) {
	select {
	case <-o.main.described:
		return o.main.shape.Load().table.provenance(), nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// Present are those of some offsets of a partition whose rows are in the table
// that loads go to now. The error is one sentence.
func (o *Output) Present(ctx context.Context, topicID string, partition int32, offsets []int64) (map[int64]bool, error) {
	present := map[int64]bool{}
	args := []any{topicID, partition}
	for _, at := range offsets {
		args = append(args, at)
	}
	err := o.main.ask(ctx, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT "+offsetColumn+" FROM "+o.main.name()+" WHERE "+topicColumn+" = ? AND "+partitionColumn+" = ? AND "+
			offsetColumn+" IN (?"+strings.Repeat(", ?", len(offsets)-1)+")", args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at int64
			if err := rows.Scan(&at); err != nil {
				return err
			}
			present[at] = true
		}
		return rows.Err()
	})
	return present, err
}

// name is the table's, which holds nothing that needs quoting (identifier).
func (d *destination) name() string { return d.cfg.Database + "." + d.cfg.Table }

// ask runs queries over the MySQL protocol.
func (d *destination) ask(ctx context.Context, query func(context.Context, *sql.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	db, err := open(d.cfg)
	if err == nil {
		defer db.Close() // questions are rare, a connection each
		err = query(ctx, db)
	}
	if err == nil {
		return nil
	}
	return d.remote.fault(d.cfg.QueryAddr, "the table cannot be asked for rows: "+queryReason(err), fmt.Sprintf("check query_addr, query_tls and GRANT SELECT ON %s", d.name()))
}
