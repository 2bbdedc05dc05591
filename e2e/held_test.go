package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The agent never reached Kafka, died by kill -9, and the pods were deleted,
// files, directories and all, before it came back: what it held arrives, once,
// with the metadata of the pods that are gone.
func TestWhatIsHeldSurvivesAgentAndPod(t *testing.T) {
	w := newWorld(t, newBroker(t))
	w.broker.allowAgent()
	w.broker.allowCollector()
	writeFile(t, w.path("agent.password"), "wrong")
	agent, collector := w.agent(), w.collector()
	w.write(2000)
	agent.readyWith(503, "kong/output")
	agent.eventually(func() bool { return w.held() >= containers && w.cached() }, func() string {
		return "the agent does not hold the files of its containers, or has not noted their pods"
	})
	for _, log := range w.logs {
		if err := log.Rotate(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	w.write(2000)
	agent.eventually(func() bool { return w.held() >= 2*containers }, func() string {
		return "the agent does not hold the files that were rotated"
	})
	agent.kill()
	w.deletePods()

	writeFile(t, w.path("agent.password"), agentPassword)
	agent.start()
	agent.readyWith(200)
	if v := w.arrived(); v.Repeated != 0 {
		t.Errorf("%s: %q", v, v.Samples)
	}
	agent.eventually(func() bool { return w.held() == 0 }, func() string {
		return "the agent holds files of pods that are gone and delivered"
	})
	agent.stop()
	collector.stop()
}

// held is the number of log files that the agent holds.
func (w *world) held() (n int) {
	w.Helper()
	err := filepath.WalkDir(w.path("data/kong/spool"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Dir(path) != w.path("data/kong/spool") {
			n++
		}
		return nil // it may be gone by now
	})
	if err != nil {
		w.Fatal(err)
	}
	return n
}

// cached tells whether the agent has noted the metadata of all pods.
func (w *world) cached() bool {
	data, _ := os.ReadFile(w.path("data/kube.json")) //nolint:errcheck // it may not be there yet
	return bytes.Count(data, []byte(`"kong-`)) >= containers
}

// deletePods removes the pods and everything of them.
func (w *world) deletePods() {
	w.Helper()
	for i, pod := range w.pods {
		if err := w.logs[i].Exit(time.Now(), ""); err != nil {
			w.Fatal(err)
		}
		w.api.DeletePod(pod.Namespace, pod.Name)
		if err := w.node.Delete(pod); err != nil {
			w.Fatal(err)
		}
	}
}
