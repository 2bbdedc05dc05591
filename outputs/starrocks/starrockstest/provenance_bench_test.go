package starrockstest

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkProvenance asks for a range of offsets that is not there, as a
// loader does before it sends a plan again whose label is forgotten.
func BenchmarkProvenance(b *testing.B) {
	const loads, rows = 200, 5000
	s, err := New(Config{DDL: []string{"CREATE DATABASE d; USE d; CREATE TABLE t (message STRING, kafka_topic VARCHAR(64), kafka_partition INT, kafka_offset BIGINT) DUPLICATE KEY(message);"}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	_, t, err := s.find("d", "t")
	if err != nil {
		b.Fatal(err)
	}
	for l := range loads {
		var body strings.Builder
		for i := range rows {
			fmt.Fprintf(&body, `{"message":"m","kafka_topic":"a","kafka_partition":%d,"kafka_offset":%d}`, l%8, l/8*rows+i)
		}
		batch := newRowBatch(t, t.snapshot().columns, 1, "l")
		if _, err := (&loadPlan{}).scan([]byte(body.String()), batch, &loadResult{}); err != nil {
			b.Fatal(err)
		}
		batch.cut()
		t.publish(batch.out)
	}
	c, err := sql.Open("mysql", s.DSN("root", "", "d"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		var n int
		if err := c.QueryRow("SELECT COUNT(*) FROM (SELECT kafka_offset FROM d.t WHERE (kafka_topic = ? AND kafka_partition = ? AND kafka_offset >= ? AND kafka_offset < ?)"+
			" OR (kafka_topic = ? AND kafka_partition = ? AND kafka_offset >= ? AND kafka_offset < ?) LIMIT 1) AS found", "a", 3, 1<<30, 1<<31, "a", 4, 1<<30, 1<<31).Scan(&n); err != nil || n != 0 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(loads*rows, "rows")
}
