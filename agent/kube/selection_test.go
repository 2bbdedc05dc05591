package kube

import (
	"strings"
	"testing"

	"millrace/internal/config"
)

// agentConfig has the two sections as the agent's configuration has them.
type agentConfig struct {
	Kubernetes Config     `yaml:"kubernetes"`
	Containers containers `yaml:"containers"`
}

type containers struct {
	Selection Selection `yaml:",inline"`
	StartAt   string    `yaml:"start_at"`
}

func (c *agentConfig) Validate(e *config.Errors) {
	c.Containers.Selection.ValidateMetadata(e, "containers", c.Kubernetes.Metadata)
}

func parse(t *testing.T, text string) (*agentConfig, error) {
	t.Helper()
	f, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := &agentConfig{}
	return c, f.Decode(c)
}

func TestSelection(t *testing.T) {
	type pod struct {
		namespace, container string
		labels               map[string]string
	}
	kong := pod{"kong", "proxy", map[string]string{"app": "kong", "environment": "prod"}}
	stage := pod{"kong", "proxy", map[string]string{"app": "kong", "environment": "stage"}}
	sidecar := pod{"kong", "istio-proxy", kong.labels}
	shop := pod{"shop", "proxy", map[string]string{"app": "shop"}}
	bare := pod{"shop", "proxy", nil}
	all := []pod{kong, stage, sidecar, shop, bare}
	for _, tt := range []struct {
		name, yaml string
		want       []pod
	}{
		{"everything", `include: [{}]`, all},
		{"namespace", `include: [{namespaces: [kong]}]`, []pod{kong, stage, sidecar}},
		{"two namespaces", `include: [{namespaces: [kong, shop]}]`, all},
		{"container", `include: [{names: [proxy]}]`, []pod{kong, stage, shop, bare}},
		{"everything in an entry must match", `include: [{namespaces: [kong], names: [proxy], labels: environment=prod}]`, []pod{kong}},
		{"any entry may match", `include: [{labels: app=shop}, {namespaces: [kong], names: [istio-proxy]}]`, []pod{sidecar, shop}},
		{"set", `include: [{labels: "app=kong,environment in (prod,stage)"}]`, []pod{kong, stage, sidecar}},
		{"not", `include: [{labels: environment!=prod}]`, []pod{stage, shop, bare}},
		{"exists", `include: [{labels: environment}]`, []pod{kong, stage, sidecar}},
		{"does not exist", `include: [{labels: "!app"}]`, []pod{bare}},
		{"exclude wins", "include: [{}]\n  exclude: [{names: [istio-proxy]}, {labels: environment=stage}]", []pod{kong, shop, bare}},
		{"names are whole names", `include: [{names: [prox]}]`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parse(t, "kubernetes: {node: a}\ncontainers:\n  "+tt.yaml)
			if err != nil {
				t.Fatal(err)
			}
			sel, err := c.Containers.Selection.Selector()
			if err != nil {
				t.Fatal(err)
			}
			wanted := map[string]bool{}
			for _, p := range tt.want {
				wanted[p.namespace+p.container+p.labels["app"]+p.labels["environment"]] = true
			}
			for _, p := range all {
				got := sel.Selects(p.namespace, p.container, p.labels)
				if want := wanted[p.namespace+p.container+p.labels["app"]+p.labels["environment"]]; got != want {
					t.Errorf("%v: selected %v, want %v", p, got, want)
				}
			}
		})
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Setenv("NODE_NAME", "")
	for _, tt := range []struct{ name, yaml, want string }{
		{"no include", "kubernetes: {node: a}\ncontainers: {start_at: end}",
			"test.yaml:2: containers.include: must have at least one entry; [{}] selects every container"},
		{"bad labels", "kubernetes: {node: a}\ncontainers: {include: [{labels: 'a in b'}]}",
			"test.yaml:2: containers.include[0].labels: is not a label selector: unable to parse requirement: found 'b' expected: '('"},
		{"labels without the API", "kubernetes: {node: a, metadata: path}\ncontainers: {include: [{}], exclude: [{names: [a]}, {labels: a=b}]}",
			"test.yaml:2: containers.exclude[1].labels: cannot be used with kubernetes.metadata: path, which knows no labels: use namespaces and names, or metadata: api"},
		{"exclude everything", "kubernetes: {node: a}\ncontainers: {include: [{}], exclude: [{}]}",
			"test.yaml:2: containers.exclude[0]: must name something: an empty entry excludes every container"},
		{"empty name", "kubernetes: {node: a}\ncontainers: {include: [{names: ['']}]}",
			"test.yaml:2: containers.include[0].names: must not hold an empty name"},
		{"no node", "kubernetes: {}\ncontainers: {include: [{}]}",
			"test.yaml:1: kubernetes.node: must not be empty: write ${NODE_NAME} and give the pod that variable from spec.nodeName, or name the node"},
		{"metadata", "kubernetes: {node: a, metadata: none}\ncontainers: {include: [{}]}",
			`test.yaml:1: kubernetes.metadata: must be api or path, not "none"`},
		{"relative log_dir", "kubernetes: {node: a, log_dir: pods}\ncontainers: {include: [{}]}",
			"test.yaml:1: kubernetes.log_dir: must be an absolute path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.yaml)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Setenv("NODE_NAME", "worker-07")
	c, err := parse(t, "containers: {include: [{}]}")
	if err != nil {
		t.Fatal(err)
	}
	if want := (Config{Node: "worker-07", Metadata: "api", LogDir: "/var/log/pods"}); c.Kubernetes != want {
		t.Errorf("got %+v, want %+v", c.Kubernetes, want)
	}
}

func TestNotInAPod(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := New(Options{Config: Config{Node: "a", Metadata: MetadataAPI, LogDir: t.TempDir()}, DataDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "name a file in kubernetes.kubeconfig, or set kubernetes.metadata: path") {
		t.Errorf("got %v", err)
	}
}
