package tail

import (
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Config is how containers' logs are read.
type Config struct {
	// StartAt is where to begin in a container that was never seen before:
	// "beginning", or "end" of what was written before the agent's start.
	StartAt string `yaml:"start_at"`
	// JoinPartial makes one record of a line that the runtime cut into
	// pieces of 16 KiB.
	JoinPartial bool `yaml:"join_partial"`
	// MaxLine bounds the message of a record; the rest of the line is cut.
	MaxLine config.Size `yaml:"max_line"`
	// SpoolLimit bounds what deleted files that are not delivered take on the
	// disk; beyond it the oldest are given up.
	SpoolLimit config.Size `yaml:"spool_limit"`
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() {
	c.StartAt = "beginning"
	c.JoinPartial = true
	c.MaxLine = 1 << 20
	c.SpoolLimit = 1 << 30
}

// Validate implements config.Validator.
func (c *Config) Validate(e *config.Errors) {
	e.Enum("start_at", c.StartAt, "beginning", "end")
	if c.MaxLine < 1<<10 || c.MaxLine > 64<<20 {
		e.Add("max_line", "must be from 1KiB to 64MiB")
	}
	if c.SpoolLimit < 1<<20 {
		e.Add("spool_limit", "must be at least 1MiB")
	}
}

// BatchMemory is about how much memory one batch holds while it is in flight:
// the lines read, the records made of them and what a client needs to send
// them. The agent's memory limit divided by it is the size of the pool.
const BatchMemory = rawSize + encodedSize + 128<<10

// Metadata is what is known about a container for one of its restart counts.
type Metadata struct {
	// Tail is the JSON that follows the message in each record, see
	// pipeline.Origin.
	Tail []byte
	// Fields are Tail's strings by path, see pipeline.Origin.
	Fields map[string][]byte
}

// Target is a container to follow.
type Target struct {
	// Key is the container's directory below Options.LogDir, the same across
	// restarts of the container and of the agent; positions are saved under
	// it. The directory need not exist yet.
	Key string
	// PodUID identifies its pod.
	PodUID string
	// Namespace, Pod and Name are for people and metrics.
	Namespace, Pod, Name string
	// Metadata says what is known for a restart count, never nil and the same
	// pointer while nothing changes; complete is false as long as more may
	// become known. Lines wait for it a bounded time. It is called often, from
	// any goroutine, and must not block.
	Metadata MetadataFunc
}

// MetadataFunc is the type of Target.Metadata.
type MetadataFunc func(restart int) (m *Metadata, complete bool)

// LabelNames are the ledger's label names that Target's fields fill.
var LabelNames = []string{"namespace", "pod", "container"}

// Options are what a Source works with.
type Options struct {
	Config Config
	// LogDir is kubelet's pod log directory, /var/log/pods.
	LogDir string
	// DataDir is where positions are kept, and links to files that must not be
	// lost; it belongs to this source alone. Links need it to be on the same
	// file system and below the same mount as LogDir.
	DataDir string
	// BootID tells one run of the node's kernel from others; empty: what
	// /proc/sys/kernel/random/boot_id says.
	BootID string
	// Pool bounds what is in flight.
	Pool *pipeline.Pool
	// Ledger gets an account for each container, with LabelNames.
	Ledger *pipeline.Ledger
	// Transactional says that the output commits positions with the records:
	// nothing is read before Restore.
	Transactional bool

	Logger     *slog.Logger
	Registerer prometheus.Registerer

	metrics metrics
	started time.Time
	since   time.Time                           // the first start of all, over restarts
	link    func(f *os.File, path string) error // nil: a hard link
}
