package k8s

import (
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"millrace/agent"
	"millrace/collector"
	"millrace/internal/config"
)

// TestPodsMayDoNoMoreThanTheyNeed holds the shipped pods against what README
// and manifests/README.md say of them.
func TestPodsMayDoNoMoreThanTheyNeed(t *testing.T) {
	objects := render(t, "base")
	environment(t)
	var a agent.Config
	var c collector.Config
	for file, into := range map[string]any{"agent.yaml": &a, "collector.yaml": &c} {
		if err := config.Load(filepath.Join(manifests, "base", file), into); err != nil {
			t.Fatal(err)
		}
	}
	node := as[appsv1.DaemonSet](t, objects["DaemonSet millrace/millrace-agent"]).Spec.Template.Spec
	tight(t, &node, a.Drain)
	tight(t, new(as[appsv1.StatefulSet](t, objects["StatefulSet millrace/millrace-collector"]).Spec.Template.Spec), c.Drain)
	if all := node.Tolerations; len(all) != 1 || all[0] != (corev1.Toleration{Operator: corev1.TolerationOpExists}) {
		t.Errorf("the agent tolerates %v: not every node", all)
	}
	var mounts []string
	for _, v := range node.Volumes {
		if v.HostPath != nil {
			mounts = append(mounts, v.HostPath.Path)
		}
	}
	if len(mounts) != 1 || mounts[0] != "/var/log" {
		t.Errorf("the agent mounts %q of the node, want /var/log alone", mounts)
	}
}

// tight checks one pod, which has to end within its grace period.
func tight(t *testing.T, p *corev1.PodSpec, drain time.Duration) {
	t.Helper()
	s := p.Containers[0].SecurityContext
	if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
		s.Privileged != nil || len(s.Capabilities.Add) > 0 || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
		t.Errorf("security context of container %s: %+v", p.Containers[0].Name, s)
	}
	if p.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || p.HostNetwork || p.HostPID || p.HostIPC {
		t.Errorf("pod of container %s: %+v", p.Containers[0].Name, p.SecurityContext)
	}
	if grace := time.Duration(*p.TerminationGracePeriodSeconds) * time.Second; grace <= drain {
		t.Errorf("container %s has %v to end, and drains for %v", p.Containers[0].Name, grace, drain)
	}
	r := p.Containers[0].Resources
	if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
		t.Errorf("resources of container %s: %+v", p.Containers[0].Name, r)
	}
}
