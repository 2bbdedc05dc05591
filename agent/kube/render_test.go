package kube

import (
	"encoding/json"
	"testing"

	"millrace/internal/pipeline"
)

// stock is the end of a record of the Logging operator's stock pipeline.
const stock = `,"kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-x2x7k","namespace_name":"kong","pod_id":"3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11","labels":{"app":"kong-kong","app.kubernetes.io/component":"app","app.kubernetes.io/instance":"kong","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"kong","app.kubernetes.io/version":"3.9","helm.sh/chart":"kong-2.48.0","pod-template-hash":"6d5f8c7b9d","version":"3.9"},"annotations":{"kuma.io/gateway":"enabled","kuma.io/service-account-token-volume":"kong-kong-token","traffic.sidecar.istio.io/includeInboundPorts":""},"host":"worker-07","pod_ip":"10.42.3.88","container_name":"proxy","docker_id":"9f1c4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e","container_hash":"docker.io/library/kong@sha256:4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e9f1c","container_image":"docker.io/library/kong:3.9"},"kubernetes_namespace":{"name":"kong","labels":{"kubernetes.io/metadata.name":"kong"}}`

func TestMetadataIsThatOfTheStockPipeline(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.server.SetNamespace(kongNamespace())
	n.server.SetPod(kong())
	f := n.follow(Selection{Include: []Match{{Labels: "app.kubernetes.io/name=kong", Names: []string{"proxy"}}}})
	c := f.expect("selected kong-kong-6d5f8c7b9d-x2x7k/proxy")[0]
	m := f.complete(c, 0)
	if string(m.Tail) != stock {
		t.Errorf("got\n%s\nwant\n%s", m.Tail, stock)
	}
	if again, _ := c.Metadata(0); again != m {
		t.Error("the same content is rendered twice")
	}
	if got, want := c.Dir, n.config.LogDir+"/kong_kong-kong-6d5f8c7b9d-x2x7k_3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11/proxy"; got != want {
		t.Errorf("Dir = %q, want %q", got, want)
	}
	if got, want := c.Key(), "kong_kong-kong-6d5f8c7b9d-x2x7k_3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11/proxy"; got != want {
		t.Errorf("Key = %q, want %q", got, want)
	}
	for _, r := range n.server.Requests() {
		if r.Accept == "" || r.Accept[:len(protobuf)] != protobuf {
			t.Errorf("%s %s asks for %q, not protobuf first", r.Verb, r.Resource, r.Accept)
		}
	}
}

// TestFields compares Fields with what a JSON parser finds in Tail.
func TestFields(t *testing.T) {
	p := newPod(kong())
	p.Annotations["quoted"] = "say \"hi\"\n\tя"
	p.Annotations[`a "key"`] = "value"
	f := &facts{pod: p, namespace: &namespace{Labels: map[string]string{"a": "b"}}, node: "worker-07"}
	m, _ := f.render(&Container{Name: "proxy"}, 0)
	var parsed map[string]any
	if err := json.Unmarshal([]byte("{"+string(m.Tail[1:])+"}"), &parsed); err != nil {
		t.Fatalf("%v in %s", err, m.Tail)
	}
	count := 0
	var walk func(v map[string]any, path ...string)
	walk = func(v map[string]any, path ...string) {
		for key, value := range v {
			at := append(path[:len(path):len(path)], key)
			if inner, ok := value.(map[string]any); ok {
				walk(inner, at...)
				continue
			}
			count++
			if got := m.Fields[pipeline.PathKey(at...)]; string(got) != value {
				t.Errorf("field %q is %q, Tail says %q", at, got, value)
			}
		}
	}
	walk(parsed)
	if count != len(m.Fields) || count == 0 {
		t.Errorf("Tail has %d strings, Fields %d", count, len(m.Fields))
	}
}

// TestOmissions has one row for each key that may be absent.
func TestOmissions(t *testing.T) {
	full := func() *facts {
		return &facts{
			pod: &pod{
				Namespace: "n", Name: "p", UID: "u", Node: "worker-07", IP: "10.0.0.1",
				Labels:      map[string]string{"b": "2", "a": "1"},
				Annotations: map[string]string{"c": ""},
				Containers: []containerStatus{{Name: "c", Runs: []run{
					{Restart: 1, ID: "id1"},
					{Restart: 2, ID: "id2", Image: "image", ImageID: "sha256:x"},
				}}},
			},
			namespace: &namespace{Labels: map[string]string{"l": "v"}},
			node:      "worker-07",
		}
	}
	const ns = `,"kubernetes_namespace":{"name":"n","labels":{"l":"v"}}`
	for _, tt := range []struct {
		name     string
		change   func(f *facts)
		restart  int
		want     string
		complete bool
	}{
		{"everything", func(*facts) {}, 2, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c","docker_id":"id2","container_hash":"sha256:x","container_image":"image"}` + ns, true},
		{"no labels", func(f *facts) { f.pod.Labels = nil }, 2, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c","docker_id":"id2","container_hash":"sha256:x","container_image":"image"}` + ns, true},
		{"no annotations", func(f *facts) { f.pod.Annotations = map[string]string{} }, 2, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c","docker_id":"id2","container_hash":"sha256:x","container_image":"image"}` + ns, true},
		{"no pod IP", func(f *facts) { f.pod.IP = "" }, 2, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","container_name":"c","docker_id":"id2","container_hash":"sha256:x","container_image":"image"}` + ns, true},
		{"run before, of which only the ID is known", func(*facts) {}, 1, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c","docker_id":"id1"}` + ns, true},
		{"older run, nothing known", func(*facts) {}, 0, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c"}` + ns, true},
		{"run that the API does not know yet", func(*facts) {}, 3, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c"}` + ns, false},
		{"the same of a pod that is gone", func(f *facts) { f.pod.Gone = true }, 3, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c"}` + ns, true},
		{"namespace not known yet", func(f *facts) { f.namespace = nil }, 2, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c","docker_id":"id2","container_hash":"sha256:x","container_image":"image"}`, false},
		{"namespace deleted", func(f *facts) { f.namespace = &namespace{Missing: true} }, 1, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c","docker_id":"id1"}`, true},
		{"namespace without labels", func(f *facts) { f.namespace = &namespace{} }, 1, `,"kubernetes":{"pod_name":"p","namespace_name":"n","pod_id":"u","labels":{"a":"1","b":"2"},"annotations":{"c":""},"host":"worker-07","pod_ip":"10.0.0.1","container_name":"c","docker_id":"id1"},"kubernetes_namespace":{"name":"n"}`, true},
		{"path alone", func(f *facts) {
			f.pathOnly = true
			f.pod = &pod{Namespace: "n", Name: "p", UID: "u"}
		}, 2, fallback("n", "p", "u", "c"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := full()
			tt.change(f)
			m, complete := f.render(&Container{Name: "c"}, tt.restart)
			if string(m.Tail) != tt.want || complete != tt.complete {
				t.Errorf("complete %v, want %v; got\n%s\nwant\n%s", complete, tt.complete, m.Tail, tt.want)
			}
		})
	}
}

func TestStringsAreEscapedAsInTheMessage(t *testing.T) {
	f := &facts{pod: &pod{Name: "a\"b\\c/d\x01é", UID: "\xff"}, pathOnly: true, node: "w"}
	m, _ := f.render(&Container{Name: "c"}, 0)
	want := `,"kubernetes":{"pod_name":"a\"b\\c/d\u0001é","namespace_name":"","pod_id":"` + "\uFFFD" + `","host":"w","container_name":"c"}`
	if string(m.Tail) != want {
		t.Errorf("got %s, want %s", m.Tail, want)
	}
}
