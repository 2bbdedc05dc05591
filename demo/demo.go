package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"

	"millrace/agent/kube/kubetest"
	"millrace/demo/audit"
	"millrace/internal/certtest"
)

//go:embed config/*.yaml
var configs embed.FS

// end is one of the two processes of the product.
type end struct {
	child *child
	probe *probe
}

// demo is everything that runs on this machine.
type demo struct {
	opts      *options
	dir       string // work folder
	program   string // the millrace to run
	cluster   *cluster
	warehouse *warehouse
	api       *kubetest.Server
	node      *node
	agent     *end
	collector *end
	flow      *flow
	closers   []func() error // in the order of their start
}

// build compiles the program of this module, as a user would get it.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "millrace")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "millrace").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build millrace (or name a built one with -millrace): %w\n%s", err, out)
	}
	return path, nil
}

// start starts everything, the far end first. Where it returns an error it has
// stopped what it started. A book takes the lines that have to arrive.
func (d *demo) start(ctx context.Context, book *audit.Book) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	secrets, err := loadSecrets(d.dir)
	if err != nil {
		return err
	}
	if err := d.far(secrets); err != nil {
		return err
	}
	left := base{Rows: d.warehouse.Count(database, table)}
	if end, _, err := d.cluster.offsets(ctx); err == nil {
		left.Kafka = &end
	}
	if err := d.near(book); err != nil {
		return err
	}
	if err := d.ends(d.program); err != nil {
		return err
	}
	d.flow = &flow{node: d.node, cluster: d.cluster, warehouse: d.warehouse, agent: d.agent, collector: d.collector, base: left}
	return nil
}

// far starts Kafka and StarRocks.
func (d *demo) far(secrets map[string]string) error {
	ca, err := certtest.NewCA("millrace demo CA")
	if err != nil {
		return err
	}
	if err := ca.WriteFile(filepath.Join(d.dir, "ca.crt")); err != nil {
		return err
	}
	if d.cluster, err = startCluster(filepath.Join(d.dir, "kafka"), ca, secrets); err != nil {
		return err
	}
	d.onClose(d.cluster.close)
	if d.warehouse, err = startWarehouse(filepath.Join(d.dir, "starrocks"), secrets, d.opts); err != nil {
		return err
	}
	d.onClose(d.warehouse.close)
	return nil
}

// near starts the node and its API server.
func (d *demo) near(book *audit.Book) (err error) {
	if d.api, err = startAPI(filepath.Join(d.dir, "kubeconfig")); err != nil {
		return err
	}
	d.onClose(d.api.Close)
	size := nodeSize{maxSize: 1 << 20, maxFiles: 5}
	if d.node, err = newNode(filepath.Join(d.dir, "log"), size, d.api, book); err != nil {
		return err
	}
	d.onClose(d.node.close)
	return nil
}

// ends starts the collector and the agent.
func (d *demo) ends(program string) error {
	agentPort, err := freePort()
	if err != nil {
		return err
	}
	collectorPort, err := freePort()
	if err != nil {
		return err
	}
	unknown := "stop" // cannot happen: the rows tell
	if !d.warehouse.provenance {
		unknown = "resend" // or a kill between a plan and its load might need somebody to look
	}
	values := map[string]string{
		"Dir": d.dir, "Node": nodeName, "Selector": selector,
		"Kafka": d.cluster.addr(), "Topic": topic, "Group": group,
		"StarRocks": d.warehouse.URL(), "Query": d.warehouse.MySQLAddr(), "Database": database, "Table": table, "Unknown": unknown,
		"AgentAdmin": fmt.Sprintf("127.0.0.1:%d", agentPort), "CollectorAdmin": fmt.Sprintf("127.0.0.1:%d", collectorPort),
	}
	if d.collector, err = d.end(program, "collector", values["CollectorAdmin"], values); err != nil {
		return err
	}
	d.agent, err = d.end(program, "agent", values["AgentAdmin"], values)
	return err
}

// end writes the configuration of one end and starts it.
func (d *demo) end(program, name, admin string, values map[string]string) (*end, error) {
	if err := os.MkdirAll(filepath.Join(d.dir, "collector"), 0o755); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	t, err := template.ParseFS(configs, "config/"+name+".yaml")
	if err != nil {
		return nil, fmt.Errorf("BUG: configuration of the %s: %w", name, err)
	}
	path := filepath.Join(d.dir, name+".yaml")
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	err = errors.Join(t.Execute(f, values), f.Close())
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	c, err := startChild(name, filepath.Join(d.dir, name+".log"), program, name, "-config", path)
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, c.Stop)
	return &end{child: c, probe: newProbe(admin)}, nil
}

func (d *demo) onClose(f func()) {
	d.closers = append(d.closers, func() error { f(); return nil })
}

// close stops everything in the opposite order of its start.
func (d *demo) close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// broken is the reason why an end is not started any more, or nil.
func (d *demo) broken() error { return errors.Join(d.agent.child.err(), d.collector.child.err()) }

// write keeps the containers writing until the context ends or the limit is
// reached; rate is asked each time.
func (d *demo) write(ctx context.Context, rate func(time.Time) float64, between func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := between(); err != nil {
				return err
			}
			full, err := d.node.advance(now, rate(now))
			if err != nil || full {
				return err
			}
		}
	}
}
