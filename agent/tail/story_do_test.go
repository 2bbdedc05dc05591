package tail

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sys/unix"

	"millrace/internal/config"
)

func (s *story) set(args string) {
	key, value, _ := strings.Cut(args, " ")
	switch key {
	case "max_line":
		n, err := strconv.Atoi(value)
		s.must(err)
		s.config.MaxLine = config.Size(n)
	case "join_partial":
		s.config.JoinPartial = value == "true"
	case "start_at":
		s.config.StartAt = value
	case "spool_limit":
		n, err := strconv.Atoi(value)
		s.must(err)
		s.config.SpoolLimit = config.Size(n)
	case "boot":
		s.boot = value
	case "transactional":
		s.transactional = value == "true"
	case "follow":
		s.stranger = value == "false"
	case "links":
		s.link = map[string]func(*os.File, string) error{"fail": noLink}[value]
	default:
		s.Fatalf("line %d: unknown setting %q", s.line, key)
	}
}

// noLink stands for directories below different mounts.
func noLink(f *os.File, path string) error {
	return &os.LinkError{Op: "link", Old: f.Name(), New: path, Err: unix.EXDEV}
}

// path is a file's in the container's directory or, after "docker/", in that
// of another container runtime.
func (s *story) path(name string) string {
	if name, ok := strings.CutPrefix(name, "docker/"); ok {
		dir := filepath.Join(filepath.Dir(s.logs), "docker")
		s.must(os.MkdirAll(dir, 0o755))
		return filepath.Join(dir, name)
	}
	return filepath.Join(s.dir, name)
}

func (s *story) write(path, text string) {
	s.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	s.must(err)
	_, err = f.WriteString(text)
	s.must(err)
	s.must(f.Close())
}

// writeMany writes numbered lines: lines FILE PREFIX FROM TO.
func (s *story) writeMany(args string) {
	s.Helper()
	var file, prefix string
	var from, to int
	_, err := fmt.Sscan(args, &file, &prefix, &from, &to)
	s.must(err)
	var text strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&text, "%s\n", expand(fmt.Sprintf("@ stdout F %s%d", prefix, i)))
	}
	s.write(s.path(file), text.String())
}

// head leaves a file its first lines only: head FILE LINES.
func (s *story) head(args string) {
	s.Helper()
	var file string
	var n int
	_, err := fmt.Sscan(args, &file, &n)
	s.must(err)
	data, err := os.ReadFile(s.path(file))
	s.must(err)
	size := 0
	for range n {
		size += bytes.IndexByte(data[size:], '\n') + 1
	}
	s.must(os.Truncate(s.path(file), int64(size)))
}

// checkSpool compares the names in the container's part of the spool.
func (s *story) checkSpool(args string) {
	s.Helper()
	held, err := os.ReadDir(filepath.Join(s.data, spoolName, storyKey))
	if !errors.Is(err, fs.ErrNotExist) {
		s.must(err)
	}
	var got []string
	for _, h := range held {
		_, name, _ := strings.Cut(h.Name(), "-")
		got = append(got, name)
	}
	if want := strings.Fields(args); !slices.Equal(got, want) {
		s.Errorf("line %d: the spool holds %v, want %v", s.line, got, want)
	}
}

// rotate renames FILE as kubelet does.
func (s *story) rotate(file string) {
	s.Helper()
	s.stamp++
	s.must(os.Rename(filepath.Join(s.dir, file), filepath.Join(s.dir, fmt.Sprintf("%s.20260101-%06d", file, s.stamp))))
}

func (s *story) gzip(path string) {
	s.Helper()
	data, err := os.ReadFile(path)
	s.must(err)
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, err = z.Write(data)
	s.must(err)
	s.must(z.Close())
	s.must(os.WriteFile(path+".tmp", buf.Bytes(), 0o640))
	s.must(os.Rename(path+".tmp", path+".gz"))
	s.must(os.Remove(path))
}

// cut takes the second half off a file.
func (s *story) cut(path string) {
	s.Helper()
	info, err := os.Stat(path)
	s.must(err)
	s.must(os.Truncate(path, info.Size()/2))
}

// sumOf are a metric's values by reason, and under "" their sum.
func sumOf(c prometheus.Collector) map[string]int64 {
	series := make(chan prometheus.Metric, 100)
	c.Collect(series)
	close(series)
	sums := map[string]int64{}
	for one := range series {
		var m dto.Metric
		if err := one.Write(&m); err != nil {
			panic(err)
		}
		n := int64(m.GetCounter().GetValue() + m.GetGauge().GetValue())
		sums[""] += n
		for _, l := range m.GetLabel() {
			sums[l.GetValue()] += n
		}
	}
	return sums
}

// checkLedger compares terms of the total: "read=3 reread=1".
func (s *story) checkLedger(args string) {
	s.Helper()
	b := s.ledger.Total()
	have := map[string]int64{"read": b.Read, "reread": b.Reread, "delivered": b.Delivered, "pending": b.Pending, "unparsed": b.Unparsed, "cut": b.Cut, "truncated": b.Dropped["truncated"]}
	have["spool_full"] = b.Dropped["spool_full"]
	metrics := &s.source.options.metrics
	for name, m := range map[string]prometheus.Collector{"open": metrics.openFiles, "held": metrics.heldBytes,
		"truncations": metrics.truncated, "decompressions": metrics.decompressions} {
		have[name] = sumOf(m)[""]
	}
	for name, m := range map[string]prometheus.Collector{"missed": metrics.missed, "missed_bytes": metrics.missedBytes} {
		for reason, n := range sumOf(m) {
			have[strings.TrimSuffix(name+":"+reason, ":")] = n
		}
	}
	for _, term := range strings.Fields(args) {
		name, value, _ := strings.Cut(term, "=")
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || have[name] != n {
			s.Errorf("line %d: %s is %d, want %s", s.line, name, have[name], value)
		}
	}
}
