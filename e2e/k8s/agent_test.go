package k8s

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// links is the number of names of a file.
func links(path string) (uint64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Nlink, nil
}

// processes lists those of the node that were started as `/millrace end`.
func processes(end string) (pids []int, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range dirs {
		argv, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(argv), "/millrace\x00"+end+"\x00") {
			continue // it has ended, or is another
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, err
}

// killAgent ends the agent as kill -9 does and waits until kubelet has started
// it again.
func killAgent(c *cluster) {
	c.Helper()
	pids, err := processes("agent")
	if err != nil || len(pids) != 1 {
		c.Fatalf("%d agents run: %v", len(pids), err)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		c.Fatal(err)
	}
	c.until("another agent runs", 90*time.Second, func() bool {
		again, err := processes("agent")
		return err == nil && len(again) == 1 && again[0] != pids[0]
	})
}

// agentKilled kills the agent under load. Kubelet waits ten seconds before it
// starts it the second time, in which fewer files are written than it keeps.
func agentKilled(c *cluster) {
	p := c.start("kong-load", 0)
	wait := p.inBackground(10_000, 300)
	for range 2 {
		c.pause(3 * time.Second)
		killAgent(c)
		c.ready()
	}
	wait()
	p.delete()
}

// agentDeleted deletes the agent's pod under load, with and without grace.
func agentDeleted(c *cluster) {
	p := c.start("kong-load", 0)
	wait := p.inBackground(20_000, 1000)
	for _, args := range [][]string{{}, {"--force", "--grace-period=0"}} {
		c.pause(2 * time.Second)
		name := c.agent().Name
		c.kubectl(append([]string{"-n", "millrace", "delete", "pod", name}, args...)...)
		c.until("another pod is the agent", 60*time.Second, func() bool { return c.agent().Name != name })
		c.ready()
	}
	wait()
	p.delete()
}

// daemonSetRolled changes the agent's configuration under load: the
// ConfigMap's new name has to roll the pods. From now on containers of all kinds
// are selected.
func daemonSetRolled(c *cluster) {
	p := c.start("kong-load", 0)
	wait := p.inBackground(15_000, 1000)
	before := c.kubectl("-n", "millrace", "get", "daemonset", "millrace-agent", "-o", "jsonpath={.spec.template.spec.volumes[?(@.name==\"config\")].configMap.name}")
	name := c.agent().Name
	c.applyChanged("names: [proxy]", "names: [proxy, prepare, inspect]")
	c.kubectl("-n", "millrace", "rollout", "status", "daemonset/millrace-agent", "--timeout=120s")
	after := c.kubectl("-n", "millrace", "get", "daemonset", "millrace-agent", "-o", "jsonpath={.spec.template.spec.volumes[?(@.name==\"config\")].configMap.name}")
	if before == after || c.agent().Name == name {
		c.Errorf("another configuration is in the ConfigMap %s (before: %s), the pod is %s (before: %s)", after, before, c.agent().Name, name)
	}
	wait()
	p.delete()
}

// collectorDeleted deletes a collector by force under load.
func collectorDeleted(c *cluster) {
	p := c.start("kong-load", 0)
	wait := p.inBackground(10_000, 1000)
	c.pause(3 * time.Second)
	c.kubectl("-n", "millrace", "delete", "pod", "millrace-collector-0", "--force", "--grace-period=0")
	c.kubectl("-n", "millrace", "rollout", "status", "statefulset/millrace-collector", "--timeout=120s")
	wait()
	p.delete()
}

// nodeDrained drains the node of its collectors under load, which the
// PodDisruptionBudget lets go one after another. There is no other node for them:
// this one takes them again.
func nodeDrained(c *cluster) {
	p := c.start("kong-load", 0)
	wait := p.inBackground(10_000, 1000)
	before := c.pods("millrace", kongLabel+"=millrace-collector")
	node := c.agent().Spec.NodeName
	drained := make(chan error, 1)
	go func() {
		out, err := c.try(nil, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector="+kongLabel+"=millrace-collector", "--timeout=150s")
		c.Logf("$ kubectl drain\n%s", out)
		drained <- err
	}()
	c.until("the node takes no pods", 30*time.Second, func() bool {
		return c.kubectl("get", "node", node, "-o", "jsonpath={.spec.unschedulable}") == "true"
	})
	c.kubectl("uncordon", node)
	if err := <-drained; err != nil {
		c.Errorf("drain: %v", err)
	}
	c.kubectl("-n", "millrace", "rollout", "status", "statefulset/millrace-collector", "--timeout=120s")
	for i, now := range c.pods("millrace", kongLabel+"=millrace-collector") {
		if now.UID == before[i].UID {
			c.Errorf("%s was not evicted", now.Name)
		}
	}
	wait()
	p.delete()
}

// agentAwayForTooLong takes the agent away while kubelet rotates more files than
// it keeps. Those lines are lost, and the agent that comes back says so: where
// it has a gap, and that it read everything else.
func agentAwayForTooLong(c *cluster) {
	p := c.start("kong-fast-0", 1000)
	c.until("lines arrive", 30*time.Second, func() bool { c.book.read(c.warehouse); return c.book.missing == 0 })
	c.kubectl("-n", "millrace", "delete", "daemonset", "millrace-agent")
	c.until("no agent runs", 60*time.Second, func() bool { pids, err := processes("agent"); return err == nil && len(pids) == 0 })
	p.write(60_000, 3000)
	c.applyChanged("memory_limit: 32MiB", "memory_limit: 32MiB")
	c.ready()
	p.write(1000, 0)
	c.until("the last lines arrive", 60*time.Second, func() bool { c.book.read(c.warehouse); return c.book.came(p, 1000) })
	if n := c.metric("millrace_agent_missed_files_total"); n == 0 {
		c.Error("the agent counts no gap")
	}
	said := c.kubectl("-n", "millrace", "logs", c.agent().Name)
	if !strings.Contains(said, `"lines of a log file are lost"`) {
		c.Errorf("the agent does not say that lines are lost:\n%s", said)
	}
	gaps, lost := c.metric("millrace_agent_missed_files_total"), c.book.giveUp()
	c.Logf("the agent counts %v gap: %d lines are lost of %d that were printed while it was away", gaps, lost, 60_000)
	if lost == 0 {
		c.Error("kubelet kept everything: this was no test")
	}
	p.delete()
	c.kubectl("-n", "millrace", "delete", "pod", c.agent().Name) // its count of gaps is not for what follows
	c.ready()
}
