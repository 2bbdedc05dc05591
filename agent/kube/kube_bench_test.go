package kube

import (
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BenchmarkPods keeps 250 pods, each the size of the example's, and reports
// what one of them costs: kept, and with its metadata rendered.
func BenchmarkPods(b *testing.B) {
	const count = 250
	conf := Config{Node: "worker-07", LogDir: "/var/log/pods"}
	sel, err := (&Selection{Include: []Match{{}}}).Selector()
	if err != nil {
		b.Fatal(err)
	}
	var kept, rendered float64
	for b.Loop() {
		tr := newTracker(&conf)
		var cs []*Container
		tr.subs = []subscription{{sel, func(c *Container, _ Change) { cs = append(cs, c) }}}
		empty := heap()
		for i := range count {
			p := kong()
			p.Name, p.UID = fmt.Sprintf("kong-%d", i), types.UID(fmt.Sprintf("uid-%d", i))
			data, err := p.Marshal()
			if err != nil {
				b.Fatal(err)
			}
			decoded := &corev1.Pod{} // as it comes from the API server
			if err := decoded.Unmarshal(data); err != nil {
				b.Fatal(err)
			}
			tr.update(newPod(decoded))
		}
		tr.setNamespace("kong", &namespace{Labels: kongNamespace().Labels})
		full := heap()
		kept = float64(full-empty) / count
		for _, c := range cs {
			c.Metadata(0)
		}
		rendered = float64(heap()-empty) / count
		runtime.KeepAlive(tr)
		runtime.KeepAlive(cs)
	}
	b.ReportMetric(kept, "B/pod")
	b.ReportMetric(rendered, "B/pod-rendered")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMetadata is what a reader pays to ask again.
func BenchmarkMetadata(b *testing.B) {
	c, err := NewContainer("/var/log/pods", "worker-07", "a_b_c", "main")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Metadata(0)
	}
}
