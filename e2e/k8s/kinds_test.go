package k8s

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// staticDir is kubelet's staticPodPath, which run.sh sets.
const staticDir = "/var/lib/kubelet/static"

// debug adds an ephemeral container that prints n lines and ends.
func (p *pod) debug(container string, source uint16, n int) {
	p.Helper()
	p.kubectl("-n", kongs, "debug", p.name, "--image=millrace-writer:devel", "--image-pull-policy=Never", "--container="+container, "--profile=general",
		"--arguments-only", "--", "-source", fmt.Sprint(source), "-lines", fmt.Sprint(n), "-exit", "0")
}

// beside is another container of the pod.
func (p *pod) beside(container string, source uint16) *pod {
	other := p.writer(p.name, container, source)
	other.uids = p.uids
	return other
}

// kindsOfContainers has an init container, an ordinary one and an ephemeral one
// print, all of which are selected by now.
func kindsOfContainers(c *cluster) {
	object := describe("kong-kinds", c.next(), 1000, -1)
	init := object.Spec.Containers[0]
	init.Name, init.VolumeMounts = "prepare", nil
	init.Args = []string{"-source", fmt.Sprint(c.sources + 1), "-lines", "500", "-exit", "0"}
	object.Spec.InitContainers = []corev1.Container{init}
	p := c.begin(object)
	first, last := p.beside("prepare", c.sources+1), p.beside("inspect", c.sources+2)
	first.enter(500)
	p.enter(1000)
	p.wait()
	last.enter(700)
	p.debug(last.container, c.sources+2, 700)
	c.until("every line has its row", 60*time.Second, func() bool { c.book.read(c.warehouse); return c.book.missing == 0 })
	p.delete()
}

// staticPod has kubelet run a pod that it knows from a file. Its directory
// carries the hash of the file where others carry a UID; its rows carry the UID
// of its mirror, also of one that is made anew.
func staticPod(c *cluster) {
	object := describe("kong-static", c.next(), 1000, -1)
	data, err := json.Marshal(object)
	if err == nil {
		err = os.WriteFile(filepath.Join(staticDir, "kong.json"), data, 0o600)
	}
	if err != nil {
		c.Fatal(err)
	}
	node := c.agent().Spec.NodeName
	p := c.writer("kong-static-"+node, "proxy", c.sources)
	c.until("the static pod has a mirror", 60*time.Second, func() bool {
		_, err := c.try(nil, "-n", kongs, "get", "pod", p.name)
		return err == nil
	})
	p.wait()
	p.uids = []string{p.uid()}
	p.enter(1000)
	c.until("every line has its row", 60*time.Second, func() bool { c.book.read(c.warehouse); return c.book.missing == 0 })
	p.identified()
	c.kubectl("-n", kongs, "delete", "pod", p.name, "--wait=false")
	c.until("the mirror is another", 60*time.Second, func() bool {
		out, err := c.try(nil, "-n", kongs, "get", "pod", p.name, "-o", "jsonpath={.metadata.uid}")
		return err == nil && out != "" && out != p.uids[0]
	})
	p.uids = append(p.uids, p.uid())
	p.write(1000, 0)
	c.until("every line has its row", 60*time.Second, func() bool { c.book.read(c.warehouse); return c.book.missing == 0 })
	if err := os.Remove(filepath.Join(staticDir, "kong.json")); err != nil {
		c.Fatal(err)
	}
	c.kubectl("-n", kongs, "wait", "--for=delete", "pod/"+p.name, "--timeout=60s")
}
