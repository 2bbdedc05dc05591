package starrocks

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"millrace/internal/config"
	"millrace/internal/pipeline"
)

// Config is the section output.starrocks.
type Config struct {
	// URLs are addresses of frontends, http or https, tried one after
	// another. A load goes from there to the backend the frontend names.
	// Proxies that the environment names (HTTPS_PROXY) are not used.
	URLs     []string `yaml:"urls"`
	Database string   `yaml:"database"`
	Table    string   `yaml:"table"`
	Username string   `yaml:"username"`
	// Password is read for each load, so that a rotated one counts at once.
	Password config.Password `yaml:",inline"`
	// QueryAddr is host:port of a frontend's MySQL protocol, where the
	// table's description is read at start. Empty: the table is taken for
	// the one of the README, its strings for 65,533 bytes, and of columns
	// beside it nothing is known: a moment for one that is a DATETIME is sent
	// as it came, and StarRocks ignores its offset.
	QueryAddr string `yaml:"query_addr"`
	// TLS says whom to trust and who we are at https addresses. Without the
	// section the system's certificates decide.
	TLS *TLS `yaml:"tls"`
	// QueryTLS, with the same keys, encrypts the connection to QueryAddr.
	QueryTLS *TLS `yaml:"query_tls"`
	// AllowPlainRedirect lets an https frontend send us, with the password,
	// to an http backend. StarRocks' own redirects are always http.
	AllowPlainRedirect bool `yaml:"allow_plain_redirect"`
	// Compression of a load's body: none, lz4, zstd or gzip. StarRocks takes
	// compressed JSON since 3.2.7, which is why the default is none.
	Compression string `yaml:"compression"`
	Load        Load   `yaml:"load"`
	// Columns maps a field of the record, nested ones with dots, to a
	// column, for what the names don't say.
	Columns map[string]string `yaml:"columns"`
	// CreateTable makes the recommended table if there is none.
	CreateTable bool `yaml:"create_table"`
	// DeadLetter is where records go that can never be rows. Without the
	// section such a record stops the pipeline.
	DeadLetter *DeadLetterConfig `yaml:"dead_letter"`
}

// Load is the section load: when a batch becomes one load, and how it is
// repeated.
type Load struct {
	// MaxBytes, MaxRows and MaxAge (since its first record) close a batch,
	// whichever comes first.
	MaxBytes config.Size   `yaml:"max_bytes"`
	MaxRows  int           `yaml:"max_rows"`
	MaxAge   time.Duration `yaml:"max_age"`
	// MaxPerSecond bounds loads into the table: each is a version in every
	// tablet, and labels are forgotten by count.
	MaxPerSecond float64 `yaml:"max_per_second"`
	// Concurrency is the number of loads that may run at once.
	Concurrency int `yaml:"concurrency"`
	// OnUnknown says what to do when StarRocks does not know a label that may
	// have been sent, and nothing else tells whether it is in: stop, or resend.
	OnUnknown string `yaml:"on_unknown"`
	// Timeout is what StarRocks allows for one load; ours is a little longer.
	Timeout time.Duration `yaml:"timeout"`
	// MaxBackoff is the longest wait between two attempts.
	MaxBackoff time.Duration `yaml:"max_backoff"`
}

// DeadLetterConfig is the section dead_letter.
type DeadLetterConfig struct {
	// Topic is on the Kafka cluster the records come from.
	Topic string `yaml:"topic"`
}

// TLS is the section tls; its files are PEM and are read at each connection.
type TLS struct {
	CAFile     string `yaml:"ca_file"`
	CertFile   string `yaml:"cert_file"`
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"`
}

// The values of on_unknown.
const (
	OnUnknownStop   = "stop"
	OnUnknownResend = "resend"
)

// maxLoadBytes leaves room below streaming_load_max_batch_size_mb, 100 MB of
// JSON, for what a row grows by.
const maxLoadBytes = 80 * config.MiB

// SetDefaults sets what the file may leave out.
func (c *Config) SetDefaults() { c.Compression = "none" }

