package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"millrace/agent/kube/kubetest"
	"millrace/demo/kubelet"
)

// nodeName is the node whose pods the API serves and the agent watches.
const nodeName = "worker-07"

// startAPI starts the stand-in Kubernetes API with the namespaces of the pods
// and writes the kubeconfig the agent uses.
func startAPI(kubeconfig string) (*kubetest.Server, error) {
	token := randomSecret()
	api, err := kubetest.New(token)
	if err != nil {
		return nil, fmt.Errorf("start the stand-in Kubernetes API: %w", err)
	}
	if err := api.Kubeconfig(kubeconfig, token); err != nil {
		api.Close()
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}
	for _, name := range []string{"kube-system", "kong", "kong-dev", "shop"} {
		api.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(stableUID(name)),
			Labels: map[string]string{"kubernetes.io/metadata.name": name},
		}})
	}
	return api, nil
}

// apiPod is a running pod as the API server would describe it.
func apiPod(p kubelet.Pod, containers []*program) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, UID: types.UID(p.UID),
			Labels: p.Labels, Annotations: p.Annotations,
		},
		Spec:   corev1.PodSpec{NodeName: nodeName},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: p.IP, PodIPs: []corev1.PodIP{{IP: p.IP}}},
	}
	for _, c := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c.name, Image: c.image})
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.name, Image: c.image, ImageID: c.image + "@sha256:" + stableHex(c.image),
			ContainerID: "containerd://" + c.log.ID(), RestartCount: int32(c.log.Attempt()), Ready: true,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
	}
	return pod
}
