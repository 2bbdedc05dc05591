package tail

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/config"
	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// TestStories plays the scripts in testdata/tail: real files in a real
// directory, virtual time. See testdata/tail/README.md for the commands.
func TestStories(t *testing.T) {
	paths, err := filepath.Glob(cmp.Or(os.Getenv("STORIES"), "../../testdata/tail/*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// The directory is made outside: its removal is not part of the story.
			root := t.TempDir()
			synctest.Test(t, func(t *testing.T) { play(t, root, script) })
		})
	}
}

// story is one script being played.
type story struct {
	*testing.T
	dir      string // the container's
	logs     string
	data     string
	config   Config
	out      *pipelinetest.Recorder
	ledger   *pipeline.Ledger
	pool     *pipeline.Pool
	source   *Source
	cancel   context.CancelFunc
	ended    chan error
	complete atomic.Bool // the metadata
	line     int
	stamp    int

	boot          string
	transactional bool
	stranger      bool // the container is not followed at the start
	link          func(*os.File, string) error
}

var storyMetadata Metadata

const storyKey = "ns_pod_uid/main"

func play(t *testing.T, root string, script []byte) {
	logs := filepath.Join(root, "pods")
	s := &story{T: t, logs: logs, data: filepath.Join(root, "data"),
		dir: filepath.Join(logs, storyKey)}
	s.complete.Store(true)
	config.SetDefaults(&s.config)
	s.out = &pipelinetest.Recorder{Encode: func(r *pipeline.Record) string {
		text := string(r.Message)
		if len(text) > 100 {
			text = fmt.Sprintf("%s...%d", text[:10], len(text))
		}
		if r.Cut {
			text += " (cut)"
		}
		return strings.TrimRight(fmt.Sprintf("%s %s %s", orDash(r.Origin.Stream), orDash(r.Tag), text), " ")
	}}
	s.must(os.MkdirAll(s.dir, 0o755))
	lines := bufio.NewScanner(bytes.NewReader(script))
	for lines.Scan() {
		s.line++
		if cmd := strings.TrimLeft(lines.Text(), " "); cmd != "" && cmd[0] != '#' {
			name, args, _ := strings.Cut(cmd, " ")
			s.do(name, args, lines)
		}
	}
	if s.source != nil {
		s.stop()
	}
}

func orDash(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

func (s *story) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("line %d: %v", s.line, err)
	}
}

// tick is how coarse the times of change are that the stories' directory
// gets: coarser than any kernel's, so that two changes often look like one.
const tick = 900 * time.Millisecond

// changed gives the directory the virtual time as its time of change.
func (s *story) changed() {
	now := time.Now().Truncate(tick)
	if err := os.Chtimes(s.dir, now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Fatal(err)
	}
}

func (s *story) do(name, args string, lines *bufio.Scanner) {
	s.Helper()
	switch {
	case name == "wait", name == "expect", name == "ledger", name == "spool":
	case name != "symlink" && strings.Contains(args, "docker/"):
	default:
		defer s.changed()
	}
	path := s.path
	switch name {
	case "start":
		s.start()
	case "stop":
		s.stop()
	case "crash":
		s.crash()
	case "set":
		s.set(args)
	case "write":
		file, text, _ := strings.Cut(args, " ")
		s.write(path(file), expand(text)+"\n")
	case "tail":
		file, text, _ := strings.Cut(args, " ")
		s.write(path(file), expand(text))
	case "lines":
		s.writeMany(args)
	case "rotate":
		s.rotate(args)
	case "gzip":
		s.gzip(path(args))
	case "delete":
		s.must(os.RemoveAll(path(args)))
	case "truncate":
		s.must(os.Truncate(path(args), 0))
	case "rename":
		from, to, _ := strings.Cut(args, " ")
		s.must(os.Rename(path(from), path(to)))
	case "touch":
		s.write(path(args), "")
	case "cut":
		s.cut(path(args))
	case "mkdir":
		s.must(os.Mkdir(path(args), 0o755))
	case "copy":
		from, to, _ := strings.Cut(args, " ")
		data, err := os.ReadFile(path(from))
		s.must(err)
		s.must(os.WriteFile(path(to), data, 0o640))
	case "head":
		s.head(args)
	case "symlink":
		to, from, _ := strings.Cut(args, " ")
		s.must(os.Symlink(path(to), path(from)))
	case "restore":
		local, err := s.source.Local()
		s.must(err)
		s.must(s.source.Restore(local))
		s.wait(2 * time.Second)
	case "spool":
		s.checkSpool(args)
	case "rmdir":
		s.must(os.RemoveAll(s.dir))
	case "wait":
		d, err := time.ParseDuration(args)
		s.must(err)
		s.wait(d)
	case "gone":
		s.source.Gone(storyKey)
	case "unfollow":
		s.source.Unfollow(storyKey)
	case "follow":
		s.source.Follow(s.target())
	case "output":
		s.out.SetMode(map[string]pipelinetest.Mode{"deliver": pipelinetest.Deliver, "hold": pipelinetest.Hold, "abort": pipelinetest.Abort}[args])
	case "release":
		s.out.Release(nil)
	case "resume":
		s.out.Resume()
	case "abort":
		s.out.Release(pipeline.ErrAborted)
	case "metadata":
		s.complete.Store(args == "complete")
	case "expect":
		s.expect(args, lines)
	case "ledger":
		s.checkLedger(args)
	default:
		s.Fatalf("line %d: unknown command %q", s.line, name)
	}
}

