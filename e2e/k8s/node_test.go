package k8s

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// apiServerAway stops the API server for a minute. Pods that were scheduled the
// moment before start in it, and the agent is killed: it goes by what it knows,
// and knows the containers' IDs from the kubelet's links.
func apiServerAway(c *cluster) {
	p := c.start("kong-away", 1000)
	var late []*pod
	for _, name := range []string{"kong-late-0", "kong-late-1", "kong-late-2"} {
		q := c.begin(describe(name, c.next(), 2000, -1))
		q.enter(2000)
		late = append(late, q)
	}
	c.has("node", "stop", "kube-apiserver")
	began := time.Now()
	wait := p.inBackground(50_000, 1000)
	c.pause(15 * time.Second)
	killAgent(c)
	started := 0
	for _, q := range late {
		if found, _ := filepath.Glob(filepath.Join(logDir, kongs+"_"+q.name+"_*", "proxy", "0.log")); len(found) > 0 {
			started++
		}
	}
	if started == 0 {
		c.Error("no pod was started while the API server is away: this was no test")
	}
	c.Logf("%d of %d pods have a log while the API server is away, the agent was killed and started again", started, len(late))
	wait()
	c.pause(60*time.Second - time.Since(began))
	c.has("node", "start", "kube-apiserver")
	c.ready()
	c.until("every line has its row", 60*time.Second, func() bool { c.book.read(c.warehouse); return c.book.missing == 0 })
	for _, q := range late {
		q.identified()
	}
	p.delete("--wait=false") // kubelet takes its time to come back
	for _, q := range late {
		q.delete("--wait=false")
	}
}

// identified checks that all rows of the pod name the container that the API
// server names.
func (p *pod) identified() {
	p.Helper()
	var id string
	p.until("kubelet has told the ID of "+p.name, 60*time.Second, func() bool {
		out, err := p.try(nil, "-n", kongs, "get", "pod", p.name, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
		_, id, _ = strings.Cut(out, "://")
		return err == nil && id != ""
	})
	if p.ids[id] != p.entered || len(p.ids) != 1 {
		p.Errorf("%d rows of %s have to name the container %s, and name %v", p.entered, p.name, id, p.ids)
	}
}

// nodeDaemonsRestarted restarts kubelet and the container runtime under load,
// and kills them.
func nodeDaemonsRestarted(c *cluster) {
	p := c.start("kong-node", 0)
	wait := p.inBackground(30_000, 1000)
	for _, daemon := range []string{"kubelet", "containerd"} {
		c.has("node", "restart", daemon)
		c.pause(2 * time.Second)
		c.has("node", "kill9", daemon)
		c.pause(2 * time.Second)
		c.has("node", "start", daemon)
		c.pause(2 * time.Second)
	}
	wait()
	c.until("the node is ready", 60*time.Second, func() bool {
		out, err := c.try(nil, "get", "nodes", "-o", `jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}`)
		return err == nil && out == "True"
	})
	p.delete()
}

// secretsChanged changes both ends' passwords, in Kafka and in the Secrets, and
// cuts their connections: both have to log in with the new ones without being
// restarted.
func secretsChanged(c *cluster) {
	p := c.start("kong-secret", 1000)
	agent := c.agent()
	for _, user := range []string{"agent", "collector"} {
		file := filepath.Join(c.secrets, user+".password")
		if err := os.WriteFile(file, []byte(user+"-new-secret\n"), 0o600); err != nil {
			c.Fatal(err)
		}
		if err := c.kafka.password(c.Context(), user, user+"-new-secret"); err != nil {
			c.Fatal(err)
		}
		yaml := c.kubectl("-n", "millrace", "create", "secret", "generic", "millrace-"+user+"-kafka", "--dry-run=client", "-o", "yaml",
			"--from-file="+filepath.Join(c.secrets, "ca.crt"), "--from-file=password="+file)
		if _, err := c.try([]byte(yaml), "apply", "-f", "-"); err != nil {
			c.Fatal(err)
		}
	}
	c.has("kafka", "kill")
	p.write(1000, 0)
	c.has("kafka", "start")
	c.until("the agent has logged in with the new password", 180*time.Second, func() bool {
		_, err := c.ask(agent.Status.PodIP+":9600", "/readyz")
		return err == nil
	})
	p.write(1000, 0)
	c.until("every line has its row", 180*time.Second, func() bool { c.book.read(c.warehouse); return c.book.missing == 0 })
	if now := c.agent(); now.Name != agent.Name || now.Status.ContainerStatuses[0].RestartCount != agent.Status.ContainerStatuses[0].RestartCount {
		c.Errorf("the agent was restarted: %s", now.Name)
	}
	p.delete()
}
