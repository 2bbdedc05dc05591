package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// official is StarRocks' own client in Kafka Connect, as the test bed runs it:
// one task, flush at 1 s or 64 MiB, reading without TLS.
type official struct {
	topic *topic
	pid   int
}

// startOfficial starts the connector in a folder, or without one the Stream
// Load SDK under a sink that does nothing else.
func startOfficial(t *topic, s *standin, folder, name string) (*official, error) {
	// The name makes the consumer group another one each time. The SDK sends
	// more than 100 MB at once, which StarRocks wants to be told.
	env := []string{"KTB_CONNECTOR=" + folder, "KTB_WAIT=240", "KTB_JAVA=",
		"KTB_SINK=name=" + name + "-" + t.name + "\nsink.properties.ignore_json_size=true"}
	if err := t.run(env, "connect-up", t.name, database, table, "http://"+s.Leader); err != nil {
		return nil, err
	}
	pid, err := os.ReadFile(filepath.Join(os.Getenv("KTB_DIR"), "connect", "pid"))
	if err != nil {
		return nil, fmt.Errorf("find the connector's process: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		return nil, fmt.Errorf("find the connector's process: %w", err)
	}
	return &official{t, n}, nil
}

func (o *official) stop() error { return o.topic.run(nil, "connect-down") }
