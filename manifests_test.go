package main

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"millrace/agent"
	"millrace/collector"
	"millrace/internal/config"
)

// kustomization is the part of kustomization.yaml that is looked at here.
type kustomization struct {
	Resources          []string `yaml:"resources"`
	ConfigMapGenerator []struct {
		Name  string   `yaml:"name"`
		Files []string `yaml:"files"`
		Envs  []string `yaml:"envs"`
	} `yaml:"configMapGenerator"`
}

// base reads manifests/base: its objects, in which an unknown field is a
// failure, and its generated ConfigMaps, as name -> file.
func base(t *testing.T) (objects []runtime.Object, configMaps map[string]string) {
	t.Helper()
	const dir = "manifests/base"
	var k kustomization
	if err := yaml.Unmarshal(read(t, filepath.Join(dir, "kustomization.yaml")), &k); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, rbacv1.AddToScheme, schedulingv1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, name := range k.Resources {
		for _, document := range strings.Split(string(read(t, filepath.Join(dir, name))), "\n---\n") {
			object, _, err := decoder.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			objects = append(objects, object)
		}
	}
	configMaps = map[string]string{}
	for _, g := range k.ConfigMapGenerator {
		for _, name := range append(g.Files, g.Envs...) {
			configMaps[g.Name] = filepath.Join(dir, name)
		}
	}
	return objects, configMaps
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// workload is a pod template of the manifests and the configuration that its
// one container is given.
type workload struct {
	pod       corev1.PodSpec
	container corev1.Container
	file      string            // in this repository
	env       map[string]string // what envFrom brings

	annotations map[string]string
}

func workloads(t *testing.T) map[string]workload {
	t.Helper()
	objects, configMaps := base(t)
	out := map[string]workload{}
	for _, object := range objects {
		var template corev1.PodTemplateSpec
		switch o := object.(type) {
		case *appsv1.DaemonSet:
			template = o.Spec.Template
		case *appsv1.StatefulSet:
			template = o.Spec.Template
		default:
			continue
		}
		w := workload{pod: template.Spec, container: template.Spec.Containers[0], annotations: template.Annotations}
		w.file = configMaps[w.configMap(t)]
		delete(configMaps, w.configMap(t))
		for _, from := range w.container.EnvFrom {
			w.env = variables(t, configMaps[from.ConfigMapRef.Name])
			delete(configMaps, from.ConfigMapRef.Name)
		}
		out[w.container.Args[0]] = w
	}
	if len(out) != 2 || len(configMaps) != 0 {
		t.Fatalf("%d workloads, and nobody uses the ConfigMaps %v", len(out), configMaps)
	}
	return out
}

// variables reads a file of NAME=VALUE, as kustomize does.
func variables(t *testing.T, file string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(string(read(t, file))) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			values[name] = value
		} else if line != "" && !strings.HasPrefix(line, "#") {
			t.Fatalf("%s: %q is no variable", file, line)
		}
	}
	return values
}

// configMap is the name of the ConfigMap with the file that the arguments name.
func (w workload) configMap(t *testing.T) string {
	t.Helper()
	if len(w.container.Args) != 3 || w.container.Args[1] != "-config" {
		t.Fatalf("arguments %q", w.container.Args)
	}
	mount, volume := w.mounted(t, w.container.Args[2])
	if volume.ConfigMap == nil || !mount.ReadOnly {
		t.Fatalf("%s is not in a ConfigMap that is mounted read-only", w.container.Args[2])
	}
	return volume.ConfigMap.Name
}

// mounted is the mount, and its volume, that a file of the container is in.
func (w workload) mounted(t *testing.T, file string) (corev1.VolumeMount, corev1.Volume) {
	t.Helper()
	for _, m := range w.container.VolumeMounts {
		if !strings.HasPrefix(path.Clean(file)+"/", m.MountPath+"/") {
			continue
		}
		i := slices.IndexFunc(w.pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			t.Fatalf("no volume %s", m.Name)
		}
		return m, w.pod.Volumes[i]
	}
	t.Fatalf("%q is not in a volume of the container", file)
	return corev1.VolumeMount{}, corev1.Volume{}
}

