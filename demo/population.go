package main

import (
	"fmt"
	"maps"

	"millrace/demo/kubelet"
	"millrace/demo/traffic"
)

// seed makes the lines of each run believable in the same way.
const seed = 20260821

// selector is what the agent's configuration selects by, beside the namespace
// kong and the container name proxy.
const selector = "app.kubernetes.io/name=kong,environment in (prod,stage)"

const (
	kongImage       = "docker.io/library/kong:3.9"
	controllerImage = "docker.io/kong/kubernetes-ingress-controller:3.5"
)

// population is the pods of the node: four gateways whose lines are shipped,
// a gateway of another environment and the programs of other teams, whose
// lines are not.
func population(seed uint64) []*pod {
	pods := []*pod{
		gateway(seed, 1, "kong", "kong-kong-6d5f8c7b9d-x2x7k", "prod", 0.34),
		gateway(seed, 2, "kong", "kong-kong-6d5f8c7b9d-m8k4q", "prod", 0.31),
		gateway(seed, 3, "kong", "kong-kong-6d5f8c7b9d-t9p2w", "prod", 0.27),
		gateway(seed, 4, "kong", "kong-stage-5f7d9b6c84-q6rzn", "stage", 0.08),
		// the right labels in the wrong namespace, and the other way round
		gateway(seed, 5, "kong-dev", "kong-kong-7c9d6b5f4d-h2v8s", "prod", 0.08),
		gateway(seed, 6, "kong", "kong-canary-6b8f7d5c9-zk4lw", "dev", 0.06),
		service(seed, "shop", "order-service-7f6c9d8b5-vn2jx", 0.10),
		service(seed, "shop", "cart-service-69d7c8f4b-8hq5m", 0.06),
		service(seed, "kube-system", "coredns-576bfc4dc7-2rbxs", 0.02),
	}
	for _, p := range pods {
		p.selected = p.Namespace == "kong" && p.Labels["environment"] != "dev"
	}
	return pods
}

//nolint:revive // what tells one gateway from another
func gateway(seed uint64, source uint16, namespace, name, environment string, share float64) *pod {
	p := newPod(namespace, name, map[string]string{
		"app": "kong-kong", "app.kubernetes.io/component": "app", "app.kubernetes.io/instance": "kong",
		"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "kong", "app.kubernetes.io/version": "3.9",
		"environment": environment, "helm.sh/chart": "kong-2.48.0", "pod-template-hash": "6d5f8c7b9d", "version": "3.9",
	})
	p.Annotations = map[string]string{
		"kuma.io/gateway": "enabled", "kuma.io/service-account-token-volume": "kong-kong-token",
		"traffic.sidecar.istio.io/includeInboundPorts": "",
	}
	p.programs = []*program{
		{name: "proxy", image: kongImage, share: share, next: traffic.NewKong(seed, source).Next},
		{name: "ingress-controller", image: controllerImage, share: 0.005, next: traffic.NewApp(seed+uint64(source), "controller").Next},
	}
	return p
}

func service(seed uint64, namespace, name string, share float64) *pod {
	p := newPod(namespace, name, map[string]string{"app": name})
	p.programs = []*program{{name: "app", image: "registry.example.com/" + name + ":1.4.2", share: share, next: traffic.NewApp(seed, name).Next}}
	return p
}

func newPod(namespace, name string, labels map[string]string) *pod {
	uid := stableUID(namespace + "/" + name)
	ip := fmt.Sprintf("10.42.3.%d", 10+(uid[0]+uid[1]*3)%240)
	return &pod{Pod: kubelet.Pod{Namespace: namespace, Name: name, UID: uid, IP: ip, Labels: maps.Clone(labels)}}
}
