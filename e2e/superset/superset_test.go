package superset

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"millrace/demo/traffic"
)

var update = flag.Bool("update", false, "write testdata/queries and the picture in docs anew")

// datasets are the choices of the bundle.
var datasets = []string{"message", "typed", "aggregate"}

const picture = "../../docs/pictures/superset.png"

// superset is a script that runs Superset, for one StarRocks.
type superset struct{ script, database string }

func (s superset) run(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.script, args...)
	cmd.Env = append(os.Environ(), "SUPERSET_DB_URI="+s.database, "SHOT_HEIGHT=1850")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("%s %q: %v", s.script, args, err)
	}
}

// bundle makes the archive as make superset-bundle does.
func (s superset) bundle(t *testing.T, dataset string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), dataset+".zip")
	cmd := exec.CommandContext(t.Context(), "go", "run", "../../manifests/superset", "-dataset", dataset, "-database", s.database, "-o", name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

// day is the day of the dashboard's users that a moment is in.
func day(at time.Time) (since, until time.Time) {
	y, m, d := at.In(traffic.Zone).Date()
	since = time.Date(y, m, d, 0, 0, 0, 0, traffic.Zone)
	return since, since.AddDate(0, 0, 1)
}

// around are lines of the end of yesterday, of today, of tomorrow and of the
// beginning of the day after it: what is not of today must not be counted,
// and a test may run over midnight.
func around(now time.Time, n int) []line {
	since, until := day(now)
	return written(since.Add(-2*time.Hour), until.Add(26*time.Hour), n)
}

// TestSuperset imports the bundle with each data set, and has each chart
// answered for the current day.
func TestSuperset(t *testing.T) {
	s := superset{script: os.Getenv("SUPERSET_CHECK")}
	if s.script == "" {
		t.Skip("a real Superset: SUPERSET_CHECK names no script that runs it")
	}
	lines := around(time.Now(), 40_000)
	s.database = "starrocks://root@" + stand(t, lines).MySQLAddr() + "/default_catalog.quickstart"
	s.run(t, "up")
	t.Cleanup(func() { s.run(t, "down") })
	for _, dataset := range datasets {
		t.Run(dataset, func(t *testing.T) {
			s.run(t, "import", s.bundle(t, dataset))
			charts, since, until := s.ask(t)
			want := answers(requests(lines, since, until), dataset == "aggregate")
			for name, rows := range want {
				compare(t, name, charts[name].table(t, name), rows)
			}
			checkQueries(t, dataset, charts, since)
			if dataset == "message" {
				s.shoot(t)
			}
		})
	}
}

// ask gives what all charts answer, and of which day.
func (s superset) ask(t *testing.T) (charts map[string]chart, since, until time.Time) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "charts.json")
	for {
		since, until = day(time.Now())
		s.run(t, "check", out)
		if again, _ := day(time.Now()); again.Equal(since) {
			return readCharts(t, out), since, until
		}
	}
}

// shoot has a browser draw the dashboard; the script fails if a chart does.
func (s superset) shoot(t *testing.T) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "superset.png")
	if *update {
		name = picture
	}
	s.run(t, "shot", name)
}