func (s *story) target() Target {
	return Target{Key: storyKey, PodUID: "uid", Namespace: "ns", Pod: "pod", Name: "main",
		Metadata: func(int) (*Metadata, bool) { return &storyMetadata, s.complete.Load() }}
}

func (s *story) start() {
	s.Helper()
	s.ledger = pipeline.NewLedger("test", LabelNames...)
	s.pool = pipeline.NewPool(8, 4<<20)
	var err error
	s.source, err = New(Options{Config: s.config, LogDir: s.logs, DataDir: s.data, Pool: s.pool, Ledger: s.ledger,
		Logger: slog.New(slog.NewTextHandler(s.Output(), nil)), Registerer: prometheus.NewRegistry(),
		BootID: s.boot, Transactional: s.transactional, link: s.link})
	s.must(err)
	if !s.stranger {
		s.source.Follow(s.target())
	}
	ctx, cancel := context.WithCancel(s.Context())
	s.cancel = cancel
	s.ended = make(chan error, 1)
	p := pipeline.Pipeline{Source: s.source, Output: s.out, Drain: time.Second}
	go func() { s.ended <- p.Run(ctx) }()
	s.wait(2 * time.Second)
}

// stop ends the source as SIGTERM does.
func (s *story) stop() {
	s.Helper()
	s.cancel()
	s.must(<-s.ended)
	pipelinetest.CheckBalance(s, s.ledger, s.pool)
	s.source = nil
}

// crash ends the source without a trace: what it would have saved on the way
// out is undone.
func (s *story) crash() {
	s.Helper()
	path := filepath.Join(s.data, storeName)
	saved, err := os.ReadFile(path)
	s.must(err)
	s.stop()
	s.must(os.WriteFile(path, saved, 0o644))
}

func (s *story) wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

var storyClock int

// expand makes @ a time stamp, ever later, \xNN a byte and {a*100} a hundred
// of the letter a.
func expand(text string) string {
	if strings.HasPrefix(text, "@ ") {
		storyClock++
		at := time.Now().Add(time.Duration(storyClock)).UTC()
		text = at.Format(time.RFC3339Nano) + text[1:]
	}
	for {
		before, rest, ok := strings.Cut(text, "{")
		inside, after, closed := strings.Cut(rest, "}")
		letter, count, star := strings.Cut(inside, "*")
		n, err := strconv.Atoi(count)
		if !ok || !closed || !star || err != nil {
			break
		}
		text = before + strings.Repeat(letter, n) + after
	}
	if unquoted, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`); err == nil {
		return unquoted
	}
	return text
}

// expect compares what was delivered since the last time: either the lines
// that follow up to an empty one, or "PREFIX FROM TO" for numbered lines.
func (s *story) expect(args string, lines *bufio.Scanner) {
	s.Helper()
	s.wait(3 * time.Second)
	var want []string
	at, last := s.line, false
	if args == "" {
		for lines.Scan() {
			s.line++
			if strings.TrimSpace(lines.Text()) == "" {
				break
			}
			want = append(want, strings.TrimSpace(lines.Text()))
		}
	} else if args != "nothing" {
		args, last = strings.CutSuffix(args, " after anything")
		var prefix string
		var from, to int
		_, err := fmt.Sscan(args, &prefix, &from, &to)
		s.must(err)
		for i := from; i <= to; i++ {
			want = append(want, fmt.Sprintf("stdout F %s%d", prefix, i))
		}
	}
	got := s.out.Take()
	if last {
		got = got[max(0, len(got)-len(want)):]
	}
	if !slices.Equal(got, want) {
		s.Errorf("line %d: got %d records:\n%s\nwant %d:\n%s", at, len(got), brief(got), len(want), brief(want))
	}
}

func brief(lines []string) string {
	if len(lines) > 20 {
		lines = append(append(slices.Clone(lines[:10]), "…"), lines[len(lines)-10:]...)
	}
	return strings.Join(lines, "\n")
}
