package main

import (
	"fmt"
	"time"

	"millrace/demo/traffic"
	"millrace/internal/pipeline"
)

// tail is what follows the message in a record of the Logging operator's stock
// pipeline, for a pod of Kong's Helm chart.
const tail = `,"kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-%[1]s","namespace_name":"kong","pod_id":"3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b%04[2]x","labels":{"app":"kong-kong","app.kubernetes.io/component":"app","app.kubernetes.io/instance":"kong","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"kong","app.kubernetes.io/version":"3.9","helm.sh/chart":"kong-2.48.0","pod-template-hash":"6d5f8c7b9d","version":"3.9"},"annotations":{"kuma.io/gateway":"enabled","kuma.io/service-account-token-volume":"kong-kong-token","traffic.sidecar.istio.io/includeInboundPorts":""},"host":"worker-%02[2]d","pod_ip":"10.42.3.%[2]d","container_name":"proxy","docker_id":"9f1c4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a%04[2]x","container_hash":"docker.io/library/kong@sha256:4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e9f1c","container_image":"docker.io/library/kong:3.9"},"kubernetes_namespace":{"name":"kong","labels":{"kubernetes.io/metadata.name":"kong"}}}`

const (
	pods = 12
	// run is how many lines of one container follow each other, as an agent
	// reads them.
	run = 40
)

// maker makes records as an agent does: Kong's lines of a few pods.
type maker struct {
	lines   [pods]*traffic.Kong
	origins [pods][2]pipeline.Origin // stdout, stderr
	n       int
}

func newMaker(seed uint64) *maker {
	m := &maker{}
	for i := range pods {
		m.lines[i] = traffic.NewKong(seed, uint16(i))
		text := []byte(fmt.Sprintf(tail, fmt.Sprintf("%05x", 0xa0000+i*7919), i+10))
		text = text[:len(text)-1] // the record's own closing brace
		for j, stream := range []string{"stdout", "stderr"} {
			m.origins[i][j] = pipeline.Origin{Stream: []byte(stream), Tail: text}
		}
	}
	return m
}

// next is a record, of a line written at the given time.
func (m *maker) next(at time.Time) []byte {
	pod := m.n / run % pods
	m.n++
	line := m.lines[pod].Next(at)
	origin := &m.origins[pod][0]
	if line.Stream == "stderr" {
		origin = &m.origins[pod][1]
	}
	r := pipeline.Record{Origin: origin, Time: at.AppendFormat(nil, time.RFC3339Nano), Tag: []byte("F"), Message: []byte(line.Message)}
	value, _, _ := r.AppendJSON(make([]byte, 0, 1536), 1<<20)
	return value
}
