package starrocks

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// rememberedFor is for how long StarRocks should know a label at least, at the
// rate of loads that is planned: about ten times what it takes to notice that a
// collector is gone and to start another one.
const rememberedFor = 10 * time.Minute

// care is what a table and its cluster are like, beyond what rows depend on.
type care struct {
	replicas int  // copies of each row; 0: not known
	shared   bool // shared data: the object store keeps the copies
	labels   int  // label_keep_max_num; 0: not known
}

// look finds out what it may.
func (d *destination) look(ctx context.Context) (c care) {
	_ = d.ask(ctx, func(ctx context.Context, db *sql.DB) error { // nothing depends on it
		config := question{"SELECT PROPERTIES FROM information_schema.tables_config WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", []any{d.cfg.Database, d.cfg.Table}}
		rowsOf(ctx, db, config, func(cells []string) {
			var properties struct {
				Copies string `json:"replication_num"`
			}
			if json.Unmarshal([]byte(cells[0]), &properties) == nil {
				c.replicas, _ = strconv.Atoi(properties.Copies)
			}
		})
		rowsOf(ctx, db, question{text: "ADMIN SHOW FRONTEND CONFIG"}, func(cells []string) {
			if len(cells) < 3 {
				return
			}
			switch cells[0] {
			case "run_mode":
				c.shared = cells[2] == "shared_data"
			case "label_keep_max_num":
				c.labels, _ = strconv.Atoi(cells[2])
			}
		})
		return nil
	})
	return c
}

// about reports once what the table is like, and what to mend.
func (o *Output) about(ctx context.Context, d *destination) {
	t, c := d.shape.Load().table, d.look(ctx)
	advice := d.advice(t, c)
	level := slog.LevelInfo
	if len(advice) > 0 {
		level = slog.LevelWarn
	}
	o.log.Log(ctx, level, "the table is there and its columns fit", "table", d.name(), "columns", len(t.columns),
		"provenance", t.provenance(), "replicas", c.replicas, "shared_data", c.shared, "labels_kept", c.labels, "advice", strings.Join(advice, "; "))
}

// advice is what loads can do without but somebody should know.
func (d *destination) advice(t *table, c care) (list []string) {
	if !t.provenance() {
		list = append(list, "its rows do not tell where they came from: with the columns "+topicColumn+" VARCHAR(249), "+partitionColumn+" INT and "+offsetColumn+
			" BIGINT a load of which StarRocks has forgotten the label can be told from one that never arrived, and replay works")
	}
	if c.replicas == 1 && !c.shared {
		list = append(list, "it keeps one copy of each row, which is lost with its backend: set replication_num to 3")
	}
	var missing []string
	for _, field := range []string{"stream", "logtag", "kubernetes", "kubernetes_namespace"} {
		if name := columnOf(d.cfg.Columns, field); t.find(name) == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		list = append(list, "it has no column "+strings.Join(missing, ", ")+": those fields of the records are left out")
	}
	if known := time.Duration(float64(c.labels) / d.cfg.Load.MaxPerSecond * float64(time.Second)); c.labels > 0 && known < rememberedFor {
		list = append(list, "at load.max_per_second StarRocks forgets a label after "+known.Round(time.Second).String()+": raise label_keep_max_num, or lower load.max_per_second")
	}
	return list
}
