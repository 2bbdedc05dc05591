package kube

import (
	"os"
	"path/filepath"

	"millrace/internal/config"
)

// Where names, labels and the rest of a record's kubernetes object come from.
const (
	MetadataAPI  = "api"  // from the API server: selection by labels, the whole object
	MetadataPath = "path" // from the pod log directory alone: no API server, no labels
)

// Config is the kubernetes section of the agent's configuration.
type Config struct {
	// Cluster names the cluster in positions and transactional ids. Empty: the
	// UID of the namespace kube-system, or "local" with metadata: path.
	Cluster string `yaml:"cluster"`
	// Node is the name of this node, as in spec.nodeName of its pods. The
	// default is the environment's NODE_NAME.
	Node string `yaml:"node"`
	// Metadata is MetadataAPI or MetadataPath.
	Metadata string `yaml:"metadata"`
	// Kubeconfig is a kubeconfig file. Empty: the pod's service account.
	Kubeconfig string `yaml:"kubeconfig"`
	// LogDir is the kubelet's pod log directory (podLogsDir). Beside it the
	// directory "containers" is expected, whose links tell the IDs of containers
	// that the API server has not told; without it these are left out.
	LogDir string `yaml:"log_dir"`
}

// SetDefaults fills in what an ordinary DaemonSet needs.
func (c *Config) SetDefaults() {
	c.Node = os.Getenv("NODE_NAME")
	c.Metadata = MetadataAPI
	c.LogDir = "/var/log/pods"
}

// Validate checks the section without touching files or the network.
func (c *Config) Validate(e *config.Errors) {
	if c.Node == "" {
		e.Add("node", "must not be empty: write ${NODE_NAME} and give the pod that variable from spec.nodeName, or name the node")
	}
	e.Enum("metadata", c.Metadata, MetadataAPI, MetadataPath)
	if !filepath.IsAbs(c.LogDir) {
		e.Add("log_dir", "must be an absolute path")
	}
	if c.Metadata == MetadataPath && c.Kubeconfig != "" {
		e.Add("kubeconfig", "has no use with metadata: path, which asks no API server")
	}
}