// setEnvironment makes the environment what the container's will be, and
// nothing else.
func (w workload) setEnvironment(t *testing.T) {
	t.Helper()
	before := os.Environ()
	t.Cleanup(func() {
		os.Clearenv()
		for _, entry := range before {
			name, value, _ := strings.Cut(entry, "=")
			_ = os.Setenv(name, value) // it was set before
		}
	})
	os.Clearenv()
	values := maps.Clone(w.env)
	if values == nil {
		values = map[string]string{}
	}
	for _, v := range w.container.Env {
		values[v.Name] = v.Value
		if v.ValueFrom != nil {
			values[v.Name] = "from-the-cluster"
		}
	}
	for name, value := range values {
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// secretFiles checks that files a configuration names are in mounted Secrets.
func (w workload) secretFiles(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		if mount, volume := w.mounted(t, file); volume.Secret == nil || !mount.ReadOnly {
			t.Errorf("%s is not in a Secret that is mounted read-only", file)
		}
	}
}

// bounds are what both ends' configurations hold and the pod must go with.
type bounds struct {
	drain  time.Duration
	memory config.Size
	admin  string
}

func (w workload) check(t *testing.T, b bounds) {
	t.Helper()
	if grace := w.pod.TerminationGracePeriodSeconds; grace == nil || time.Duration(*grace)*time.Second < b.drain+10*time.Second {
		t.Errorf("the grace period must be 10s more than drain, %s", b.drain)
	}
	if limit := w.container.Resources.Limits.Memory().Value(); limit < int64(b.memory)*5/4 {
		t.Errorf("a memory limit of %d for a memory_limit of %s", limit, b.memory)
	}
	ports := w.container.Ports
	if len(ports) != 1 || ":"+strconv.Itoa(int(ports[0].ContainerPort)) != b.admin ||
		":"+w.annotations["prometheus.io/port"] != b.admin {
		t.Errorf("ports %v, annotations %v, but admin is %s", ports, w.annotations, b.admin)
	}
	for want, probe := range map[string]*corev1.Probe{"/healthz": w.container.LivenessProbe, "/readyz": w.container.ReadinessProbe} {
		if probe == nil || probe.HTTPGet.Path != want || probe.HTTPGet.Port.String() != ports[0].Name {
			t.Errorf("the probe of %s is %v", want, probe)
		}
	}
	s := w.container.SecurityContext
	if !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || len(s.Capabilities.Add) > 0 || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("security context %v", s)
	}
}

func TestManifestOfTheAgent(t *testing.T) {
	w := workloads(t)["agent"]
	w.setEnvironment(t)
	var c agent.Config
	if err := config.Load(w.file, &c); err != nil {
		t.Fatal(err)
	}
	w.check(t, bounds{drain: c.Drain, memory: c.MemoryLimit, admin: c.Admin})
	for _, dir := range []string{c.DataDir, c.Kubernetes.LogDir} {
		if mount, volume := w.mounted(t, dir); volume.HostPath == nil || volume.HostPath.Path != mount.MountPath || mount.ReadOnly {
			t.Errorf("%s is not in a directory of the node, under the same name and writable", dir)
		}
	}
	// A hard link cannot lead from one mount to another.
	data, _ := w.mounted(t, c.DataDir)
	if logs, _ := w.mounted(t, c.Kubernetes.LogDir); data.MountPath != logs.MountPath {
		t.Errorf("data_dir is in the mount %s, log_dir in %s", data.MountPath, logs.MountPath)
	}
	for _, p := range c.Pipelines {
		w.secretFiles(t, p.Output.Kafka.Conn.TLS.CAFile, p.Output.Kafka.Conn.SASL.Password.File)
	}
}

func TestManifestOfTheCollector(t *testing.T) {
	w := workloads(t)["collector"]
	w.setEnvironment(t)
	var c collector.Config
	if err := config.Load(w.file, &c); err != nil {
		t.Fatal(err)
	}
	w.check(t, bounds{drain: c.Drain, memory: c.MemoryLimit, admin: c.Admin})
	if mount, _ := w.mounted(t, c.DataDir); mount.ReadOnly {
		t.Errorf("%s is read-only", c.DataDir)
	}
	for _, p := range c.Pipelines {
		w.secretFiles(t, p.Source.Kafka.Conn.TLS.CAFile, p.Source.Kafka.Conn.SASL.Password.File, p.Output.StarRocks.Password.File)
	}
}

