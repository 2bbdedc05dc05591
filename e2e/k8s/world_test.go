package k8s

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"millrace/internal/config"
	"millrace/internal/kafkaconn"
	ddl "millrace/manifests/starrocks"
	"millrace/outputs/starrocks/starrockstest"
)

const (
	manifests = "../../manifests"
	database  = "quickstart"
	table     = "kong_log_events"
	topic     = "logging.kong"
)

// startWarehouse starts the stand-in at the addresses that the shipped
// configuration names.
func (c *cluster) startWarehouse() {
	c.Helper()
	var err error
	c.warehouse, err = starrockstest.New(starrockstest.Config{
		FrontendAddr: c.address + ":8030", BackendAddrs: []string{c.address + ":8040"}, MySQLAddr: c.address + ":9030",
		DDL:   []string{"CREATE DATABASE " + database, ddl.Recommended},
		Users: []starrockstest.User{{Name: "millrace", Password: "table-secret", Insert: true, Select: true}},
	})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { c.warehouse.Close() })
}

// kafka is the broker, as its administrator sees it.
type kafka struct{ admin *kadm.Client }

// resource is one of Strimzi's, as far as its operator would read it here.
type resource struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Partitions    int32
		Config        map[string]string
		Authorization struct {
			ACLs []struct {
				Resource struct {
					Type, Name string
					Pattern    string `yaml:"patternType"`
				}
				Operations []string
			}
		}
	}
}

// newKafka does what Strimzi's operator would with manifests/strimzi, but for
// the number of replicas: there is one broker.
func newKafka(c *cluster) *kafka {
	c.Helper()
	conn := kafkaconn.Config{
		Brokers: []string{os.Getenv("BOOTSTRAP_SASL")}, TLS: &kafkaconn.TLS{CAFile: os.Getenv("KAFKA_CA")},
		SASL: &kafkaconn.SASL{Mechanism: kafkaconn.ScramSHA512, Username: os.Getenv("KAFKA_ADMIN_USER"),
			Password: config.Password{Value: config.NewSecret(os.Getenv("KAFKA_ADMIN_PASSWORD"))}},
	}
	options, err := kafkaconn.Options(&conn, "e2e", nil, nil)
	if err != nil {
		c.Fatal(err)
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(client.Close)
	k := &kafka{kadm.NewClient(client)}
	for _, name := range []string{"topics.yaml", "users.yaml"} {
		data, err := os.ReadFile(filepath.Join(manifests, "strimzi", name))
		if err != nil {
			c.Fatal(err)
		}
		for _, document := range strings.Split(string(data), "\n---\n") {
			var r resource
			if err := yaml.Unmarshal([]byte(document), &r); err != nil {
				c.Fatalf("%s: %v", name, err)
			}
			if err := k.make(c.Context(), &r); err != nil {
				c.Fatalf("%s %s: %v", r.Kind, r.Metadata.Name, err)
			}
		}
	}
	return k
}

func (k *kafka) make(ctx context.Context, r *resource) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	switch r.Kind {
	case "KafkaTopic":
		configs := map[string]*string{}
		for key, value := range r.Spec.Config {
			configs[key] = &value
		}
		delete(configs, "min.insync.replicas")
		_, err := k.admin.CreateTopic(ctx, r.Spec.Partitions, 1, configs, r.Metadata.Name)
		return err
	case "KafkaUser":
		if err := k.password(ctx, r.Metadata.Name, r.Metadata.Name+"-secret"); err != nil {
			return err
		}
		return k.allow(ctx, r)
	}
	return fmt.Errorf("this kind is not known")
}

// password gives a user a password.
func (k *kafka) password(ctx context.Context, user, password string) error {
	altered, err := k.admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	if err == nil {
		err = altered.Error()
	}
	return err
}

func (k *kafka) allow(ctx context.Context, r *resource) error {
	for _, acl := range r.Spec.Authorization.ACLs {
		b := kadm.NewACLs().Allow("User:" + r.Metadata.Name).AllowHosts("*")
		switch acl.Resource.Type {
		case "topic":
			b.Topics(acl.Resource.Name)
		case "group":
			b.Groups(acl.Resource.Name)
		case "transactionalId":
			b.TransactionalIDs(acl.Resource.Name)
		}
		b.ResourcePatternType(map[string]kadm.ACLPattern{"literal": kadm.ACLPatternLiteral, "prefix": kadm.ACLPatternPrefixed}[acl.Resource.Pattern])
		for _, name := range acl.Operations {
			op := map[string]kadm.ACLOperation{"Read": kadm.OpRead, "Write": kadm.OpWrite, "DescribeConfigs": kadm.OpDescribeConfigs, "Describe": kadm.OpDescribe}[name]
			made, err := k.admin.CreateACLs(ctx, b.Operations(op))
			if err == nil && len(made) != 1 {
				err = fmt.Errorf("%s of %s made %d rights", name, acl.Resource.Name, len(made))
			}
			if err == nil {
				err = made[0].Err
			}
			if err != nil {
				return fmt.Errorf("allow %s on %s: %w", name, acl.Resource.Name, err)
			}
		}
	}
	return nil
}

// applyManifests runs the commands of manifests/README.md, with the overlay
// for tests instead of the base, and waits until both ends are ready.
func (c *cluster) applyManifests() {
	c.Helper()
	ca, err := os.ReadFile(os.Getenv("KAFKA_CA"))
	if err != nil {
		c.Fatal(err)
	}
	for name, text := range map[string]string{"ca.crt": string(ca), "agent.password": "agent-secret\n",
		"collector.password": "collector-secret\n", "starrocks.password": "table-secret\n"} {
		if err := os.WriteFile(filepath.Join(c.secrets, name), []byte(text), 0o600); err != nil {
			c.Fatal(err)
		}
	}
	readme, err := os.ReadFile(filepath.Join(manifests, "README.md"))
	if err != nil {
		c.Fatal(err)
	}
	overlay := c.overlay("", "")
	applied := false
	for line := range strings.Lines(string(readme)) {
		command, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "    kubectl ")
		if !ok || applied {
			continue
		}
		applied = strings.Contains(command, "apply -k manifests/base")
		command = strings.Replace(command, "manifests/base", overlay, 1)
		cmd := exec.CommandContext(c.Context(), "kubectl", strings.Fields(command)...)
		cmd.Dir = c.secrets
		out, err := cmd.CombinedOutput()
		if err != nil {
			c.Fatalf("kubectl %s: %v\n%s", command, err, out)
		}
		c.Logf("$ kubectl %s\n%s", command, out)
	}
	if !applied {
		c.Fatal("README.md does not say `kubectl apply -k manifests/base`")
	}
	c.kubectl("create", "namespace", kongs)
	defer func() {
		if c.Failed() {
			c.explain()
		}
	}()
	c.kubectl("-n", "millrace", "rollout", "status", "daemonset/millrace-agent", "--timeout=120s")
	c.kubectl("-n", "millrace", "rollout", "status", "statefulset/millrace-collector", "--timeout=120s")
}
