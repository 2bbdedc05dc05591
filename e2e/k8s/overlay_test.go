package k8s

import (
	"os"
	"path/filepath"
	"strings"
)

// shippedAddress is where manifests/overlays/test has Kafka and StarRocks.
const shippedAddress = "10.99.0.1"

// overlay makes a copy of the manifests in which the services are at the
// address of this machine and agent.yaml says to instead of from, and returns
// the directory of the overlay for tests.
func (c *cluster) overlay(from, to string) string {
	c.Helper()
	dir := c.TempDir()
	if err := os.CopyFS(dir, os.DirFS(manifests)); err != nil {
		c.Fatal(err)
	}
	c.edit(filepath.Join(dir, "base", "agent.yaml"), from, to)
	c.edit(filepath.Join(dir, "overlays", "test", "kustomization.yaml"), shippedAddress, c.address)
	return filepath.Join(dir, "overlays", "test")
}

// edit replaces a text that a file must have.
func (c *cluster) edit(path, from, to string) {
	c.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		c.Fatal(err)
	}
	if !strings.Contains(string(data), from) {
		c.Fatalf("%s does not say %q", path, from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600); err != nil {
		c.Fatal(err)
	}
}

// applyChanged applies the manifests with another agent.yaml.
func (c *cluster) applyChanged(from, to string) {
	c.Helper()
	c.kubectl("apply", "-k", c.overlay(from, to))
}

// lend refuses a cluster that is not ours unless the tests fit it and find
// nothing of anybody's there, and has them leave nothing.
func (c *cluster) lend() {
	c.Helper()
	if nodes := strings.Fields(c.kubectl("get", "nodes", "-o", "name")); len(nodes) != 1 {
		c.Fatalf("the cluster that KUBECONFIG names has the nodes %v: the tests look at one agent, give them a cluster of one node", nodes)
	}
	namespaces := []string{"namespace/millrace", "namespace/" + kongs, "namespace/" + others}
	for _, name := range namespaces {
		if c.kubectl("get", name, "--ignore-not-found", "-o", "name") != "" {
			c.Fatalf("the cluster that KUBECONFIG names has a %s already: the tests would change it and delete it", name)
		}
	}
	c.Cleanup(func() { // the context of the test has ended
		c.kubectl("delete", "--ignore-not-found", "-k", c.overlay("", ""))
		c.kubectl(append([]string{"delete", "--ignore-not-found"}, namespaces...)...)
	})
}
