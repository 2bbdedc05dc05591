package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"millrace/demo/kubelet"
)

// The names of all nodes' agents.
const (
	clusterName  = "bench"
	pipelineName = "bench"
)

// node is a node with its containers' logs and its agent.
type node struct {
	name, dir  string
	containers []*kubelet.Container
	admin      string
	config     string

	cmd   *exec.Cmd
	ended chan error // of cmd
}

// transactionalID is that of the node's agent.
func (n *node) transactionalID() string {
	return strings.Join([]string{"millrace", clusterName, n.name, pipelineName}, "-")
}

// newNode makes the node's logs and the agent's configuration.
func newNode(c *cluster, o *options, dir, name string) (*node, error) {
	n := &node{name: name, dir: filepath.Join(dir, name)}
	world, err := kubelet.NewNode(kubelet.Config{LogDir: filepath.Join(n.dir, "pods"), MaxSize: 10 << 20, MaxFiles: 5, Interval: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	for i := range o.containers {
		pod := kubelet.Pod{Namespace: "shop", Name: fmt.Sprintf("checkout-6d5f8c7b9d-%s-%03d", name, i),
			UID: fmt.Sprintf("%08x-7a52-4f0a-9c0b-0d7f2f4b7e11", 0x9e3779b1*uint32(i+1))}
		container, err := world.Start(pod, "server", time.Now())
		if err != nil {
			return nil, err
		}
		n.containers = append(n.containers, container)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	n.admin = l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	n.config = filepath.Join(n.dir, "agent.yaml")
	if err := os.WriteFile(filepath.Join(n.dir, "password"), []byte(c.agent.password), 0o600); err != nil {
		return nil, fmt.Errorf("write the agent's password: %w", err)
	}
	if err := os.WriteFile(n.config, []byte(n.yaml(c, o)), 0o600); err != nil {
		return nil, fmt.Errorf("write the agent's configuration: %w", err)
	}
	return n, nil
}

func (n *node) yaml(c *cluster, o *options) string {
	return fmt.Sprintf(`data_dir: %[1]s/data
admin: "%[2]s"
log: {level: info, format: text}
kubernetes: {cluster: %[3]s, node: %[4]s, metadata: path, log_dir: %[1]s/pods}
pipelines:
  - name: %[5]s
    source: {containers: {include: [{namespaces: [shop]}]}}
    output:
      kafka:
        brokers: ["%[6]s"]
        topic: %[7]s
        delivery: exactly_once
        key: %[8]s
        transaction: {interval: %[9]s, timeout: %[10]s, positions_topic: %[11]s}
        tls: {ca_file: %[12]s}
        sasl: {username: %[13]s, password_file: %[1]s/password}
`, n.dir, n.admin, clusterName, n.name, pipelineName, strings.Join(c.addrs, `", "`), c.topic, o.key, o.interval, o.timeout,
		c.positions, c.ca, c.agent.user)
}

// start starts the agent, which dies with this program.
func (n *node) start(program string) error {
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of an agent: %w", err)
	}
	defer log.Close()
	n.cmd, n.ended = exec.Command(program, "agent", "-config", n.config), make(chan error, 1)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	// The signal comes when the thread ends that starts the child; Go ends none
	// that no goroutine was locked to.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start the agent of %s: %w", n.name, err)
	}
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(n.cmd, n.ended)
	return nil
}

func (n *node) log() string { return filepath.Join(n.dir, "agent.log") }

// signal sends the agent a signal.
func (n *node) signal(s syscall.Signal) error {
	if err := n.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to the agent of %s: %w", s, n.name, err)
	}
	return nil
}

// kill ends the agent as kill -9 does, whatever it is doing.
func (n *node) kill() {
	if n.cmd != nil {
		n.cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-n.ended            //nolint:errcheck // that it was killed
		n.cmd = nil
	}
}

// stop ends the agent as Kubernetes does.
func (n *node) stop() error {
	if n.cmd == nil {
		return nil
	}
	err := n.signal(syscall.SIGTERM)
	err = errors.Join(err, <-n.ended)
	n.cmd = nil
	if err != nil {
		text, _ := os.ReadFile(n.log()) // without it the error must do
		return fmt.Errorf("stop the agent of %s: %w; its log ends with:\n%s", n.name, err, text[max(0, len(text)-2000):])
	}
	return nil
}

// awaitReady waits until the agent says that it delivers. Before it knows of
// what that depends it says so too.
func (n *node) awaitReady(ctx context.Context) error {
	err := until(ctx, time.Minute, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.admin+"/readyz", nil)
		if err != nil {
			return false, err
		}
		req.Header.Set("Accept", "application/json")
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return err == nil && answer.StatusCode == http.StatusOK && strings.Contains(string(body), pipelineName+"/output"), nil
	})
	if err != nil {
		text, _ := os.ReadFile(n.log()) // without it the error must do
		return fmt.Errorf("wait for the agent of %s: %w; its log ends with:\n%s", n.name, err, text[max(0, len(text)-2000):])
	}
	return nil
}

// bytesRead is what the agent's process has read from files and connections:
// Go reads both with read(2), which /proc counts.
func (n *node) bytesRead() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", n.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("look at the agent of %s: %w", n.name, err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "rchar: "); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("look at the agent: /proc tells no rchar")
}
