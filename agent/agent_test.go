package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"millrace/agent"
	"millrace/agent/kube/kubetest"
	"millrace/internal/config"
	"millrace/internal/ops"
)

const (
	podUID      = "3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11"
	podDir      = "kong_kong-kong-6d5f8c7b9d-x2x7k_" + podUID
	containerID = "9f1c4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e"
	topic       = "logging.kong"
)

// Kong's pod and a line of it, and the record that the Logging operator's
// stock pipeline makes of them.
const (
	kongLine   = `2026-08-21T08:15:30.217676062Z stdout F 10.42.3.17 - - [21/Aug/2026:08:15:30 +0000] "GET /orders/42 HTTP/1.1" 200 512 "-" "curl/8.5.0" kong_request_id: "5d3a1c0e6a4b7c1f9e2d8b6a4f0c3e21"`
	kongHead   = `{"time":"2026-08-21T08:15:30.217676062Z","stream":"stdout","logtag":"F","message":"10.42.3.17 - - [21/Aug/2026:08:15:30 +0000] \"GET /orders/42 HTTP/1.1\" 200 512 \"-\" \"curl/8.5.0\" kong_request_id: \"5d3a1c0e6a4b7c1f9e2d8b6a4f0c3e21\""`
	kongRecord = kongHead + `,"kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-x2x7k","namespace_name":"kong","pod_id":"3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11","labels":{"app":"kong-kong","app.kubernetes.io/component":"app","app.kubernetes.io/instance":"kong","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"kong","app.kubernetes.io/version":"3.9","helm.sh/chart":"kong-2.48.0","pod-template-hash":"6d5f8c7b9d","version":"3.9"},"annotations":{"kuma.io/gateway":"enabled","kuma.io/service-account-token-volume":"kong-kong-token","traffic.sidecar.istio.io/includeInboundPorts":""},"host":"worker-07","pod_ip":"10.42.3.88","container_name":"proxy","docker_id":"9f1c4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e","container_hash":"docker.io/library/kong@sha256:4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e9f1c","container_image":"docker.io/library/kong:3.9"},"kubernetes_namespace":{"name":"kong","labels":{"kubernetes.io/metadata.name":"kong"}}}`
	pathRecord = kongHead + `,"kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-x2x7k","namespace_name":"kong","pod_id":"3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11","host":"worker-07","container_name":"proxy"}}`
)

func kongPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kong-kong-6d5f8c7b9d-x2x7k", Namespace: "kong", UID: types.UID(podUID),
			Labels: map[string]string{"app": "kong-kong", "app.kubernetes.io/component": "app", "app.kubernetes.io/instance": "kong",
				"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "kong", "app.kubernetes.io/version": "3.9",
				"helm.sh/chart": "kong-2.48.0", "pod-template-hash": "6d5f8c7b9d", "version": "3.9"},
			Annotations: map[string]string{"kuma.io/gateway": "enabled", "kuma.io/service-account-token-volume": "kong-kong-token",
				"traffic.sidecar.istio.io/includeInboundPorts": ""},
		},
		Spec: corev1.PodSpec{NodeName: "worker-07", Containers: []corev1.Container{{Name: "proxy"}, {Name: "other"}}},
		Status: corev1.PodStatus{PodIP: "10.42.3.88", ContainerStatuses: []corev1.ContainerStatus{{
			Name: "proxy", ContainerID: "containerd://" + containerID, Image: "docker.io/library/kong:3.9",
			ImageID: "docker.io/library/kong@sha256:4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e9f1c",
		}}},
	}
}

// node is one node's world: an API server, a broker, a log directory.
type node struct {
	*testing.T
	api   *kubetest.Server
	kafka *kfake.Cluster
	logs  string
	data  string
	kube  string       // path of the kubeconfig
	ops   *ops.Process // of the agent started last
}

func newNode(t *testing.T) *node {
	n := &node{T: t, logs: filepath.Join(t.TempDir(), "pods"), data: filepath.Join(t.TempDir(), "data"), kube: filepath.Join(t.TempDir(), "kubeconfig")}
	var err error
	if n.api, err = kubetest.New("token"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.api.Close)
	if err := n.api.Kubeconfig(n.kube, "token"); err != nil {
		t.Fatal(err)
	}
	n.api.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "cluster-uid"}})
	n.api.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kong", Labels: map[string]string{"kubernetes.io/metadata.name": "kong"}}})
	if n.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kafka.Close)
	return n
}

func (n *node) write(path, text string) {
	n.Helper()
	path = filepath.Join(n.logs, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		n.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		n.Fatal(err)
	}
}

