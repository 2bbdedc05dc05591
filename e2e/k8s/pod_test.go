package k8s

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"millrace/e2e/k8s/lines"
)

const (
	kongs     = "kong"  // the namespace
	others    = "other" // another one
	kongLabel = "app.kubernetes.io/name"
)

// pod prints lines in a container that the shipped configuration selects.
type pod struct {
	*cluster
	name, ip  string
	uids      []string // more than one only of a static pod
	container string
	source    uint16
	lines     *lines.Lines   // of its container's present run
	entered   int            // lines in the book
	ids       map[string]int // rows by the container ID they name
}

// runs is how many runs of its container a pod may have.
const runs = 10

// describe is the pod's object; its container prints first lines at once and
// then serves requests, or ends with exit if that is not negative.
func describe(name string, source uint16, first, exit int) *corev1.Pod {
	grace, no := int64(1), false
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: kongs, Name: name, Labels: map[string]string{kongLabel: "kong"}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken:  &no, // kubelet would have to ask the API server for it
			Volumes:                       []corev1.Volume{{Name: "state", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			Containers: []corev1.Container{{
				Name: "proxy", Image: "millrace-writer:devel", ImagePullPolicy: corev1.PullNever,
				Args:         []string{"-state", "/state", "-source", fmt.Sprint(source), "-lines", fmt.Sprint(first), "-exit", fmt.Sprint(exit)},
				VolumeMounts: []corev1.VolumeMount{{Name: "state", MountPath: "/state"}},
			}},
		},
	}
}

// start starts a pod whose first lines are entered, and waits until it runs.
func (c *cluster) start(name string, first int) *pod {
	c.Helper()
	p := c.begin(describe(name, c.next(), first, -1))
	p.enter(first)
	p.wait()
	return p
}

// next is the source of a pod that is to be described.
func (c *cluster) next() uint16 {
	c.sources += runs
	return c.sources
}

// begin makes a pod.
func (c *cluster) begin(object *corev1.Pod) *pod {
	c.Helper()
	c.apply(object)
	p := c.writer(object.Name, "proxy", c.sources)
	p.uids = []string{p.uid()}
	return p
}

// writer is a container of a pod that prints the lines of a source.
func (c *cluster) writer(name, container string, source uint16) *pod {
	return &pod{cluster: c, name: name, container: container, source: source, lines: lines.New(source), ids: map[string]int{}}
}

func (p *pod) uid() string {
	p.Helper()
	return p.kubectl("-n", kongs, "get", "pod", p.name, "-o", "jsonpath={.metadata.uid}")
}

// wait waits until the pod runs.
func (p *pod) wait() {
	p.Helper()
	// After an outage of the API server its clients pause for up to a minute.
	p.kubectl("-n", kongs, "wait", "pod/"+p.name, "--for=condition=Ready", "--timeout=180s")
	p.ip = p.kubectl("-n", kongs, "get", "pod", p.name, "-o", "jsonpath={.status.podIP}")
}

// enter notes n lines that have to become rows.
func (p *pod) enter(n int) {
	for range n {
		p.book.enter(p, p.lines.Next())
	}
	p.book.now.lines += n
}

// write has the pod print n lines that have to become rows, and returns when
// they are written. rate is lines a second, 0 as fast as it goes.
func (p *pod) write(n, rate int) {
	p.Helper()
	p.enter(n)
	if err := p.print(n, rate); err != nil {
		p.Fatal(err)
	}
}

// writeUnselected has it print lines that must not become rows.
func (p *pod) writeUnselected(n int) {
	p.Helper()
	for range n {
		p.lines.Next()
	}
	p.book.now.unselected += n
	if err := p.print(n, 0); err != nil {
		p.Fatal(err)
	}
}

func (p *pod) print(n, rate int) error {
	_, err := p.ask(p.ip+":8080", fmt.Sprintf("/write?lines=%d&rate=%d", n, rate))
	return err
}

// inBackground has it print while something else happens; the result waits for
// it.
func (p *pod) inBackground(n, rate int) (wait func()) {
	p.enter(n)
	done := make(chan error, 1)
	go func() { done <- p.print(n, rate) }()
	return func() {
		p.Helper()
		if err := <-done; err != nil {
			p.Fatal(err)
		}
	}
}

// crash ends the container, and the next run's lines are those of the next
// source.
func (p *pod) crash() {
	_, _ = p.ask(p.ip+":8080", "/exit?code=1") // it is gone before it answers
	p.source++
	p.lines = lines.New(p.source)
}

// answers tells whether the container takes requests.
func (p *pod) answers() bool { return p.print(0, 0) == nil }

func (p *pod) delete(more ...string) {
	p.Helper()
	p.kubectl(append([]string{"-n", kongs, "delete", "pod", p.name}, more...)...)
}

// ask sends a request to a pod.
func (c *cluster) ask(addr, path string) (string, error) {
	client := http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return "", fmt.Errorf("ask a pod: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", path, resp.Status, body)
	}
	return string(body), err
}

// agent is the agent's pod, the one that is not being deleted.
func (c *cluster) agent() *corev1.Pod {
	c.Helper()
	var found *corev1.Pod
	c.until("there is one agent, and it runs", 60*time.Second, func() bool {
		found = nil
		for _, p := range c.pods("millrace", kongLabel+"=millrace-agent") {
			if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning && p.Status.PodIP != "" {
				found = &p
			}
		}
		return found != nil
	})
	return found
}

// ready waits until the agent is ready.
func (c *cluster) ready() {
	c.Helper()
	c.until("the agent is ready", 90*time.Second, func() bool {
		_, err := c.ask(c.agent().Status.PodIP+":9600", "/readyz")
		return err == nil
	})
}

// metric adds up the series of one of the agent's metrics.
func (c *cluster) metric(name string) (sum float64) {
	c.Helper()
	body, err := c.ask(c.agent().Status.PodIP+":9600", "/metrics")
	if err != nil {
		c.Fatal(err)
	}
	for line := range strings.Lines(body) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if series == name || strings.HasPrefix(series, name+"{") {
			if i := strings.LastIndexByte(line, ' '); i >= 0 {
				value = strings.TrimSpace(line[i:])
			}
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				c.Fatalf("metric %s: %v", line, err)
			}
			sum += n
		}
	}
	return sum
}
