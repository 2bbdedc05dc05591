package e2e

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Orderly restarts of both ends while lines flow: each line is in the table
// once.
func TestRestartsRepeatNothing(t *testing.T) {
	w := newWorld(t, newBroker(t))
	w.broker.allowAgent()
	w.broker.allowCollector()
	agent, collector := w.agent(), w.collector()
	stop := w.writeWhile(4000)
	for range 2 {
		agent.readyWith(200)
		collector.readyWith(200)
		wait(t, time.Second)
		agent.stop()
		collector.stop()
		agent.start()
		collector.start()
	}
	wait(t, time.Second)
	stop()
	if v := w.arrived(); v.Repeated != 0 {
		t.Errorf("%s: orderly restarts repeated lines: %q", v, v.Samples)
	}
	agent.stop()
	collector.stop()
}

// kill -9 of either end ten times at random moments under load: nothing is
// lost and nothing repeated.
func TestKillsLoseAndRepeatNothing(t *testing.T) {
	const (
		kills = 10
		rate  = 4000
		// Long enough to commit something as a rule.
		life, more = 1500, 1500 // milliseconds
	)
	w := newWorld(t, newBroker(t))
	w.broker.allowAgent()
	w.broker.allowCollector()
	agent, collector := w.agent(), w.collector()
	agent.readyWith(200)
	collector.readyWith(200)
	stop := w.writeWhile(rate)
	for i := range kills {
		wait(t, time.Duration(life+rand.IntN(more))*time.Millisecond)
		agent.kill()
		if i%2 == 0 {
			wait(t, time.Duration(rand.IntN(500))*time.Millisecond)
		}
		collector.kill()
		agent.start()
		collector.start()
	}
	stop()
	v := w.arrived()
	t.Logf("%d kills of agent and collector each: %s", kills, v)
	if v.Repeated != 0 {
		t.Errorf("kills repeated %d lines: %q", v.Repeated, v.Samples)
	}
	agent.stop()
	collector.stop()
}

// Trouble with the real broker: each is said in one sentence that names what
// is wrong, and once it is mended every line arrives, once.
func TestRealKafkaTroubleIsSaidAndSurvived(t *testing.T) {
	b := realBroker(t)
	w := newWorld(t, b)
	w.write(500)
	writeFile(t, w.path("agent.password"), "wrong")
	writeFile(t, w.path("collector.password"), "wrong")
	agent, collector := w.agent(), w.collector()
	agent.readyWith(503, "kong/output", `"agent"`, "password")
	collector.readyWith(503, "kong/source", `"collector"`, "password")

	// Passwords are read anew at each login.
	writeFile(t, w.path("agent.password"), agentPassword+"\n")
	writeFile(t, w.path("collector.password"), collectorPassword+"\n")
	agent.readyWith(503, "kong/output", b.topic, "Write")
	collector.readyWith(503, "kong/source", b.topic, "Read")

	b.allowAgent()
	b.allowCollector()
	agent.readyWith(200)
	collector.readyWith(200)
	stop := w.writeWhile(4000)
	wait(t, 2*time.Second)
	b.run("kill")
	agent.readyWith(503, "kong/output")
	collector.readyWith(503, "kong/source")
	wait(t, 2*time.Second)
	b.run("start")
	agent.readyWith(200)
	collector.readyWith(200)
	wait(t, 2*time.Second)
	stop()
	stockConsumer(w)
	if v := w.arrived(); v.Repeated != 0 {
		t.Errorf("%s: a restart of the broker repeated lines: %q", v, v.Samples)
	}
	agent.stop()
	collector.stop()
}

// stockConsumer reads the topic with Kafka's own console consumer.
func stockConsumer(w *world) {
	w.Helper()
	out := w.broker.run("consume", w.broker.topic, "--from-beginning", "--timeout-ms", "5000", "--isolation-level", "read_committed")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if int64(len(lines)) != w.written.Load() {
		w.Errorf("the console consumer read %d records, want %d", len(lines), w.written.Load())
	}
	for _, line := range lines {
		var record struct {
			Time       time.Time
			Kubernetes struct {
				PodName string `json:"pod_name"`
			}
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil || !strings.HasPrefix(record.Kubernetes.PodName, "kong-") || record.Time.IsZero() {
			w.Fatalf("record %.300s: %v", line, err)
		}
	}
}

// wait lets time pass in which things may go wrong; nothing is asserted about
// how long anything takes.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
