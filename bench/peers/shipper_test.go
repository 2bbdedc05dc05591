package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func shipperNamed(t *testing.T, name string) *shipper {
	t.Helper()
	all, err := shippers(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no shipper %s", name)
	return nil
}

// Every shipper's files can be written for every row, with and without a
// listener for certificates.
func TestFilesOfShippers(t *testing.T) {
	for _, name := range []string{"millrace", "rsyslog", "fluent-bit"} {
		s := shipperNamed(t, name)
		for _, row := range allRows {
			for _, listener := range []string{"", "localhost:9094"} {
				d := &data{Program: "/bin/it", Dir: t.TempDir(), Row: row, Mode: s.Modes[0], Compression: "zstd", Brokers: "localhost:9093", TLSBrokers: listener, TimeWidth: timeWidth,
					Containers: []target{{Pod: "pod-1", Metadata: `"kubernetes":{"pod_name":"pod-1"}`}}}
				argv, err := s.prepare(d)
				if err != nil || argv[0] != "/bin/it" {
					t.Fatalf("%s: %q, %v", name, argv, err)
				}
				for file := range s.Files {
					text, err := os.ReadFile(filepath.Join(d.Dir, file))
					if err != nil || strings.Contains(string(text), "<no value>") {
						t.Errorf("%s: %v\n%s", file, err, text)
					}
					if strings.HasSuffix(file, ".yaml") && yaml.Unmarshal(text, new(any)) != nil {
						t.Errorf("%s is no YAML:\n%s", file, text)
					}
					if file == "rsyslog.conf" && !strings.Contains(string(text), `tag="\"kubernetes\":{\"pod_name\":\"pod-1\"}"`) {
						t.Errorf("%s has no metadata:\n%s", file, text)
					}
				}
			}
		}
	}
}

func TestShipperOfTheUser(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "mine.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := "name: rsyslog\nprogram: no-such-program\ninstall: make it\nmodes: [at_least_once]\ncommand: [x]\n"
	all, err := shippers([]string{write(good)})
	if err != nil || all[0].Name != "millrace" || all[len(all)-1].Program != "no-such-program" || len(all) != 3 {
		t.Fatalf("%d shippers, %v: want the user's rsyslog in place of ours, and Millrace first", len(all), err)
	}
	if err := all[2].find(nil); err == nil || !strings.Contains(err.Error(), "make it") {
		t.Errorf("a missing program: %v", err)
	}
	if err := all[2].find(map[string]string{"rsyslog": "/bin/sh"}); err != nil || all[2].path != "/bin/sh" {
		t.Errorf("a named program: %v, %s", err, all[2].path)
	}
	for _, bad := range []string{"name: x\n", good + "comand: [y]\n"} {
		if _, err := shippers([]string{write(bad)}); err == nil {
			t.Errorf("accepted:\n%s", bad)
		}
	}
}

// A workload that is used again has the lines it had when it was made.
func TestWorkloadIsUsedAgain(t *testing.T) {
	dir := t.TempDir()
	first, err := static(context.Background(), dir, 5000, 4)
	if err != nil {
		t.Fatal(err)
	}
	again, err := static(context.Background(), dir, 5000, 4)
	if err != nil {
		t.Fatal(err)
	}
	for n, sum := range first.ledger.sums {
		if sum == 0 || again.ledger.sums[n] != sum {
			t.Fatalf("line %d is %x, then %x", n, sum, again.ledger.sums[n])
		}
	}
	if first.sources[3].ID != again.sources[3].ID || len(again.sources[3].ID) != 64 {
		t.Errorf("identifier %s, then %s", first.sources[3].ID, again.sources[3].ID)
	}
	file := filepath.Join(first.pods(), first.sources[0].pod.Dir(), container, "0.log")
	if err := os.Truncate(file, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := static(context.Background(), dir, 5000, 4); err == nil {
		t.Error("a workload that lost lines was used")
	}
}

func TestMedianAndSpread(t *testing.T) {
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("median %v", got)
	}
	if got := spread("%.0f", []float64{9, 1, 5}); got != "5 (1-9)" {
		t.Errorf("spread %q", got)
	}
}
