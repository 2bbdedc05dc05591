package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/outputs/kafka"
)

var (
	atHome = ownerName{Cluster: "c1", Node: "worker-07", Pipeline: "kong"}
	there  = kafka.Place{ClusterID: "kafka-1", Topic: "millrace.positions", TopicID: "t1", Partition: 7}
)

func mustOpen(t *testing.T, dir string) *owner {
	t.Helper()
	o, err := openOwner(dir)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The positions in data_dir count until Kafka has them, and again after a
// time of at_least_once.
func TestOwnerSaysWhichPositionsCount(t *testing.T) {
	dir := t.TempDir()
	first := mustOpen(t, dir)
	if l := first.life(atHome); !l.Adopt || l.Former != nil || l.Disk == "" || l.TransactionalID != "millrace-c1-worker-07-kong" || l.Key != "c1/worker-07/kong" {
		t.Errorf("at the first start: %+v", l)
	}
	must(t, first.commission(atHome, there))
	if l := mustOpen(t, dir).life(atHome); l.Adopt || l.Former != nil || l.Place != there || l.Disk != first.Disk {
		t.Errorf("after the first transaction: %+v", l)
	}
	must(t, mustOpen(t, dir).leaveKafka())
	if l := mustOpen(t, dir).life(atHome); !l.Adopt {
		t.Errorf("after at_least_once: %+v", l)
	}
}

func TestOwnerIsRenamed(t *testing.T) {
	dir := t.TempDir()
	must(t, mustOpen(t, dir).commission(atHome, there))
	renamed := ownerName{Cluster: "c1", Node: "worker-08", Pipeline: "kong"}
	l := mustOpen(t, dir).life(renamed)
	want := kafka.Former{TransactionalID: "millrace-c1-worker-07-kong", Key: "c1/worker-07/kong", Place: there}
	if l.Adopt || l.Former == nil || *l.Former != want || l.Key != "c1/worker-08/kong" {
		t.Errorf("renamed node: %+v, former %+v", l, l.Former)
	}
	must(t, mustOpen(t, dir).commission(renamed, there))
	if l := mustOpen(t, dir).life(renamed); l.Former != nil {
		t.Errorf("former name after the new one was committed: %+v", l.Former)
	}
}

func TestOwnerFileIsRefused(t *testing.T) {
	for content, want := range map[string]string{
		`{"version":2,"disk":"d"}`: "versions up to 1",
		`{"version":1`:             "restore the file",
		`{"version":1}`:            "disk is missing",
		``:                         "restore the file",
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "owner.json"), []byte(content), 0o644))
		if _, err := openOwner(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

// positionsOf makes the directory of a pipeline that has positions.
func positionsOf(t *testing.T, c *Config, pipeline string) {
	t.Helper()
	dir := filepath.Join(c.DataDir, pipeline)
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "positions.json"), []byte(pipeline), 0o644))
}

func claim(t *testing.T, c *Config, pipelines ...PipelineConfig) map[int]error {
	t.Helper()
	c.Pipelines = pipelines
	troubles, err := c.claimDirs()
	must(t, err)
	return troubles
}

func TestRenamedPipeline(t *testing.T) {
	named := func(name string) PipelineConfig { return PipelineConfig{Name: name} }
	t.Run("new among old ones", func(t *testing.T) {
		c := &Config{DataDir: t.TempDir()}
		positionsOf(t, c, "kong")
		if troubles := claim(t, c, named("kong"), named("other")); len(troubles) > 0 {
			t.Error(troubles)
		}
	})
	t.Run("without a word it stops", func(t *testing.T) {
		c := &Config{DataDir: t.TempDir()}
		positionsOf(t, c, "kong")
		troubles := claim(t, c, named("gateway"))
		if err := troubles[0]; err == nil || !strings.Contains(err.Error(), "previous_name: kong") {
			t.Errorf("trouble: %v", err)
		}
	})
	t.Run("with its previous name it goes on", func(t *testing.T) {
		c := &Config{DataDir: t.TempDir()}
		positionsOf(t, c, "kong")
		for range 2 { // the second start finds it done
			if troubles := claim(t, c, PipelineConfig{Name: "gateway", PreviousName: "kong"}); len(troubles) > 0 {
				t.Error(troubles)
			}
		}
		if got, err := os.ReadFile(filepath.Join(c.DataDir, "gateway", "positions.json")); err != nil || string(got) != "kong" {
			t.Errorf("positions: %q, %v", got, err)
		}
	})
	t.Run("one that was taken out before is no question", func(t *testing.T) {
		c := &Config{DataDir: t.TempDir()}
		positionsOf(t, c, "kong")
		positionsOf(t, c, "other")
		claim(t, c, named("other"))
		if troubles := claim(t, c, named("other"), named("gateway")); len(troubles) > 0 {
			t.Error(troubles)
		}
		// Back in, it goes on where it was, and out again it is a question.
		claim(t, c, named("other"), named("kong"))
		if c.has("kong", retiredName) {
			t.Error("kong is configured and still marked as taken out")
		}
	})
}
