package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"millrace/agent/kube/kubetest"
	"millrace/demo/kubelet"
	"millrace/demo/traffic"
	"millrace/internal/kafkaconn/kafkatest"
)

const (
	nodeName = "worker-07"
	topic    = "logging.kong"
	password = "agent-secret"
	// rotateAt is smaller than kubelet's 10 MiB, so that a run of ten minutes
	// has each busy container rotate several times.
	rotateAt = 4 << 20
	// pace is how often the writer looks what is due.
	pace = 10 * time.Millisecond
)

// world is a node and what is around it.
type world struct {
	*scenario
	dir    string
	broker *kafkatest.Broker // nil: a real one
	kafka  string            // the YAML of the output
	api    *kubetest.Server

	node *kubelet.Node
	pods []*pod
	// writers are the pods that are written to in turn.
	writers []*pod
	// written counts the lines of selected pods, a long one once.
	written atomic.Int64
}

// pod is a pod with one container.
type pod struct {
	selected bool
	log      *kubelet.Container
	lines    *traffic.Kong
}

// newWorld starts everything but the agent.
func newWorld(s *scenario) (w *world, err error) {
	dir, err := os.MkdirTemp("", "millrace-agentload-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	w = &world{scenario: s, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if err = w.startKafka(); err != nil {
		return w, err
	}
	if w.api, err = kubetest.New("token"); err != nil {
		return w, err
	}
	if err = w.api.Kubeconfig(filepath.Join(dir, "kubeconfig"), "token"); err != nil {
		return w, err
	}
	for _, name := range []string{"kube-system", "kong", "shop"} {
		w.api.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name),
			Labels: map[string]string{"kubernetes.io/metadata.name": name}}})
	}
	w.node, err = kubelet.NewNode(kubelet.Config{LogDir: filepath.Join(dir, "pods"), LinkDir: filepath.Join(dir, "containers"), MaxSize: s.rotateAt, MaxFiles: 5, Interval: 10 * time.Second})
	if err != nil {
		return w, err
	}
	for i := range s.selected + s.others {
		if err = w.addPod(i); err != nil {
			return w, err
		}
	}
	for i := range s.elsewhere {
		p := describe(s.selected + s.others + i)
		object := apiPod(&p, "kong", fmt.Sprintf("%064x", i))
		object.Spec.NodeName = fmt.Sprintf("worker-%02d", 8+i%90)
		w.api.SetPod(object)
	}
	return w, nil
}

// close stops everything and removes all files.
func (w *world) close() error {
	if w.api != nil {
		w.api.Close()
	}
	if w.broker != nil {
		w.broker.Stop()
	}
	return os.RemoveAll(w.dir)
}

func (w *world) startKafka() (err error) {
	if err := os.WriteFile(filepath.Join(w.dir, "password"), []byte(password), 0o600); err != nil {
		return fmt.Errorf("write the agent's password: %w", err)
	}
	addr, ca, name := os.Getenv("BOOTSTRAP_SASL"), os.Getenv("KAFKA_CA"), topic
	if control := os.Getenv("KAFKA_CONTROL"); control != "" {
		name = fmt.Sprintf("%s-%08x", topic, rand.Uint32())
		for _, args := range [][]string{{"topic", name, "4"}, {"user", "agent", password}, {"allow", "producer", "agent", name},
			{"allow", "txn", "agent", name + ",millrace.positions", "millrace-*"}} {
			if out, err := exec.Command(control, args...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s %s: %w\n%s", control, strings.Join(args, " "), err, out)
			}
		}
	} else {
		w.broker, err = kafkatest.Start(w.dir, kfake.NumBrokers(1), kfake.SeedTopics(4, name),
			kfake.BrokerConfigs(map[string]string{"log.retention.bytes": "67108864"}),
			kfake.Superuser("SCRAM-SHA-512", "agent", password)) // its rights are not what is measured
		if err != nil {
			return err
		}
		addr, ca = w.broker.Addr, w.broker.CAFile
	}
	w.kafka = fmt.Sprintf(`
        brokers: ["%s"]
        topic: %s
        delivery: %s
        tls: {ca_file: %s}
        sasl: {mechanism: SCRAM-SHA-512, username: agent, password_file: %s/password}`, addr, name, w.delivery, ca, w.dir)
	return nil
}

