package collector

import (
	"strings"
	"testing"
	"time"

	"millrace/internal/config"
)

func decode(text string) (*Config, error) {
	f, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	c := new(Config)
	return c, f.Decode(c)
}

const leastYAML = `
pipelines:
  - name: kong
    source: {kafka: {brokers: [kafka-0.kafka:9093], topic: logging.kong, group: millrace-kong}}
    output:
      starrocks:
        urls: [http://starrocks-fe:8030]
        database: quickstart
        table: kong_log_events
        username: millrace
        password_file: /etc/millrace/starrocks-password
`

func TestDefaults(t *testing.T) {
	c, err := decode(leastYAML)
	if err != nil {
		t.Fatal(err)
	}
	load := c.Pipelines[0].Output.StarRocks.Load
	if c.DataDir != "/var/lib/millrace" || c.MemoryLimit != 512*config.MiB || c.Admin != ":9600" || c.Drain != 20*time.Second {
		t.Errorf("the process: %+v", c)
	}
	if load.MaxBytes != 64*config.MiB || load.MaxRows != 500000 || load.MaxAge != 2*time.Second || load.MaxPerSecond != 1 || load.Concurrency != 2 || load.OnUnknown != "stop" {
		t.Errorf("the load: %+v", load)
	}
	if at := c.Pipelines[0].Source.Kafka.StartAt; at != "beginning" {
		t.Errorf("start_at: %s", at)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"pipelines:", "memory_limit: 49MiB\npipelines:", "memory_limit: is too small"},
		{"username: millrace", "username: millrace\n        load: {concurrency: 64, max_bytes: 1MiB}", ""},
		{"username: millrace", "username: millrace\n        load: {concurrency: 65}", "load.concurrency: must be between 1 and 64"},
		{"logging.kong", `""`, "pipelines[0].source.kafka.topic: must not be empty"},
		{"group: millrace-kong", "group: g, start_at: now", "pipelines[0].source.kafka.start_at: must be beginning or end"},
		{"http://starrocks-fe:8030", "starrocks-fe:8030", "pipelines[0].output.starrocks.urls[0]: must be the address of a frontend"},
		{"http://starrocks-fe:8030", "http://u:p@starrocks-fe:8030", "pipelines[0].output.starrocks.urls[0]: must be the address of a frontend"},
		{"kong_log_events", "kong-log", "pipelines[0].output.starrocks.table: must be letters, digits and _"},
		{"username: millrace", "username: millrace\n        query_addr: starrocks", "pipelines[0].output.starrocks.query_addr: must be host:port"},
		{"username: millrace", "username: millrace\n        create_table: true", "pipelines[0].output.starrocks.create_table: needs query_addr"},
		{"username: millrace", "username: millrace\n        compression: snappy", "pipelines[0].output.starrocks.compression: must be none, lz4, zstd or gzip"},
		{"username: millrace", "username: millrace\n        dead_letter: {}", "pipelines[0].output.starrocks.dead_letter.topic: must not be empty"},
		{"username: millrace", "username: millrace\n        load: {max_bytes: 100MiB}", "load.max_bytes: must be between 64KiB and 80MiB"},
		{"username: millrace", "username: millrace\n        load: {max_per_second: 0}", "load.max_per_second: must be more than 0"},
		{"username: millrace", "username: millrace\n        load: {on_unknown: skip}", "load.on_unknown: must be stop or resend"},
		{"username: millrace", "username: millrace\n        columns: {level: kafka_offset}", "must not be kafka_offset"},
		{"username: millrace", "username: millrace\n        columns: {a: x, b: x}", "must not be x: a goes there already"},
		{"username: millrace", "username: millrace\n        columns: {'a..b': x}", "must be the path of a field"},
		{"starrocks:", "kafka:", "pipelines[0].output.kafka"},
	} {
		_, err := decode(strings.Replace(leastYAML, c.old, c.new, 1))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v\nwant %s", c.new, err, c.want)
		}
	}
}

func TestMemoryDecidesHowManyLoadsMayRun(t *testing.T) {
	text := strings.Replace(leastYAML, "username: millrace", "username: millrace\n        load: {concurrency: 16}", 1)
	_, err := decode("memory_limit: 64MiB\n" + text)
	if err == nil || !strings.Contains(err.Error(), "pipelines[0].output.starrocks.load.concurrency: is too much for memory_limit") {
		t.Error(err)
	}
	if _, err := decode("memory_limit: 128MiB\n" + text); err != nil {
		t.Error(err)
	}
}

// Two pipelines of one group and topic would share its partitions between two
// tables.
func TestOneGroupForTwoPipelines(t *testing.T) {
	second := strings.Replace(pipelinesOf(leastYAML), "name: kong", "name: other", 1)
	_, err := decode(leastYAML + second)
	if err == nil || !strings.Contains(err.Error(), "pipelines[1].source.kafka.group: must not be that of pipeline kong") {
		t.Error(err)
	}
}

// What batches and fetches may hold fits into the limit, with room for what
// the garbage collector has not collected yet.
func TestMemoryShares(t *testing.T) {
	for _, c := range []struct{ limit, pipelines, lanes int }{{64 << 20, 1, 1}, {512 << 20, 1, 2}, {512 << 20, 3, 2}, {4 << 30, 1, 64}} {
		m := shareMemory(c.limit, c.pipelines, c.lanes)
		if m.batch < minBatch {
			continue // the configuration is refused
		}
		live := c.pipelines * (3*c.lanes*m.batch + concurrentFetches*ratio*m.fetch)
		if live+baseMemory > c.limit || m.fetchPartition > m.fetch {
			t.Errorf("%+v: %d bytes live: %+v", c, live, m)
		}
	}
}
