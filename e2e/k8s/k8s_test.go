// Package k8s applies the shipped manifests to a real cluster of one node,
// has pods print Kong's lines there, and compares the table with what they
// printed, line by line, while pods, agent, node and API server go through
// what happens to them.
//
// Kafka is a real one and has the rights of manifests/strimzi and no others.
// The StarRocks stand-in is in the test. What is needed, from the environment:
//
//	KUBECONFIG        a cluster of one node that has the images millrace:devel and
//	                  millrace-writer:devel (image/), whose pods reach this machine, and
//	                  that has no namespaces millrace, kong and other: they are made and
//	                  deleted
//	K8S_ADDRESS       the address at which the pods reach this machine
//	BOOTSTRAP_SASL, KAFKA_CA, KAFKA_ADMIN_USER, KAFKA_ADMIN_PASSWORD
//	                  the Kafka, at port 9093 of the same address
//	K8S_CONTROL       a command that controls the node: node restart|stop|start|kill9
//	                  kubelet|containerd|kube-apiserver, kafka pause|resume|kill|start;
//	                  without it what needs it is skipped by name
//
// run.sh brings all of it up; make e2e-k8s calls it.
package k8s

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"millrace/outputs/starrocks/starrockstest"
)

// cluster is the cluster under test, and what is around it.
type cluster struct {
	*testing.T
	address, control string
	secrets          string // directory of the files that README's commands name
	warehouse        *starrockstest.Server
	book             *book
	kafka            *kafka
	sources          uint16 // given to pods so far, see pod.sources
}

// TestNode is one cluster's life: scenarios follow one another, and none may
// leave lines behind.
func TestNode(t *testing.T) {
	if os.Getenv("KUBECONFIG") == "" || os.Getenv("K8S_ADDRESS") == "" {
		t.Skip("a Kubernetes cluster: KUBECONFIG and K8S_ADDRESS are not set (run.sh sets them)")
	}
	c := &cluster{T: t, address: os.Getenv("K8S_ADDRESS"), control: os.Getenv("K8S_CONTROL"), secrets: t.TempDir(), book: newBook()}
	if c.control == "" {
		c.lend()
	}
	c.startWarehouse()
	c.kafka = newKafka(c)
	c.applyManifests()
	for _, s := range []struct {
		name  string
		needs bool // K8S_CONTROL
		do    func(c *cluster)
	}{
		{"Rights", false, rights},
		{"LinesAndNothingElse", false, linesAndNothingElse},
		{"KongsFormat", true, kongsFormat},
		{"Rotation", false, rotation},
		{"PodDeletedByForce", false, podDeletedByForce},
		{"LabelOffAndOn", false, labelOffAndOn},
		{"ContainerRestarts", false, containerRestarts},
		{"AgentKilled", true, agentKilled},
		{"AgentDeleted", false, agentDeleted},
		{"RotationWhileKafkaHangs", true, rotationWhileKafkaHangs},
		{"DaemonSetRolled", false, daemonSetRolled},
		{"KindsOfContainers", false, kindsOfContainers},
		{"StaticPod", true, staticPod},
		{"AgentAwayForTooLong", true, agentAwayForTooLong},
		{"CollectorDeleted", false, collectorDeleted},
		{"NodeDrained", true, nodeDrained},
		{"APIServerAway", true, apiServerAway},
		{"NodeDaemonsRestarted", true, nodeDaemonsRestarted},
		{"SecretsChanged", true, secretsChanged},
	} {
		ok := t.Run(s.name, func(t *testing.T) {
			if s.needs && c.control == "" {
				t.Skip("control of the node: K8S_CONTROL is not set")
			}
			inner := *c
			inner.T = t
			began := time.Now()
			s.do(&inner)
			c.sources = inner.sources
			t.Logf("%s: %s; %.0f s", s.name, inner.balance(), time.Since(began).Seconds())
		})
		if !ok {
			c.explain()
			t.FailNow() // what comes after would fail for its reasons
		}
	}
	c.usage()
}

// usage prints what kubelet says that both ends take.
func (c *cluster) usage() {
	c.Helper()
	var s struct {
		Pods []struct {
			PodRef     struct{ Name, Namespace string }
			Containers []struct {
				CPU    struct{ UsageCoreNanoSeconds int64 }
				Memory struct{ RSSBytes, WorkingSetBytes int64 }
			}
		}
	}
	node := c.agent().Spec.NodeName
	if err := json.Unmarshal([]byte(c.kubectl("get", "--raw", "/api/v1/nodes/"+node+"/proxy/stats/summary")), &s); err != nil {
		c.Fatal(err)
	}
	for _, p := range s.Pods {
		for _, one := range p.Containers {
			if p.PodRef.Namespace == "millrace" {
				c.Logf("%s takes %d MiB, of which RSS %d MiB, and has taken %.1f s of CPU", p.PodRef.Name,
					one.Memory.WorkingSetBytes>>20, one.Memory.RSSBytes>>20, float64(one.CPU.UsageCoreNanoSeconds)/1e9)
			}
		}
	}
}

// kubectl runs a command that must work and returns what it prints.
func (c *cluster) kubectl(args ...string) string {
	c.Helper()
	out, err := c.try(nil, args...)
	if err != nil {
		c.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// try runs a command with an input.
func (c *cluster) try(in []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(context.WithoutCancel(c.Context()), "kubectl", args...) // cleaning up needs it, too
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), nil
}

// apply makes an object.
func (c *cluster) apply(object any) {
	c.Helper()
	data, err := json.Marshal(object)
	if err == nil {
		_, err = c.try(data, "apply", "-f", "-")
	}
	if err != nil {
		c.Fatalf("apply: %v", err)
	}
}

// pods lists the pods of a namespace that have a label.
func (c *cluster) pods(namespace, selector string) []corev1.Pod {
	c.Helper()
	var list corev1.PodList
	if err := json.Unmarshal([]byte(c.kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "json")), &list); err != nil {
		c.Fatal(err)
	}
	return list.Items
}

// has the node or Kafka do something.
func (c *cluster) has(what ...string) {
	c.Helper()
	if out, err := exec.CommandContext(c.Context(), c.control, what...).CombinedOutput(); err != nil {
		c.Fatalf("%s: %v\n%s", strings.Join(what, " "), err, out)
	}
}

// until waits for something that must happen within a time that is only a
// bound.
func (c *cluster) until(what string, limit time.Duration, happened func() bool) {
	c.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !happened(); <-tick.C {
		if time.Now().After(end) {
			c.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// explain prints what helps to understand a failure.
func (c *cluster) explain() {
	for _, args := range [][]string{{"get", "pods", "-A", "-o", "wide"}, {"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"-n", "millrace", "logs", "-l", "app.kubernetes.io/name=millrace-agent", "--prefix", "--tail", "60"},
		{"-n", "millrace", "logs", "-l", "app.kubernetes.io/name=millrace-collector", "--prefix", "--tail", "60"}} {
		out, err := c.try(nil, args...)
		c.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