// config is the agent's configuration.
func (w *world) config(admin string) string {
	include := "{namespaces: [kong], labels: app=kong, names: [proxy]}"
	access := "kubeconfig: " + filepath.Join(w.dir, "kubeconfig")
	if w.metadata == "path" {
		include, access = "{namespaces: [kong], names: [proxy]}", "cluster: load"
	}
	return fmt.Sprintf(`
data_dir: %s/data
admin: "%s"
log: {format: text}
kubernetes: {node: %s, metadata: %s, log_dir: %s/pods, %s}
pipelines:
  - name: kong
    source: {containers: {include: [%s]}}
    filters: [{drop: {field: message, match: '^DROP '}}]
    output:
      kafka:%s
`, w.dir, admin, nodeName, w.metadata, w.dir, access, include, w.kafka)
}

// describe names pod i.
func describe(i int) kubelet.Pod {
	return kubelet.Pod{Namespace: "kong", Name: fmt.Sprintf("kong-kong-6d5f8c7b9d-%05d", i), UID: fmt.Sprintf("%08d-7a52-4f0a-9c0b-0d7f2f4b7e11", i)}
}

// addPod starts pod i: a selected one, or one that is not selected by its
// namespace or by its labels.
func (w *world) addPod(i int) error {
	p := &pod{selected: i < w.selected, lines: traffic.NewKong(1, uint16(i))}
	desc := describe(i)
	app := "kong"
	switch {
	case !p.selected && (i%2 == 0 || w.metadata == "path"):
		desc.Namespace = "shop"
	case !p.selected:
		app = "other"
	}
	now := time.Now()
	var err error
	if p.log, err = w.node.Start(desc, "proxy", now); err != nil {
		return err
	}
	w.api.SetPod(apiPod(&desc, app, p.log.ID()))
	w.pods = append(w.pods, p)
	if i < w.busy || !p.selected {
		w.writers = append(w.writers, p)
	} else {
		// A quiet container has written something when it started.
		w.written.Add(1)
		return p.log.Write(kubelet.Line{At: now, Stream: "stdout", Text: "ready"})
	}
	return nil
}

// apiPod is a pod as the API server describes it, with the bulk that a real
// one has and the agent does not need.
func apiPod(p *kubelet.Pod, app, id string) *corev1.Pod {
	fields := `{"f:metadata":{"f:labels":{` + strings.Repeat(`"f:app.kubernetes.io/managed-by":{},`, 100) + `".":{}}}}`
	container := corev1.Container{Name: "proxy", Image: "docker.io/library/kong:3.9"}
	for i := range 40 {
		container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("KONG_SETTING_%d", i), Value: "/some/path/of/a/setting"})
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, UID: types.UID(p.UID),
			Labels: map[string]string{"app": app, "app.kubernetes.io/component": "app", "app.kubernetes.io/instance": "kong",
				"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "kong", "app.kubernetes.io/version": "3.9",
				"helm.sh/chart": "kong-2.48.0", "pod-template-hash": "6d5f8c7b9d", "version": "3.9"},
			Annotations:   map[string]string{"kuma.io/gateway": "enabled", "traffic.sidecar.istio.io/includeInboundPorts": ""},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", FieldsV1: metav1.NewFieldsV1(fields)}},
		},
		Spec: corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{container}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.42.3.88", ContainerStatuses: []corev1.ContainerStatus{{
			Name: "proxy", Image: "docker.io/library/kong:3.9", ImageID: "docker.io/library/kong@sha256:" + id, ContainerID: "containerd://" + id,
		}}},
	}
}

// write writes lines at the scenario's rate until ctx is done: line by line,
// to one container after another, as they come from a node's programs.
func (w *world) write(ctx context.Context) error {
	if len(w.writers) == 0 {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	begun, retained := time.Now(), time.Now()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := time.Now()
		for due := int(now.Sub(begun).Seconds() * float64(w.rate)); n < due; n++ {
			p := w.writers[n%len(w.writers)]
			l := p.lines.Next(now)
			if err := p.log.Write(kubelet.Line{At: now, Stream: l.Stream, Text: l.Message}); err != nil {
				return err
			}
			if p.selected {
				w.written.Add(1)
			}
		}
		if w.broker != nil && now.Sub(retained) > 10*time.Second {
			retained = now
			w.broker.Cluster().ApplyRetention()
		}
	}
}
