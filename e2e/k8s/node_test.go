package k8s

import (
	"os"
	"path/filepath"
	"time"
)

// apiServerAway stops the API server for a minute. Pods that were scheduled the
// moment before start in it, a container crashes, and the agent is killed: it
// goes by what it knows.
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
	c.Logf("%d of %d pods have a log while the API server is away, the agent was killed and started again", started, len(late))
	wait()
	c.pause(60*time.Second - time.Since(began))
	c.has("node", "start", "kube-apiserver")
	c.ready()
	p.delete("--wait=false") // kubelet takes its time to come back
	for _, q := range late {
		q.delete("--wait=false")
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
