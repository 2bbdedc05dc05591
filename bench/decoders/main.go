// Decoders proves that what we compress is what others read: it has the Kafka
// output write records with each compression to a real Kafka, and clients that
// we did not write read them back, Apache Kafka's own Java client and
// librdkafka. What they read is compared with what was written, record by
// record, as sums of hashes over all of them.
//
//	go run ./bench/decoders -lines 10000000
//
// Kafka is the one that the environment names: KAFKA_CONTROL and
// BOOTSTRAP_PLAIN, as for the tests of package e2e. librdkafka is that of
// PyPI's confluent-kafka: MILLRACE_PYTHON names the Python that has it, or the
// client is left out, which is said.
//
// Lines are a gateway's under load. One in a thousand is of bytes that do not
// repeat, of a byte that only repeats, or of something between, up to 200 kB.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	"millrace/outputs/kafka"
)

// librdkafka reads a topic and prints the values, each with a newline.
//
//go:embed librdkafka.py
var librdkafka string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "decoders:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	lines := flag.Int("lines", 1_000_000, "records to write with each compression")
	compressions := flag.String("compressions", "zstd,lz4,snappy,gzip", "to write with, separated by commas")
	flag.Parse()
	control, addr := os.Getenv("KAFKA_CONTROL"), os.Getenv("BOOTSTRAP_PLAIN")
	if control == "" || addr == "" {
		return errors.New("a real Kafka is needed: set KAFKA_CONTROL and BOOTSTRAP_PLAIN")
	}
	python := os.Getenv("MILLRACE_PYTHON")
	if python == "" {
		fmt.Fprintln(os.Stdout, "librdkafka is left out: MILLRACE_PYTHON does not name a Python with confluent-kafka")
	}
	var wrong []error
	for compression := range strings.SplitSeq(*compressions, ",") {
		topic := fmt.Sprintf("decoders-%s-%08x", compression, rand.Uint32())
		if out, err := exec.CommandContext(ctx, control, "topic", topic, "4").CombinedOutput(); err != nil {
			return fmt.Errorf("create topic %q: %w\n%s", topic, err, out)
		}
		var c kafka.Config
		config.SetDefaults(&c)
		c.Conn = kafkaconn.Config{Brokers: []string{addr}}
		c.Topic, c.Compression, c.Delivery = topic, compression, kafka.AtLeastOnce
		written, err := write(ctx, &c, *lines)
		if err != nil {
			return err
		}
		count := strconv.FormatUint(written.records, 10)
		java := exec.CommandContext(ctx, control, "consume", topic, "--from-beginning", "--max-messages", count, "--timeout-ms", "60000")
		wrong = append(wrong, compare(java, compression, "Java", written))
		if python != "" {
			rdkafka := exec.CommandContext(ctx, python, "-c", librdkafka, addr, topic, count)
			wrong = append(wrong, compare(rdkafka, compression, "librdkafka", written))
		}
	}
	return errors.Join(wrong...)
}

// compare has a client read everything and tells whether it is what was
// written.
func compare(client *exec.Cmd, compression, name string, written sum) error {
	begun := time.Now()
	read, err := readBack(client)
	if err != nil {
		return fmt.Errorf("%s reads %s: %w", name, compression, err)
	}
	fmt.Fprintf(os.Stdout, "%-6s written=%d bytes=%d %s read=%d identical=%t seconds=%.0f\n",
		compression, written.records, written.bytes, name, read.records, read == written, time.Since(begun).Seconds())
	if read != written {
		return fmt.Errorf("%s does not read with %s what was written: %+v, not %+v", name, compression, read, written)
	}
	return nil
}