// start runs an agent with the given rest of its configuration.
func (n *node) start(metadata, pipelines string) (stop func()) {
	n.Helper()
	access := ""
	if metadata == "api" {
		access = "kubeconfig: " + n.kube + ", "
	}
	yaml := fmt.Sprintf("data_dir: %s\nadmin: 127.0.0.1:0\nlog: {format: text}\nkubernetes: {node: worker-07, metadata: %s, %slog_dir: %s}\npipelines:\n%s",
		n.data, metadata, access, n.logs, strings.ReplaceAll(pipelines, "BROKER", n.kafka.ListenAddrs()[0]))
	file, err := config.Parse("agent.yaml", []byte(yaml))
	if err != nil {
		n.Fatal(err)
	}
	var c agent.Config
	if err := file.Decode(&c); err != nil {
		n.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	n.ops = ops.NewProcess(c.Log, n.Output())
	go func() {
		ended <- n.ops.Run(ctx, c.Admin, func(ctx context.Context, p *ops.Process) error { return agent.Run(ctx, &c, p) })
	}()
	return func() {
		n.Helper()
		cancel()
		if err := <-ended; err != nil {
			n.Error(err)
		}
	}
}

// consume reads n records from the topic, from its beginning.
func (n *node) consume(count int) []string {
	n.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.kafka.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		n.Fatal(err)
	}
	defer client.Close()
	var values []string
	for len(values) < count {
		fetches := client.PollFetches(n.Context())
		if err := fetches.Err(); err != nil {
			n.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

const kongPipeline = `
  - name: kong
    source:
      containers:
        include: [{namespaces: [kong], labels: app.kubernetes.io/name=kong, names: [proxy]}]
    output: {kafka: {brokers: [BROKER], topic: logging.kong, compression: lz4}}
`

// The record of the stock pipeline, byte for byte, from what the API server
// says; containers that are not selected stay where they are.
func TestRecordIsTheStockRecord(t *testing.T) {
	n := newNode(t)
	n.api.SetPod(kongPod())
	n.write(podDir+"/proxy/0.log", kongLine+"\n")
	n.write(podDir+"/other/0.log", kongLine+"\n")
	n.write("shop_web_1/web/0.log", kongLine+"\n")
	stop := n.start("api", kongPipeline)
	if got := n.consume(1); got[0] != kongRecord || len(got) != 1 {
		t.Errorf("got  %s\nwant %s", got, kongRecord)
	}
	stop()
	// Another agent on the same data goes on where the first one ended.
	n.write(podDir+"/proxy/0.log", strings.Replace(kongLine, "/42", "/43", 1)+"\n")
	stop = n.start("api", kongPipeline)
	defer stop()
	if got := n.consume(2); len(got) != 2 || got[1] != strings.Replace(kongRecord, "/42", "/43", 1) {
		t.Errorf("after a restart: got %s", got)
	}
}

// Without an API server the path gives the documented fallback.
func TestRecordWithMetadataFromThePath(t *testing.T) {
	n := newNode(t)
	n.write(podDir+"/proxy/0.log", kongLine+"\n")
	defer n.start("path", strings.Replace(kongPipeline, "labels: app.kubernetes.io/name=kong, ", "", 1))()
	if got := n.consume(1); got[0] != pathRecord {
		t.Errorf("got  %s\nwant %s", got[0], pathRecord)
	}
}

// The kubelet's link to the log tells the container's ID where nobody else does.
func TestContainerIDFromALink(t *testing.T) {
	n := newNode(t)
	n.write(podDir+"/proxy/0.log", kongLine+"\n")
	log := filepath.Join(n.logs, podDir, "proxy/0.log")
	link := filepath.Join(filepath.Dir(n.logs), "containers", "kong-kong-6d5f8c7b9d-x2x7k_kong_proxy-"+containerID+".log")
	if err := errors.Join(os.Mkdir(filepath.Dir(link), 0o755), os.Symlink(log, link)); err != nil {
		t.Fatal(err)
	}
	defer n.start("path", strings.Replace(kongPipeline, "labels: app.kubernetes.io/name=kong, ", "", 1))()
	want := strings.TrimSuffix(pathRecord, "}}") + `,"docker_id":"` + containerID + `"}}`
	if got := n.consume(1); got[0] != want {
		t.Errorf("got  %s\nwant %s", got[0], want)
	}
}

// A pipeline whose positions are gone stops and says so; the others go on.
func TestPipelineWithLostPositionsLeavesOthersAlone(t *testing.T) {
	n := newNode(t)
	n.write(podDir+"/proxy/0.log", kongLine+"\n")
	if err := os.MkdirAll(filepath.Join(n.data, "broken"), 0o755); err != nil {
		t.Fatal(err)
	}
	pathPipeline := strings.Replace(kongPipeline, "labels: app.kubernetes.io/name=kong, ", "", 1)
	defer n.start("path", pathPipeline+strings.Replace(pathPipeline, "name: kong", "name: broken", 1))()
	if got := n.consume(1); got[0] != pathRecord {
		t.Errorf("got %s", got[0])
	}
	answer := httptest.NewRecorder()
	n.ops.Admin.ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
	if body := answer.Body.String(); answer.Code != 503 || !strings.Contains(body, "broken/source") || !strings.Contains(body, "holds no positions.json") {
		t.Errorf("readyz: %d %s", answer.Code, body)
	}
}
