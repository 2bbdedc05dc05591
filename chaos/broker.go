package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// brokers are the brokers of a cluster as processes. Their numbers begin
// with 1. Its methods may be called concurrently, for different brokers.
type brokers interface {
	// kill ends a broker as kill -9 does.
	kill(ctx context.Context, n int) error
	// start starts it again and returns when it takes connections.
	start(ctx context.Context, n int) error
	// close ends what was started for this run.
	close()
}

// realBrokers are those of the environment's Kafka.
type realBrokers struct {
	control string
	addrs   []string   // of the brokers, in the order of their numbers
	mu      sync.Mutex // the command is not made for concurrent use
}

func (r *realBrokers) kill(ctx context.Context, n int) error { return r.run(ctx, "kill", n) }
func (r *realBrokers) close()                                {}

// start asks the broker itself whether it is up: the command may wait for a
// line in a log that clients flood.
func (r *realBrokers) start(ctx context.Context, n int) error {
	waiting, up := context.WithCancel(ctx)
	defer up()
	started := make(chan error, 1)
	go func() { started <- r.run(waiting, "start", n) }()
	err := until(ctx, patience, func() (bool, error) { return answers(r.addrs[n-1]), nil })
	up()
	if failed := <-started; err != nil {
		return errors.Join(err, failed)
	}
	return nil
}

// answers tells whether somebody takes connections at an address.
func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func (r *realBrokers) run(ctx context.Context, verb string, n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	cmd := exec.CommandContext(ctx, r.control, verb, strconv.Itoa(n))
	var errs strings.Builder
	cmd.Stderr = &errs
	// What the command starts stays behind and must not hold our pipes open.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("%s %s %d: %w: %s", r.control, verb, n, err, errs.String())
	}
	return nil
}

// fakeBroker is a kfake in a process of its own that keeps its data on disk.
type fakeBroker struct {
	config  fakeConfig
	log     string
	process *process
	in      io.Closer
}

// fakeConfig is what the child is told.
type fakeConfig struct {
	Port          int    `json:"port"`
	Dir           string `json:"dir"`
	AdminUser     string `json:"admin_user"`
	AdminPassword string `json:"admin_password"`
	AgentUser     string `json:"agent_user"`
	AgentPassword string `json:"agent_password"`

	CollectorUser     string `json:"collector_user"`
	CollectorPassword string `json:"collector_password"`
}

func (c *fakeConfig) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)) }

// startFake starts a broker with three users and no topic.
func startFake(ctx context.Context, dir string) (*fakeBroker, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	b := &fakeBroker{log: filepath.Join(dir, "broker.log"), config: fakeConfig{
		Port: port, Dir: filepath.Join(dir, "kafka"), AdminUser: "admin", AdminPassword: "admin-secret", AgentUser: "agent", AgentPassword: "agent-secret",
		CollectorUser: "collector", CollectorPassword: "collector-secret"}}
	return b, b.start(ctx, 1)
}

func (b *fakeBroker) kill(context.Context, int) error {
	b.process.kill()
	b.in.Close()
	return nil
}

func (b *fakeBroker) start(ctx context.Context, _ int) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	arg, err := json.Marshal(b.config)
	if err != nil {
		return err
	}
	b.process, err = launch("broker", b.log, func(cmd *exec.Cmd) (err error) {
		b.in, err = cmd.StdinPipe()
		return err
	}, self, brokerChild, string(arg))
	if err != nil {
		return err
	}
	return until(ctx, 20*time.Second, func() (bool, error) {
		if !b.process.running() {
			return false, fmt.Errorf("the broker has ended (%w): %s", b.process.err, tail(b.log))
		}
		return answers(b.config.addr()), nil
	})
}

func (b *fakeBroker) close() {
	if b.process != nil {
		b.process.kill()
	}
}

// serveBroker is the child: a broker until its standard input ends.
func serveBroker(arg string, in io.Reader) error {
	var c fakeConfig
	if err := json.Unmarshal([]byte(arg), &c); err != nil {
		return err
	}
	const mechanism = "SCRAM-SHA-512"
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(c.Port), kfake.DataDir(c.Dir), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser(mechanism, c.AdminUser, c.AdminPassword), kfake.User(mechanism, c.AgentUser, c.AgentPassword),
		kfake.User(mechanism, c.CollectorUser, c.CollectorPassword))
	if err != nil {
		return fmt.Errorf("start kfake: %w", err)
	}
	defer cluster.Close()
	_, err = io.Copy(io.Discard, in)
	return err
}

// freePort is a port of the loopback address that nobody uses just now. It is
// below those that the kernel gives to clients (32768 and up): one who was
// killed must find it free again.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 10_000 + rand.IntN(10_000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}
