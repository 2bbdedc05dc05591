package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"millrace/agent"
	"millrace/collector"
	"millrace/internal/config"
)

// configFiles lists testdata/config/*.KIND.yaml. A file's name begins with the
// end that it is for.
func configFiles(t *testing.T, kind string, least int) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/config/*." + kind + ".yaml")
	if err != nil || len(paths) < least {
		t.Fatalf("%d %s files, want at least %d (%v)", len(paths), kind, least, err)
	}
	return paths
}

func setConfigEnvironment(t *testing.T) {
	t.Setenv("NODE_NAME", "node-1")
	t.Setenv("HOSTNAME", "collector-0")
	t.Setenv("KAFKA_PASSWORD", "hunter2(")
	t.Setenv("STARROCKS_PASSWORD", "hunter2")
	t.Setenv("MILLRACE_UNSET", "") // so that the test puts back what it was
	if err := os.Unsetenv("MILLRACE_UNSET"); err != nil {
		t.Fatal(err)
	}
}

// typed runs the command line and returns what a shell would see of it. It is
// interrupted already: an end that takes what it should refuse comes back.
func typed(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, err bytes.Buffer
	code = run(ctx, append([]string{"millrace"}, args...), &out, &err)
	return code, out.String(), err.String()
}

func TestGoodConfigs(t *testing.T) {
	setConfigEnvironment(t)
	paths := configFiles(t, "good", 8)
	for _, path := range paths {
		if code, stdout, stderr := typed(t, "validate", "-config", path); code != exitOK || stdout+stderr != "" {
			t.Errorf("%s: exit code %d\n%s%s", path, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := typed(t, append([]string{"validate", "-config"}, paths...)...); code != exitOK || stdout+stderr != "" {
		t.Errorf("all at once: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// The full files hold every key there is, so that they are a place to look.
func TestFullConfigsHaveEveryKey(t *testing.T) {
	for path, c := range map[string]any{
		"testdata/config/agent-full.good.yaml":     agent.Config{},
		"testdata/config/collector-full.good.yaml": collector.Config{},
	} {
		file, err := config.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		keys := keysOf(reflect.TypeOf(c), nil)
		if len(keys) < 40 {
			t.Fatalf("%T has only %d keys", c, len(keys))
		}
		for _, key := range keys {
			// Of a password and its file only one can be given; stdout
			// is the output of agent-stdout.good.yaml; the filter limit
			// is for agents.
			_, isCollector := c.(collector.Config)
			refused := isCollector && slices.Contains(key, "limit")
			if last := key[len(key)-1]; last != "password" && last != "stdout" && !refused && !file.Has(key...) {
				t.Errorf("%s: %s is missing", path, strings.Join(key, "."))
			}
		}
	}
}

// keysOf lists the paths of a section's keys, lists on the way looked through.
func keysOf(typ reflect.Type, above []string) [][]string {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return nil
	}
	var keys [][]string
	for f := range typ.Fields() {
		switch key, options, _ := strings.Cut(f.Tag.Get("yaml"), ","); {
		case options == "inline":
			keys = append(keys, keysOf(f.Type, above)...)
		case key != "" && key != "-":
			key := append(slices.Clone(above), key)
			keys = append(append(keys, key), keysOf(f.Type, key)...)
		}
	}
	return keys
}

// A bad file ends with the complete answer to it, a line of it in each
// `# want: LINE: key: message`. `# without: NAME` takes a variable out of the
// environment.
var (
	wantLine    = regexp.MustCompile(`(?m)^# want: (.*)$`)
	withoutLine = regexp.MustCompile(`(?m)^# without: (\w+)$`)
)

func TestBadConfigs(t *testing.T) {
	for _, path := range configFiles(t, "bad", 35) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			setConfigEnvironment(t)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range withoutLine.FindAllSubmatch(data, -1) {
				if err := os.Unsetenv(string(m[1])); err != nil {
					t.Fatal(err)
				}
			}
			if *update {
				rewriteWant(t, path, data)
				return
			}
			var want strings.Builder
			for _, m := range wantLine.FindAllSubmatch(data, -1) {
				want.WriteString(path + ":" + string(m[1]) + "\n")
			}
			checkBadConfig(t, path, want.String())
		})
	}
}

// update rewrites what the bad files want to what is said now; read the diff.
var update = flag.Bool("update", false, "rewrite the answers in testdata/config/*.bad.yaml")

func rewriteWant(t *testing.T, path string, data []byte) {
	t.Helper()
	_, stdout, _ := typed(t, "validate", "-config", path)
	text := strings.TrimRight(string(wantLine.ReplaceAll(data, nil)), "\n") + "\n"
	for line := range strings.Lines(stdout) {
		text += "# want: " + strings.TrimPrefix(line, path+":")
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func checkBadConfig(t *testing.T, path, want string) {
	t.Helper()
	code, stdout, stderr := typed(t, "validate", "-config", path)
	if stdout != want || want == "" {
		t.Errorf("validate printed\n%s\nwant\n%s", stdout, want)
	}
	if summary := "millrace: 1 of 1 files have mistakes\n"; code != exitFailure || stderr != summary {
		t.Errorf("validate: exit code %d, stderr %q, want %d, %q", code, stderr, exitFailure, summary)
	}
	if strings.Contains(stdout, "hunter2") {
		t.Error("validate printed a password")
	}
	// The end itself says the same, and begins nothing.
	end, _, _ := strings.Cut(filepath.Base(path), "-")
	if code, stdout, stderr := typed(t, end, "-config", path); code != exitUsage || stderr != want || stdout != "" {
		t.Errorf("%s: exit code %d, stderr\n%s\nwant %d and the same as validate; stdout %q", end, code, stderr, exitUsage, stdout)
	}
}

func TestValidateSeveralFiles(t *testing.T) {
	setConfigEnvironment(t)
	const good, bad = "testdata/config/agent-minimal.good.yaml", "testdata/config/agent-empty.bad.yaml"
	want := bad + ":1: the file is empty\nread configuration: open no-such-file.yaml: no such file or directory\n"
	for _, args := range [][]string{
		{"validate", "-config", good, "-config", bad, "-config", "no-such-file.yaml"},
		{"validate", "-config", good, bad, "no-such-file.yaml"},
	} {
		code, stdout, stderr := typed(t, args...)
		if code != exitFailure || stdout != want || stderr != "millrace: 2 of 3 files have mistakes\n" {
			t.Errorf("%q: exit code %d, stdout\n%sstderr %q", args, code, stdout, stderr)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"", "millrace: no command given; see millrace -h"},
		{"serve", `millrace: unknown command "serve"; see millrace -h`},
		{"-x", "millrace: flag provided but not defined: -x; see millrace -h"},
		{"agent", "millrace agent: give exactly one -config FILE and nothing else; see millrace agent -h"},
		{"agent a.yaml", "millrace agent: give exactly one -config FILE and nothing else; see millrace agent -h"},
		{"agent -config a.yaml b.yaml", "millrace agent: give exactly one -config FILE and nothing else; see millrace agent -h"},
		{"agent -config a.yaml -config b.yaml", `millrace agent: invalid value "b.yaml" for flag -config: can't duplicate this flag; see millrace agent -h`},
		{"agent -config", "millrace agent: flag needs an argument: -config; see millrace agent -h"},
		{"agent -conf a.yaml", "millrace agent: flag provided but not defined: -conf; see millrace agent -h"},
		{"agent -config no-such-file.yaml", "read configuration: open no-such-file.yaml: no such file or directory"},
		{"collector", "millrace collector: give exactly one -config FILE and nothing else; see millrace collector -h"},
		{"collector -config no-such-file.yaml", "read configuration: open no-such-file.yaml: no such file or directory"},
		{"validate", "millrace validate: no file given; see millrace validate -h"},
		{"version -x", "millrace version: flag provided but not defined: -x; see millrace version -h"},
	} {
		code, stdout, stderr := typed(t, strings.Fields(tc.args)...)
		if code != exitUsage || stdout != "" || stderr != tc.want+"\n" {
			t.Errorf("millrace %s: exit code %d, stdout %q, stderr\n%swant\n%s", tc.args, code, stdout, stderr, tc.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"-h":           "COMMANDS:",
		"--help":       "COMMANDS:",
		"agent -h":     "--config FILE",
		"collector -h": "--config FILE",
		"validate -h":  "[FILE...]",
		"version -h":   "print version, commit and Go version",
	} {
		code, stdout, stderr := typed(t, strings.Fields(args)...)
		if code != exitOK || stderr != "" || !strings.Contains(stdout, want) || !strings.Contains(stdout, "USAGE:") {
			t.Errorf("millrace %s: exit code %d, stderr %q, stdout without %q:\n%s", args, code, stderr, want, stdout)
		}
	}
}

func TestVersion(t *testing.T) {
	code, stdout, stderr := typed(t, "version")
	want := regexp.MustCompile(`^millrace \S+, commit \S+, ` + regexp.QuoteMeta(runtime.Version()) + `\n$`)
	if code != exitOK || stderr != "" || !want.MatchString(stdout) {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}
