package kube

import (
	"maps"
	"slices"

	"millrace/internal/pipeline"
)

// facts is all that is known about a pod at one moment. Immutable.
type facts struct {
	pod       *pod
	namespace *namespace // nil: not known yet
	pathOnly  bool       // nothing but the path is known, nor ever will be
	node      string     // this node, for what the pod's spec does not say
	links     *links     // nil: none
}

// render makes the metadata of one run of a container. The keys, their order
// and their omissions are those of Fluent Bit's kubernetes filter with
// namespace_labels On, as they reach Kafka.
func (f *facts) render(c *Container, restart int) (m *Metadata, complete bool) {
	p := f.pod
	var r renderer
	r.open("kubernetes")
	r.text(p.Name, "kubernetes", "pod_name")
	r.text(p.Namespace, "kubernetes", "namespace_name")
	r.text(p.UID, "kubernetes", "pod_id")
	r.texts(p.Labels, "kubernetes", "labels")
	r.texts(p.Annotations, "kubernetes", "annotations")
	if p.Node != "" {
		r.text(p.Node, "kubernetes", "host")
	} else {
		r.text(f.node, "kubernetes", "host")
	}
	r.some(p.IP, "kubernetes", "pod_ip")
	r.text(c.Name, "kubernetes", "container_name")
	run, settled := p.runAt(c.Name, restart)
	linkComes := false
	if run.ID == "" {
		run.ID, linkComes = f.links.id(c, c.logPath(restart))
	}
	r.some(run.ID, "kubernetes", "docker_id")
	r.some(run.ImageID, "kubernetes", "container_hash")
	r.some(run.Image, "kubernetes", "container_image")
	r.close()
	if f.pathOnly {
		return r.metadata(), !linkComes || p.Gone
	}
	if f.namespace != nil && !f.namespace.Missing {
		r.open("kubernetes_namespace")
		r.text(p.Namespace, "kubernetes_namespace", "name")
		r.texts(f.namespace.Labels, "kubernetes_namespace", "labels")
		r.close()
	}
	return r.metadata(), settled && f.namespace != nil
}

// runAt is what is known of one run; settled means that no more will come.
func (p *pod) runAt(name string, restart int) (found run, settled bool) {
	runs := p.runs(name)
	for _, r := range runs {
		if r.Restart == restart {
			return r, true
		}
	}
	newest := -1
	if len(runs) > 0 {
		newest = runs[len(runs)-1].Restart
	}
	return run{}, p.Gone || restart < newest
}

// renderer builds the JSON of a record's end and remembers where its strings
// are.
type renderer struct {
	buf    []byte
	places []placed
}

type placed struct {
	key        string
	value      string
	start, end int
}

// key begins a member with its comma.
func (r *renderer) key(name string) {
	if len(r.buf) == 0 || r.buf[len(r.buf)-1] != '{' {
		r.buf = append(r.buf, ',')
	}
	r.buf = append(r.buf, '"')
	r.buf, _ = pipeline.AppendString(r.buf, []byte(name), -1)
	r.buf = append(r.buf, '"', ':')
}

func (r *renderer) open(name string) {
	r.key(name)
	r.buf = append(r.buf, '{')
}

func (r *renderer) close() { r.buf = append(r.buf, '}') }

// text adds a string member; the last of names is its key.
func (r *renderer) text(value string, names ...string) {
	r.key(names[len(names)-1])
	r.buf = append(r.buf, '"')
	start := len(r.buf)
	r.buf, _ = pipeline.AppendString(r.buf, []byte(value), -1)
	r.places = append(r.places, placed{pipeline.PathKey(names...), value, start, len(r.buf)})
	r.buf = append(r.buf, '"')
}

// some adds a string member unless it is empty.
func (r *renderer) some(value string, names ...string) {
	if value != "" {
		r.text(value, names...)
	}
}

// texts adds an object of strings, sorted by key as the API server writes
// it, unless there are none.
func (r *renderer) texts(values map[string]string, names ...string) {
	if len(values) == 0 {
		return
	}
	r.open(names[len(names)-1])
	for _, key := range slices.Sorted(maps.Keys(values)) {
		r.text(values[key], append(slices.Clone(names), key)...)
	}
	r.close()
}

// metadata ends the rendering. A field that needed no escaping points into
// the tail, which saves a copy of every annotation.
func (r *renderer) metadata() *Metadata {
	m := &Metadata{Tail: slices.Clip(slices.Clone(r.buf)), Fields: make(map[string][]byte, len(r.places))}
	for _, t := range r.places {
		if in := m.Tail[t.start:t.end:t.end]; string(in) == t.value {
			m.Fields[t.key] = in
		} else {
			m.Fields[t.key] = []byte(t.value)
		}
	}
	return m
}
