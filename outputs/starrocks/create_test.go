package starrocks

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	ddl "millrace/manifests/starrocks"
	"millrace/outputs/starrocks/starrockstest"
)

// Whoever creates the table by hand and whoever leaves it to the collector get
// the same one.
func TestRecommendedTableIsTheManifests(t *testing.T) {
	var shipped []string
	for l := range strings.Lines(ddl.Recommended) {
		if !strings.HasPrefix(l, "--") && l != "USE quickstart;\n" {
			shipped = append(shipped, l)
		}
	}
	made := strings.Replace(recommended(&Config{Database: "quickstart", Table: "kong_log_events"}), "`quickstart`.", "", 1) + ";\n"
	if want := strings.Join(shipped, ""); made != want {
		t.Errorf("create_table makes\n%s\nthe manifest is\n%s", made, want)
	}
}

func TestCreateTable(t *testing.T) {
	r := newRig(t, func(c *starrockstest.Config) {
		c.DDL = []string{"CREATE DATABASE quickstart"}
		c.Users[0].Admin = true
	}, func(o *Options, _ *starrockstest.Server) {
		o.Config.CreateTable = true
		o.Config.Columns = map[string]string{"kubernetes": "k8s", "kubernetes.pod_name": "pod", "message": "text"}
	})
	r.delivered(r.write(`{"time":"2026-08-21T08:15:30Z","message":"one","kubernetes":{"pod_name":"kong-1","namespace_name":"kong"}}`))
	want := []string{"2026-08-21 08:15:30 +0000 UTC|2026-08-21 17:15:30 +0000 UTC|one|kong-1|kong|" + testTopicID + "|0|0"}
	if got := r.rows("time", "kst_time", "text", "pod", "ns", "kafka_topic_id", "kafka_partition", "kafka_offset"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A user that may not create it: it is said, and mended without a restart.
func TestCreateTableWithoutTheRight(t *testing.T) {
	r := newRig(t, func(c *starrockstest.Config) { c.DDL = []string{"CREATE DATABASE quickstart"} },
		func(o *Options, _ *starrockstest.Server) { o.Config.CreateTable = true })
	done := r.write(line("one"))
	r.reported("the table cannot be created", "GRANT CREATE TABLE")
	if err := r.srv.Exec("quickstart", createTable(testDDL)); err != nil {
		t.Fatal(err)
	}
	r.delivered(done)
}

// logLines is a log that a test can read.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) has(fragment string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), fragment)
}

func TestReportAboutTheTable(t *testing.T) {
	const good = "CREATE DATABASE quickstart; USE quickstart; CREATE TABLE kong_log_events (time DATETIME, stream STRING, logtag STRING, message STRING, kubernetes JSON, kubernetes_namespace JSON, " +
		"kafka_topic_id STRING, kafka_partition INT, kafka_offset BIGINT) DUPLICATE KEY(time) DISTRIBUTED BY RANDOM PROPERTIES (\"replication_num\" = \"%d\")"
	for name, c := range map[string]struct {
		ddl       string
		perSecond float64
		says      string
	}{
		"all is well":      {fmt.Sprintf(good, 3), 1, `provenance=true replicas=3 shared_data=false labels_kept=1000 advice=""`},
		"one copy":         {fmt.Sprintf(good, 1), 1, "set replication_num to 3"},
		"no provenance":    {strings.Replace(fmt.Sprintf(good, 3), "kafka_topic_id STRING, ", "", 1), 1, "do not tell where they came from"},
		"a field is lost":  {strings.Replace(fmt.Sprintf(good, 3), "logtag STRING, ", "", 1), 1, "it has no column logtag"},
		"labels forgotten": {fmt.Sprintf(good, 3), 10, "forgets a label after 1m40s"},
	} {
		t.Run(name, func(t *testing.T) {
			var lines logLines
			newRig(t, func(sc *starrockstest.Config) { sc.DDL = []string{c.ddl} }, func(o *Options, _ *starrockstest.Server) {
				o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
				o.Config.Load.MaxPerSecond = c.perSecond
			})
			eventually(t, func() string { return "a report with " + c.says + " in " + lines.text.String() }, func() bool { return lines.has(c.says) })
		})
	}
}
