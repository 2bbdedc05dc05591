package k8s

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	logDir  = "/var/log/pods"
	dataDir = "/var/log/millrace"
)

// rights holds the service accounts' rights against what README names: the API
// server itself lists them.
func rights(c *cluster) {
	for account, want := range map[string]string{"millrace-agent": "namespaces [get]; pods [get list watch]", "millrace-collector": ""} {
		out := c.kubectl("auth", "can-i", "--list", "--as=system:serviceaccount:millrace:"+account, "--as-group=system:serviceaccounts",
			"--as-group=system:authenticated")
		c.Logf("$ kubectl auth can-i --list --as=system:serviceaccount:millrace:%s\n%s", account, out)
		var got []string
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			// What everybody may: ask who he is, and paths that are no resources.
			if len(f) < 4 || f[0] == "Resources" || strings.HasPrefix(f[0], "self") || strings.HasPrefix(f[0], "[/") {
				continue
			}
			_, verbs, _ := strings.Cut(strings.TrimSpace(line), "[]")
			_, verbs, _ = strings.Cut(verbs, "[]")
			got = append(got, f[0]+" "+strings.TrimSpace(verbs))
		}
		slices.Sort(got)
		if s := strings.Join(got, "; "); s != want {
			c.Errorf("%s may %q, want %q", account, s, want)
		}
	}
}

// linesAndNothingElse has selected and other pods print.
func linesAndNothingElse(c *cluster) {
	c.kubectl("create", "namespace", others)
	unlabelled := describe("shop", c.next(), 500, -1)
	unlabelled.Labels = map[string]string{kongLabel: "shop"}
	c.begin(unlabelled).book.now.unselected += 500
	elsewhere := describe("kong-0", c.next(), 500, -1)
	elsewhere.Namespace = others
	c.apply(elsewhere)
	c.book.now.unselected += 500

	// Beside the selected container an init container and another one.
	mixed := describe("kong-mixed", c.next(), 1000, -1)
	other := mixed.Spec.Containers[0]
	other.Args = []string{"-source", "60000", "-lines", "500"}
	other.Name = "ingress-controller"
	init := other
	init.Name, init.Args = "clear-stale-pid", []string{"-source", "60001", "-lines", "10", "-exit", "0"}
	other.Args = append(other.Args, "-exit", "0")
	mixed.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	mixed.Spec.Containers = append(mixed.Spec.Containers, other)
	mixed.Spec.InitContainers = []corev1.Container{init}
	p := c.begin(mixed)
	p.enter(1000)
	c.kubectl("-n", kongs, "wait", "pod/kong-mixed", "--for=jsonpath={.status.phase}=Running", "--timeout=60s") // it will not be ready: one has ended
	p.debug("debugger", 60_002, 10)
	c.book.now.unselected += 520

	a, b := c.start("kong-0", 2000), c.start("kong-1", 2000)
	a.write(3000, 0)
	b.write(3000, 1000)
	c.until("the agent follows nothing but what is selected", 10*time.Second, func() bool { return c.metric("millrace_agent_containers") == 3 })
}

// rotation has two containers print so much that kubelet rotates and compresses
// as fast as it can.
func rotation(c *cluster) {
	a, b := c.start("kong-fast-0", 0), c.start("kong-fast-1", 0)
	first := a.inBackground(60_000, 3000)
	b.write(60_000, 3000)
	first()
	c.rotated(a)
	c.rotated(b)
	a.delete()
	b.delete()
}

// rotated checks, where the node's files are at hand, that a container's log was
// rotated and compressed.
func (c *cluster) rotated(p *pod) {
	c.Helper()
	if c.control == "" {
		return
	}
	c.until("kubelet has compressed a log of "+p.name, 15*time.Second, func() bool {
		compressed, err := filepath.Glob(filepath.Join(logDir, kongs+"_"+p.name+"_*", "proxy", "*.gz"))
		return err == nil && len(compressed) > 0
	})
}

