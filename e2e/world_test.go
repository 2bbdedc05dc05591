package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"millrace/agent/kube/kubetest"
	"millrace/demo/audit"
	"millrace/demo/kubelet"
	"millrace/demo/traffic"
	ddl "millrace/manifests/starrocks"
	"millrace/outputs/starrocks/starrockstest"
)

const (
	containers   = 4
	nodeName     = "node-1"
	clusterUID   = "uid-of-kube-system"
	dbPassword   = "table-secret"
	maxRows      = 1000 // of a load; with it the bound on what a kill of the collector repeats
	lanes        = 2
	healthFilter = `^127\.0\.0\.1 `
)

// world is a node with some Kong pods, and everything around the two ends.
type world struct {
	*testing.T
	dir       string
	broker    *broker
	api       *kubetest.Server
	warehouse *starrockstest.Server
	book      *audit.Book
	written   atomic.Int64 // lines that have to arrive
	node      *kubelet.Node
	pods      []kubelet.Pod
	logs      []*kubelet.Container
	kongs     []*traffic.Kong
}

func newWorld(t *testing.T, b *broker) *world {
	w := &world{T: t, dir: t.TempDir(), broker: b, book: audit.NewBook()}
	var err error
	if w.api, err = kubetest.New("token"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
	if err := w.api.Kubeconfig(w.path("kubeconfig"), "token"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kube-system", "kong"} {
		w.api.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name)}})
	}
	w.warehouse, err = starrockstest.New(starrockstest.Config{
		DDL:   []string{"CREATE DATABASE quickstart;", ddl.KongLogEvents},
		Users: []starrockstest.User{{Name: "millrace", Password: dbPassword, Insert: true, Select: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.warehouse.Close() })
	w.startPods()
	writeFile(t, w.path("agent.password"), agentPassword)
	writeFile(t, w.path("collector.password"), collectorPassword)
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// startPods starts the pods, each with one container that rotates often.
func (w *world) startPods() {
	w.Helper()
	var err error
	w.node, err = kubelet.NewNode(kubelet.Config{LogDir: w.path("pods"), LinkDir: w.path("containers"), MaxSize: 256 << 10, MaxFiles: 5, Interval: time.Second})
	if err != nil {
		w.Fatal(err)
	}
	for i := range containers {
		pod := kubelet.Pod{Namespace: "kong", Name: fmt.Sprintf("kong-%d", i), UID: fmt.Sprintf("0000000%d-0000-0000-0000-000000000000", i),
			Labels: map[string]string{"app.kubernetes.io/name": "kong"}}
		log, err := w.node.Start(pod, "proxy", time.Now())
		if err != nil {
			w.Fatal(err)
		}
		w.pods, w.logs = append(w.pods, pod), append(w.logs, log)
		w.kongs = append(w.kongs, traffic.NewKong(1, uint16(i)))
		w.api.SetPod(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: types.UID(pod.UID), Labels: pod.Labels},
			Spec:       corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "proxy"}}},
			Status: corev1.PodStatus{PodIP: "10.0.0.1", ContainerStatuses: []corev1.ContainerStatus{{Name: "proxy",
				ContainerID: "containerd://" + log.ID(), Image: "kong:3.9", ImageID: "kong@sha256:0"}}},
		})
	}
}

// write has every container write n lines.
func (w *world) write(n int) {
	w.Helper()
	for i, log := range w.logs {
		lines := make([]kubelet.Line, n)
		for k := range lines {
			at := time.Now()
			l := w.kongs[i].Next(at)
			lines[k] = kubelet.Line{At: at, Stream: l.Stream, Text: l.Message}
			if l.Kind != traffic.Health {
				w.book.Enter(at, l.Stream, l.Message)
				w.written.Add(1)
			}
		}
		if err := log.Write(lines...); err != nil {
			w.Fatal(err)
		}
	}
}

// writeWhile writes about rate lines a second until stop is called.
func (w *world) writeWhile(rate int) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.write(rate / 50 / containers)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (w *world) agent() *process {
	return newProcess(w.T, "agent", fmt.Sprintf(`
data_dir: %[1]s/data
admin: ADMIN
log: {level: info, format: text}
kubernetes: {node: %[2]s, kubeconfig: %[1]s/kubeconfig, log_dir: %[1]s/pods}
pipelines:
  - name: kong
    source: {containers: {include: [{namespaces: [kong], labels: app.kubernetes.io/name=kong}]}}
    filters: [{drop: {field: message, match: '%[3]s'}}]
    output:
      kafka:
        brokers: ["%[4]s"]
        topic: %[5]s
        delivery: exactly_once
        transaction: {positions_topic: %[7]s}
        %[6]s
        sasl: {username: agent, password_file: %[1]s/agent.password}
`, w.dir, nodeName, healthFilter, w.broker.addr, w.broker.topic, w.broker.tls, w.broker.positions))
}

func (w *world) collector() *process {
	if err := os.MkdirAll(w.path("collector"), 0o755); err != nil {
		w.Fatal(err)
	}
	return newProcess(w.T, "collector", fmt.Sprintf(`
data_dir: %[1]s/collector
admin: ADMIN
log: {level: info, format: text}
pipelines:
  - name: kong
    source:
      kafka:
        brokers: ["%[2]s"]
        topic: %[3]s
        group: %[4]s
        instance_id: collector-0
        %[5]s
        sasl: {username: collector, password_file: %[1]s/collector.password}
    output:
      starrocks:
        urls: ["%[6]s"]
        query_addr: "%[7]s"
        database: quickstart
        table: kong_log_events
        username: millrace
        password: %[8]s
        load: {max_age: 500ms, max_rows: %[9]d, max_per_second: 10, concurrency: %[10]d}
`, w.dir, w.broker.addr, w.broker.topic, w.broker.group, w.broker.tls, w.warehouse.URL(), w.warehouse.MySQLAddr(), dbPassword, maxRows, lanes))
}

// arrived waits until the table has at least as many rows as lines were
// written, and compares each with its line.
func (w *world) arrived() audit.Verdict {
	w.Helper()
	rows := func() int64 { return w.warehouse.Count("quickstart", "kong_log_events") }
	last, since := rows(), time.Now()
	err := until(w.Context(), func() bool {
		n := rows()
		if n != last {
			last, since = n, time.Now()
		}
		// Repeats come on top: it is over when nothing comes any more.
		return n >= w.written.Load() && time.Since(since) > 3*time.Second
	})
	if err != nil {
		w.Errorf("%d of %d rows: %v", rows(), w.written.Load(), err)
	}
	a := w.book.Audit()
	for row := range w.warehouse.Rows("quickstart", "kong_log_events") {
		a.Row(audit.Row{Time: row.Get("time").(time.Time), KST: row.Get("kst_time").(time.Time), Stream: row.Get("stream").(string), Message: row.Get("message").(string)})
	}
	v := a.Verdict()
	w.Log(v)
	if v.Lost+v.Unexpected+v.WrongTime+v.WrongKST != 0 {
		w.Errorf("%s unexpected=%d wrong time=%d wrong kst_time=%d\n%q", v, v.Unexpected, v.WrongTime, v.WrongKST, v.Samples)
	}
	return v
}