// Six values make a collector: those of collector.env and the password.
func TestValuesOfTheCollector(t *testing.T) {
	w := workloads(t)["collector"]
	w.setEnvironment(t)
	values := map[string]string{
		"TOPIC": "logs.edge", "STARROCKS_ADDRESS": "fe.example.com", "STARROCKS_DATABASE": "edge", "STARROCKS_USER": "writer", "STARROCKS_TABLE": "lines",
		"KAFKA_ADDRESS": "broker.example.com:9094", "KAFKA_USER": "reader",
	}
	if !maps.EqualFunc(values, w.env, func(_, _ string) bool { return true }) {
		t.Errorf("collector.env has the variables %q", slices.Sorted(maps.Keys(w.env)))
	}
	for name, value := range values {
		t.Setenv(name, value)
	}
	var c collector.Config
	if err := config.Load(w.file, &c); err != nil {
		t.Fatal(err)
	}
	from, to := c.Pipelines[0].Source.Kafka, c.Pipelines[0].Output.StarRocks
	got := []string{from.Topic, from.Conn.Brokers[0], from.Conn.SASL.Username, from.Group, to.URLs[0], to.QueryAddr, to.Database, to.Username, to.Table}
	want := []string{"logs.edge", "broker.example.com:9094", "reader", "millrace-logs.edge", "http://fe.example.com:8030", "fe.example.com:9030", "edge", "writer", "lines"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for name, value := range values {
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
		code, stdout, _ := typed(t, "validate", "-config", w.file)
		if code == exitOK || stdout == "" {
			t.Errorf("without %s: exit code %d, %q", name, code, stdout)
		}
		for line := range strings.Lines(stdout) {
			if !strings.HasSuffix(line, ": the environment variable "+name+" is not set\n") {
				t.Errorf("without %s it says: %s", name, line)
			}
		}
		t.Setenv(name, value)
	}
}

// kubectl's kustomize makes the same of it.
func TestKustomize(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not here")
	}
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", "manifests/base").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name := range workloads(t)["collector"].env {
		if !strings.Contains(string(out), "\n  "+name+": ") {
			t.Errorf("no ConfigMap holds %s", name)
		}
	}
	if n := strings.Count(string(out), "millrace-collector-env-"); n != 2 {
		t.Errorf("the ConfigMap with the hash in its name is named %d times, want at itself and in the pod", n)
	}
}

// The agent asks the API server for this and nothing else: agent/kube/client.go.
func TestManifestOfTheAgentsRights(t *testing.T) {
	objects, _ := base(t)
	rights := map[string]string{}
	for _, object := range objects {
		if role, ok := object.(*rbacv1.ClusterRole); ok {
			for _, rule := range role.Rules {
				rights[strings.Join(rule.Resources, ",")] = strings.Join(rule.Verbs, ",")
			}
		}
	}
	if len(rights) != 2 || rights["pods"] != "get,list,watch" || rights["namespaces"] != "get" {
		t.Errorf("rights %v", rights)
	}
	account := workloads(t)["agent"].pod.ServiceAccountName
	for _, object := range objects {
		binding, ok := object.(*rbacv1.ClusterRoleBinding)
		if ok && (len(binding.Subjects) != 1 || binding.Subjects[0].Name != account || binding.Subjects[0].Namespace != "millrace") {
			t.Errorf("the rights are bound to %v, the agent is %s", binding.Subjects, account)
		}
	}
}

// The image that the manifests run is what the Dockerfile makes: arguments are
// the program's, and there is nothing but the program in it.
func TestDockerfile(t *testing.T) {
	data := string(read(t, "Dockerfile"))
	_, final, ok := strings.Cut(data, "\nFROM scratch\n")
	if !ok || !strings.Contains(final, `ENTRYPOINT ["/millrace"]`) || !strings.Contains(final, "ca-certificates.crt") {
		t.Errorf("the final stage is not from scratch with certificates and the entry point:\n%s", data)
	}
	for end, w := range workloads(t) {
		if len(w.container.Command) > 0 || w.container.Image != "millrace" {
			t.Errorf("%s: command %q of image %s", end, w.container.Command, w.container.Image)
		}
	}
}