// rotationWhileKafkaHangs lets kubelet delete what Kafka has not taken, a whole
// pod by force among it, and an agent start in between. Only hard links, made
// with exactly the shipped security context, keep it.
func rotationWhileKafkaHangs(c *cluster) {
	if v, err := os.ReadFile("/proc/sys/fs/protected_hardlinks"); err != nil || strings.TrimSpace(string(v)) != "1" {
		c.Errorf("fs.protected_hardlinks is %q (%v), and 1 is what makes this a test", v, err)
	}
	p, gone := c.start("kong-held", 1000), c.start("kong-held-gone", 1000)
	c.until("lines arrive", 30*time.Second, func() bool { c.book.read(c.warehouse); return c.book.missing == 0 })
	c.has("kafka", "pause")
	gone.write(5000, 0)
	c.written(gone)
	gone.delete("--force", "--grace-period=0")
	p.write(30_000, 2000)
	deleted, compressed := c.held()
	c.Logf("held by links alone: %d files, and %d beside their compressed ones", deleted, compressed)
	if deleted == 0 {
		c.Error("no file is held that kubelet has deleted")
	}
	killAgent(c)
	p.write(10_000, 2000)
	c.has("kafka", "resume")
	c.ready()
	if log, err := c.try(nil, "-n", "millrace", "logs", "-l", kongLabel+"=millrace-agent", "--tail", "-1"); err != nil || strings.Contains(log, "cannot be linked") || !strings.Contains(log, "held by hard links") {
		c.Errorf("the agent could not link (%v):\n%s", err, log)
	}
	p.delete()
}

// held counts the files in the spool that have no other name any more.
func (c *cluster) held() (deleted, others int) {
	c.Helper()
	err := filepath.WalkDir(dataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(path, "/spool/") || d.Name() == "version" {
			return err
		}
		if n, err := links(path); err != nil {
			return err
		} else if n == 1 {
			deleted++
		} else {
			others++
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	return deleted, others
}

// podDeletedByForce deletes pods the moment they have printed.
func podDeletedByForce(c *cluster) {
	for _, name := range []string{"kong-forced-0", "kong-forced-1"} {
		p := c.start(name, 0)
		p.write(20_000, 0)
		c.written(p)
		p.delete("--force", "--grace-period=0")
	}
	// The same name, again and again, as a StatefulSet's.
	for range 3 {
		p := c.start("kong-forced-0", 3000)
		c.written(p)
		p.delete("--now")
	}
}

// written waits until the container runtime has taken the last line out of the
// pipe: what is there when a container is killed is nobody's. After a rotation
// the last line may be in another file, and kubectl prints none.
func (c *cluster) written(p *pod) {
	c.Helper()
	last := func() string { return c.kubectl("-n", kongs, "logs", p.name, "-c", "proxy", "--tail=1") }
	c.until("the runtime has written everything", 30*time.Second, func() bool {
		before := last()
		c.pause(300 * time.Millisecond)
		return before == last()
	})
}

// labelOffAndOn takes the label off a live pod and gives it back.
func labelOffAndOn(c *cluster) {
	p := c.start("kong-label", 1000)
	follows := func(n float64) func() bool {
		return func() bool { return c.metric("millrace_agent_containers") == n }
	}
	c.until("lines arrive", 30*time.Second, func() bool { c.book.read(c.warehouse); return c.book.missing == 0 })
	all := c.metric("millrace_agent_containers")
	p.write(1000, 0)
	c.written(p)
	c.kubectl("-n", kongs, "label", "pod", p.name, kongLabel+"-")
	c.until("the agent lets go of the container", 20*time.Second, follows(all-1))
	p.writeUnselected(1000)
	c.written(p)
	c.kubectl("-n", kongs, "label", "pod", p.name, kongLabel+"=kong")
	c.until("the agent follows the container again", 20*time.Second, follows(all))
	p.write(1000, 0)
	c.written(p)
	p.delete()
}

// containerRestarts lets a container crash, which kubelet starts again, and a
// pod live for less than a second.
func containerRestarts(c *cluster) {
	p := c.start("kong-crash", 1000)
	for range 2 {
		p.write(2000, 0)
		p.crash()
		p.enter(1000) // what each run prints at once
		c.until("the container runs again", 60*time.Second, p.answers)
	}
	p.write(1000, 0)
	short := describe("kong-short", c.next(), 3000, 0)
	short.Spec.RestartPolicy = corev1.RestartPolicyNever
	c.begin(short).enter(3000)
	c.kubectl("-n", kongs, "wait", "pod/kong-short", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
	c.kubectl("-n", kongs, "delete", "pod", "kong-short")
	p.delete()
}