// SetDefaults sets what the file may leave out.
func (l *Load) SetDefaults() {
	l.MaxBytes = 64 * config.MiB
	l.MaxRows = 500_000
	l.MaxAge = 2 * time.Second
	l.MaxPerSecond = 1
	l.Concurrency = 2
	l.OnUnknown = OnUnknownStop
	l.Timeout = 2 * time.Minute
	l.MaxBackoff = 30 * time.Second
}

// identifier is what a database, table or column may be called here: what
// needs no quoting in a URL path (FeNameFormat.java allows little more).
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,255}$`)

// Validate checks the section's keys; it touches neither files nor network.
func (c *Config) Validate(e *config.Errors) {
	e.NotEmpty("urls", c.URLs)
	for i, s := range c.URLs {
		if u, err := url.Parse(s); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			e.Add(fmt.Sprintf("urls[%d]", i), "must be the address of a frontend, such as http://starrocks-fe:8030, without user and path")
		}
	}
	e.NotEmpty("username", c.Username)
	for key, name := range map[string]string{"database": c.Database, "table": c.Table} {
		if name == "" {
			e.NotEmpty(key, name)
		} else if !identifier.MatchString(name) {
			e.Add(key, "must be letters, digits and _, beginning with a letter or _")
		}
	}
	if c.QueryAddr != "" {
		host, port, err := net.SplitHostPort(c.QueryAddr)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || n == 0 {
			e.Add("query_addr", "must be host:port, such as starrocks-fe:9030")
		}
	}
	e.Enum("compression", c.Compression, "none", "lz4", "zstd", "gzip")
	if c.CreateTable && c.QueryAddr == "" {
		e.Add("create_table", "needs query_addr: a table is created over the MySQL protocol")
	}
	c.validateColumns(e)
}

func (c *Config) validateColumns(e *config.Errors) {
	taken, paths := map[string]string{}, map[string]string{}
	for _, field := range sortedKeys(c.Columns) {
		key, name := fmt.Sprintf("columns[%q]", field), c.Columns[field]
		path, err := pipeline.ParsePath(field)
		switch other, again := paths[path.Key]; {
		case err != nil:
			e.Add(key, "must be the path of a field: %v", err)
		case again:
			e.Add(key, "must not be there: it is the same field as %s, and a field goes to one column", other)
		default:
			paths[path.Key] = field
		}
		switch {
		case !identifier.MatchString(name):
			e.Add(key, "must be a column's name: letters, digits and _, beginning with a letter or _")
		case name == topicColumn || name == partitionColumn || name == offsetColumn || name == truncatedColumn:
			e.Add(key, "must not be %s: Millrace fills that column itself", name)
		case taken[name] != "":
			e.Add(key, "must not be %s: %s goes there already", name, taken[name])
		}
		taken[name] = field
	}
}

// Validate checks the section's keys.
func (l *Load) Validate(e *config.Errors) {
	if l.MaxBytes < 64*config.KiB || l.MaxBytes > maxLoadBytes {
		e.Add("max_bytes", "must be between 64KiB and %s: StarRocks refuses more than 100 MB of JSON in one load", maxLoadBytes)
	}
	if l.MaxRows < 1 || l.MaxRows > 10_000_000 {
		e.Add("max_rows", "must be between 1 and 10000000")
	}
	if l.MaxAge <= 0 {
		e.Add("max_age", "must be more than 0")
	}
	if !(l.MaxPerSecond > 0) || l.MaxPerSecond > 1000 {
		e.Add("max_per_second", "must be more than 0 and at most 1000")
	}
	if l.Concurrency < 1 || l.Concurrency > 64 {
		e.Add("concurrency", "must be between 1 and 64")
	}
	e.Enum("on_unknown", l.OnUnknown, OnUnknownStop, OnUnknownResend)
	if l.Timeout < time.Second || l.Timeout > 72*time.Hour {
		e.Add("timeout", "must be between 1s and 72h")
	}
	if l.MaxBackoff < 10*time.Millisecond {
		e.Add("max_backoff", "must be at least 10ms")
	}
}

// Validate checks the section's keys.
func (d *DeadLetterConfig) Validate(e *config.Errors) { e.NotEmpty("topic", d.Topic) }

// Validate checks the section's keys.
func (t *TLS) Validate(e *config.Errors) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		e.Add("", "must have both of cert_file and key_file or neither")
	}
}
