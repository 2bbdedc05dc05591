package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"millrace/agent/kube/kubetest"
	"millrace/demo/kubelet"
)

const (
	nodeName  = "worker-07"
	container = "proxy"
	token     = "bench-token"
)

// newPod is pod i of a namespace.
func newPod(namespace string, i int) kubelet.Pod {
	return kubelet.Pod{
		Namespace: namespace, Name: fmt.Sprintf("%s-%[1]s-6d5f8c7b9d-%05x", namespace, 0xa0000+i*7919),
		UID: fmt.Sprintf("3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b%04x", i), IP: fmt.Sprintf("10.42.%d.%d", i/200, 10+i%200),
		Labels: map[string]string{"app": "kong-kong", "app.kubernetes.io/component": "app", "app.kubernetes.io/instance": "kong",
			"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "kong", "app.kubernetes.io/version": "3.9",
			"helm.sh/chart": "kong-2.48.0", "pod-template-hash": "6d5f8c7b9d", "version": "3.9"},
		Annotations: map[string]string{"kuma.io/gateway": "enabled", "kuma.io/service-account-token-volume": "kong-kong-token",
			"traffic.sidecar.istio.io/includeInboundPorts": ""},
	}
}

const image = "docker.io/library/kong"

// hash is the image's: another for each container, as long as a real one.
func hash(id string) string { return image + "@sha256:" + id[32:] + id[:32] }

// apiPod is a pod as the API server describes it.
func apiPod(p *kubelet.Pod, id string) *corev1.Pod {
	run := corev1.Container{Name: container, Image: image + ":3.9"}
	for i := range 40 { // the bulk that a real one has
		run.Env = append(run.Env, corev1.EnvVar{Name: fmt.Sprintf("KONG_SETTING_%d", i), Value: "/some/path/of/a/setting"})
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: types.UID(p.UID), Labels: p.Labels, Annotations: p.Annotations},
		Spec:       corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{run}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: p.IP, ContainerStatuses: []corev1.ContainerStatus{{
			Name: container, Image: run.Image, ImageID: hash(id), ContainerID: "containerd://" + id,
		}}},
	}
}

// apiServer answers what a shipper asks about pods.
func apiServer(pods []*source) (*kubetest.Server, error) {
	api, err := kubetest.New(token)
	if err != nil {
		return nil, err
	}
	for name := range map[string]bool{"kube-system": true, selected: true, unselected: true} {
		api.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name), Labels: namespaceLabels(name)}})
	}
	for _, p := range pods {
		api.SetPod(apiPod(&p.pod, p.ID))
	}
	return api, nil
}

// keepCA writes the certificate of an API server to a file of its own, for
// those who cannot read a kubeconfig.
func keepCA(kubeconfig, to string) error {
	c, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return fmt.Errorf("read a kubeconfig: %w", err)
	}
	for _, cluster := range c.Clusters {
		if err := os.WriteFile(to, cluster.CertificateAuthorityData, 0o644); err != nil {
			return fmt.Errorf("write the API server's certificate: %w", err)
		}
	}
	return nil
}

func namespaceLabels(name string) map[string]string {
	return map[string]string{"kubernetes.io/metadata.name": name}
}

// metadata is what the stock pipeline appends to each record of a container,
// without braces around it; of the path alone, as much as is known without an
// API server.
func metadata(p *kubelet.Pod, id string, pathOnly bool) (string, error) {
	type object struct {
		Pod         string            `json:"pod_name"`
		Namespace   string            `json:"namespace_name"`
		UID         string            `json:"pod_id"`
		Labels      map[string]string `json:"labels,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
		Host        string            `json:"host"`
		IP          string            `json:"pod_ip,omitempty"`
		Container   string            `json:"container_name"`
		ID          string            `json:"docker_id,omitempty"`
		Hash        string            `json:"container_hash,omitempty"`
		Image       string            `json:"container_image,omitempty"`
	}
	type namespace struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	}
	all := struct {
		Kubernetes object     `json:"kubernetes"`
		Namespace  *namespace `json:"kubernetes_namespace,omitempty"`
	}{Kubernetes: object{Pod: p.Name, Namespace: p.Namespace, UID: p.UID, Host: nodeName, Container: container, ID: id}}
	if !pathOnly {
		k := &all.Kubernetes
		k.Labels, k.Annotations, k.IP, k.Hash, k.Image = p.Labels, p.Annotations, p.IP, hash(id), image+":3.9"
		all.Namespace = &namespace{p.Namespace, namespaceLabels(p.Namespace)}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("render metadata: %w", err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(text), "{"), "}"), nil
}
