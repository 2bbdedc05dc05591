package kube

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func terminated(id string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: id}}
}

// TestRuns has the statuses that a kubelet writes through the life of a
// container that crashes.
func TestRuns(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status corev1.ContainerStatus
		want   []run
	}{
		{"being created: the image is that of the spec", corev1.ContainerStatus{Image: "kong"}, nil},
		{"first run", corev1.ContainerStatus{ContainerID: "containerd://a", Image: "i", ImageID: "docker-pullable://kong@sha256:1"},
			[]run{{0, "a", "i", "kong@sha256:1"}}},
		{"ended, waiting to be started again: lastState is the same run",
			corev1.ContainerStatus{ContainerID: "containerd://a", Image: "i", ImageID: "sha256:1", LastTerminationState: terminated("containerd://a")},
			[]run{{0, "a", "i", "sha256:1"}}},
		{"second run: lastState is the first, whose image may have been another",
			corev1.ContainerStatus{RestartCount: 1, ContainerID: "cri-o://b", Image: "i2", ImageID: "sha256:2", LastTerminationState: terminated("cri-o://a")},
			[]run{{0, "a", "", ""}, {1, "b", "i2", "sha256:2"}}},
		{"status after the node restarted, new container not made yet",
			corev1.ContainerStatus{RestartCount: 3, Image: "i", LastTerminationState: terminated("containerd://z")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := runsOf(&tt.status); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRunsAreRemembered(t *testing.T) {
	var runs []run
	add := func(newer ...run) { runs = mergeRuns(runs, newer) }
	add(run{0, "a", "i", "h"})
	add(run{0, "a", "", ""}, run{1, "b", "i2", "h2"})
	if want := []run{{0, "a", "i", "h"}, {1, "b", "i2", "h2"}}; !reflect.DeepEqual(runs, want) {
		t.Errorf("the image of an ended run is lost: %v", runs)
	}
	add(run{1, "c", "", ""})
	if want := (run{1, "c", "", ""}); runs[1] != want {
		t.Errorf("the image of another container is claimed: %v", runs[1])
	}
	for n := range 20 {
		add(run{n, "x", "", ""})
	}
	if len(runs) != maxRuns || runs[0].Restart != 20-maxRuns {
		t.Errorf("after 20 runs %v are kept", runs)
	}
}

func TestContainersOfAllKinds(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	p := kong()
	p.Spec.InitContainers = []corev1.Container{{Name: "init"}, {Name: "sidecar", RestartPolicy: &always}}
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debugger"}}}
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "sidecar", ContainerID: "containerd://s"}}
	p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: "debugger", ContainerID: "containerd://e"}}
	kept := newPod(p)
	var names []string
	for _, c := range kept.Containers {
		names = append(names, c.Name)
	}
	if want := []string{"init", "sidecar", "proxy", "debugger"}; !reflect.DeepEqual(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if kept.runs("init") != nil || kept.runs("sidecar")[0].ID != "s" || kept.runs("debugger")[0].ID != "e" {
		t.Errorf("got %v", kept.Containers)
	}
}

func TestStaticPod(t *testing.T) {
	p := simplePod("kube-system", "etcd-worker-07", "uid-of-the-mirror", nil)
	p.Annotations = map[string]string{mirrorAnnotation: "0a1b2c", hashAnnotation: "0a1b2c"}
	kept := newPod(p)
	if got, want := kept.dir(), "kube-system_etcd-worker-07_0a1b2c"; got != want {
		t.Errorf("dir = %q, want %q", got, want)
	}
	m, _ := (&facts{pod: kept}).render(&Container{Name: "main"}, 0)
	if got := string(m.Fields["kubernetes\x00pod_id"]); got != "uid-of-the-mirror" {
		t.Errorf("pod_id = %q", got)
	}
	delete(p.Annotations, mirrorAnnotation)
	if got := newPod(p).dir(); got != "kube-system_etcd-worker-07_uid-of-the-mirror" {
		t.Errorf("without the mirror annotation: %q", got)
	}
}
