package k8s

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"

	"millrace/agent"
	"millrace/collector"
	"millrace/internal/config"
)

// object is what one document of a rendered kustomization holds.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	raw      []byte
}

func (o *object) id() string { return o.Kind + " " + o.Metadata.Namespace + "/" + o.Metadata.Name }

// as decodes the object into a type, in which an unknown field is a failure.
func as[T any](t *testing.T, o *object) *T {
	t.Helper()
	var generic map[string]any
	var out T
	err := yaml.Unmarshal(o.raw, &generic)
	if err == nil {
		var data []byte
		if data, err = json.Marshal(generic); err == nil {
			d := json.NewDecoder(strings.NewReader(string(data)))
			d.DisallowUnknownFields()
			err = d.Decode(&out)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", o.id(), err)
	}
	return &out
}

// render is what kubectl makes of a kustomization, by kind and name.
func render(t *testing.T, dir string) map[string]*object {
	t.Helper()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not here")
	}
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Join(manifests, dir)).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", dir, err, out)
	}
	objects := map[string]*object{}
	for _, document := range strings.Split(string(out), "\n---\n") {
		o := &object{raw: []byte(document)}
		if err := yaml.Unmarshal(o.raw, o); err != nil {
			t.Fatal(err)
		}
		objects[o.id()] = o
	}
	return objects
}

// Every kustomization renders, and nothing in it names what is not there.
func TestKustomizations(t *testing.T) {
	for _, dir := range []string{"base", "strimzi", "overlays/test", "overlays/kafka-strimzi"} {
		t.Run(dir, func(t *testing.T) {
			labels := map[string]map[string]string{} // of the pods
			objects := render(t, dir)
			for _, o := range objects {
				switch o.Kind {
				case "DaemonSet":
					labels[o.Metadata.Name] = as[appsv1.DaemonSet](t, o).Spec.Template.Labels
				case "StatefulSet":
					labels[o.Metadata.Name] = as[appsv1.StatefulSet](t, o).Spec.Template.Labels
				}
			}
			for id, o := range objects {
				var selector map[string]string
				switch o.Kind {
				case "Service":
					selector = as[corev1.Service](t, o).Spec.Selector
				case "NetworkPolicy":
					selector = as[networkingv1.NetworkPolicy](t, o).Spec.PodSelector.MatchLabels
				case "PodDisruptionBudget":
					budget := as[policyv1.PodDisruptionBudget](t, o)
					selector = budget.Spec.Selector.MatchLabels
					// Anything else keeps a node from being drained while StarRocks is away, or where one replica is enough.
					if p := budget.Spec.UnhealthyPodEvictionPolicy; p == nil || *p != policyv1.AlwaysAllow || budget.Spec.MaxUnavailable.IntValue() < 1 {
						t.Errorf("%s can block a drain for ever", id)
					}
				case "KafkaTopic", "KafkaUser":
					if o.Metadata.Namespace != "kafka" {
						t.Errorf("%s is not beside its Kafka", id)
					}
					continue
				case "Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass":
					continue
				}
				if o.Metadata.Namespace != "millrace" {
					t.Errorf("%s is not beside the pods", id)
				}
				if selector == nil {
					continue
				}
				if name := selector[kongLabel]; len(selector) != 1 || labels[name][kongLabel] != name {
					t.Errorf("%s selects %v, and the pods have the labels %v", id, selector, labels)
				}
			}
		})
	}
}

// The overlay for tests changes where names lead and where the image comes
// from, and nothing else: what the other tests prove is what is shipped.
func TestOverlayForTests(t *testing.T) {
	shipped, tested := render(t, "base"), render(t, "overlays/test")
	for id, o := range shipped {
		other := tested[id]
		if other == nil {
			t.Errorf("%s is not in the overlay", id)
			continue
		}
		delete(tested, id)
		var a, b corev1.PodTemplateSpec
		switch o.Kind {
		case "DaemonSet":
			a, b = as[appsv1.DaemonSet](t, o).Spec.Template, as[appsv1.DaemonSet](t, other).Spec.Template
		case "StatefulSet":
			a, b = as[appsv1.StatefulSet](t, o).Spec.Template, as[appsv1.StatefulSet](t, other).Spec.Template
		default:
			if string(o.raw) != string(other.raw) {
				t.Errorf("%s is\n%s\nand not\n%s", id, other.raw, o.raw)
			}
			continue
		}
		b.Spec.HostAliases, b.Spec.Containers[0].ImagePullPolicy = nil, ""
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if string(x) != string(y) {
			t.Errorf("%s has the pod\n%s\nand not\n%s", id, y, x)
		}
	}
	for id, o := range tested {
		if o.Kind != "NetworkPolicy" {
			t.Errorf("%s is in the overlay alone", id)
		}
	}
}

// Strimzi's topics and users are those of the shipped configuration.
func TestStrimziGoesWithTheConfiguration(t *testing.T) {
	environment(t)
	var a agent.Config
	var c collector.Config
	for file, into := range map[string]any{"agent.yaml": &a, "collector.yaml": &c} {
		if err := config.Load(filepath.Join(manifests, "base", file), into); err != nil {
			t.Fatal(err)
		}
	}
	to, from := a.Pipelines[0].Output.Kafka, c.Pipelines[0].Source.Kafka
	want := []string{
		"KafkaTopic " + to.Topic,
		"KafkaTopic " + to.Transaction.PositionsTopic,
		"KafkaUser " + to.Conn.SASL.Username + ": DescribeConfigs,Write on topic " + to.Topic + " literal",
		"KafkaUser " + to.Conn.SASL.Username + ": DescribeConfigs,Read,Write on topic " + to.Transaction.PositionsTopic + " literal",
		"KafkaUser " + to.Conn.SASL.Username + ": Write on transactionalId millrace- prefix",
		"KafkaUser " + from.Conn.SASL.Username + ": Read on group " + from.Group + " literal",
		"KafkaUser " + from.Conn.SASL.Username + ": Read on topic " + from.Topic + " literal",
	}
	var got []string
	for _, name := range []string{"topics.yaml", "users.yaml"} {
		data, err := os.ReadFile(filepath.Join(manifests, "strimzi", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(data), "\n---\n") {
			var r resource
			if err := yaml.Unmarshal([]byte(document), &r); err != nil {
				t.Fatal(err)
			}
			if r.Kind == "KafkaTopic" {
				got = append(got, "KafkaTopic "+r.Metadata.Name)
			}
			for _, acl := range r.Spec.Authorization.ACLs {
				slices.Sort(acl.Operations)
				got = append(got, "KafkaUser "+r.Metadata.Name+": "+strings.Join(acl.Operations, ",")+" on "+acl.Resource.Type+" "+acl.Resource.Name+" "+acl.Resource.Pattern)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// environment sets what the pods' would be.
func environment(t *testing.T) {
	t.Helper()
	t.Setenv("NODE_NAME", "node-1")
	t.Setenv("POD_NAME", "millrace-collector-0")
	data, err := os.ReadFile(filepath.Join(manifests, "base", "collector.env"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			t.Setenv(name, value)
		}
	}
}
