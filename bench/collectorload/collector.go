package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"

	"millrace/bench/process"
)

const (
	database = "quickstart"
	table    = "kong_log_events"
	user     = "bench"
	password = "collector-secret" // in Kafka and in StarRocks
)

// collector is a `millrace collector` that is measured.
type collector struct {
	*process.Process
	admin string
}

// setting is what of its configuration differs between measurements.
type setting struct {
	memory      string // memory_limit; empty: the default
	load        string // of section load, in YAML's flow style
	compression string
	url         string // of the frontend; empty: the stand-in's
}

// startCollector starts a collector of a group of its own: exactly once, from
// TLS with SCRAM-SHA-512, into the recommended table, whose provenance columns
// it finds.
func (b *bench) startCollector(set setting) (*collector, error) {
	admin, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	url := set.url
	if url == "" {
		url = "http://" + b.end.Leader
	}
	text := fmt.Sprintf(`
data_dir: %s/data
admin: "%s"
pipelines:
  - name: kong
    source:
      kafka:
        brokers: ["%s"]
        topic: %s
        group: bench-%08x
        tls: {ca_file: "%s"}
        sasl: {mechanism: SCRAM-SHA-512, username: collector, password_file: %[1]s/password}
    output:
      starrocks:
        urls: ["%[7]s"]
        database: %s
        table: %s
        username: %[10]s
        password_file: %[1]s/password
        query_addr: "%[11]s"
        load: {%[12]s}
`, b.dir, admin, os.Getenv("BOOTSTRAP_SASL"), b.topic.name, rand.Uint32(), os.Getenv("KAFKA_CA"), url, database, table, user, b.end.MySQL, set.load)
	if set.compression != "" {
		text += "        compression: " + set.compression + "\n"
	}
	if set.memory != "" {
		text += "memory_limit: " + set.memory + "\n"
	}
	for name, content := range map[string]string{"password": password, "collector.yaml": text} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("write the collector's configuration: %w", err)
		}
	}
	p, err := process.Start(filepath.Join(b.dir, "collector.log"), nil, b.program, "collector", "-config", filepath.Join(b.dir, "collector.yaml"))
	if err != nil {
		return nil, err
	}
	return &collector{p, "http://" + admin}, nil
}

// profile keeps a profile of the collector's next seconds.
func (c *collector) profile(file string, seconds int) error {
	return get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", c.admin, seconds), func(body io.Reader) error {
		f, err := os.Create(file)
		if err != nil {
			return fmt.Errorf("keep a profile: %w", err)
		}
		defer f.Close()
		_, err = io.Copy(f, body)
		return err
	})
}

// get asks an address; read has the body of a good answer.
func get(url string, read func(io.Reader) error) error {
	answer, err := http.Get(url) //nolint:gosec,noctx // our own processes; they answer at once or are gone
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: %s", url, answer.Status)
	}
	if err := read(answer.Body); err != nil {
		return fmt.Errorf("read what %s answers: %w", url, err)
	}
	return nil
}
