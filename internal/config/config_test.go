package config_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/internal/config"
)

func setEnvironment(t testing.TB) {
	for name, value := range map[string]string{
		"MILLRACE_DIR": "$dir", "MILLRACE_LIMIT": "1GiB", "MILLRACE_PASSWORD": "hunter2(",
		"MILLRACE_INJECT": "}, brokers: [evil] # ${MILLRACE_PASSWORD}",
	} {
		t.Setenv(name, value)
	}
	os.Unsetenv("MILLRACE_UNSET")
}

// wanted reads from a bad file what must be said about it: "# ERROR message" stands in the line it is about. A comment alone
// in its line belongs to the line above.
func wanted(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	lines := bufio.NewScanner(f)
	for n, about := 1, 1; lines.Scan(); n++ {
		before, message, ok := strings.Cut(lines.Text(), "# ERROR ")
		if strings.TrimSpace(before) != "" {
			about = n
		}
		if ok {
			out = append(out, fmt.Sprintf("%s:%d: %s", path, about, message))
		}
	}
	return strings.Join(out, "\n")
}

func TestBadFiles(t *testing.T) {
	setEnvironment(t)
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var c end
			err := config.Load(path, &c)
			if err == nil {
				t.Fatal("no error")
			}
			if got, want := err.Error(), wanted(t, path); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret in %q", err)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func defaults() end {
	var c end
	config.SetDefaults(&c)
	return c
}

func pipeline(name string) line {
	l := line{Name: name, Source: source{Partial: true}}
	l.Output.Retry = retry{Max: 9 * time.Second, Tries: 3}
	return l
}

func full() end {
	c := defaults()
	c.DataDir = "$HOME/$dir/${x}$"
	c.MemoryLimit = config.GiB
	c.Log = logging{Level: -4, Format: "text"}
	l := pipeline("10.10")
	l.Source = source{MaxLine: ptr(int32(1024)), Include: []selector{
		{Namespaces: []string{"kong", "null", "on"}, Share: 1}, {Share: 0.5},
	}}
	l.Filters = []filter{
		{Drop: &drop{Field: "message", Match: regexp.MustCompile(`^127\.0\.0\.1 .*$`)}},
		{Drop: &drop{Field: "message", Equals: ptr("")}},
		{Kong: &kong{}},
	}
	l.Output.Kafka = &kafka{
		Brokers: []string{"kafka-0:9093"},
		SASL:    &sasl{Username: "agent", Password: config.Password{Value: config.NewSecret("hunter2(")}},
		Columns: map[string]mapTo{"kubernetes.pod_name": {"pod", 255}, "host": {"node", 64}},
		Headers: map[string]string{"a": "}, brokers: [evil] # ${MILLRACE_PASSWORD}"},
	}
	l.Output.Retry.Max = 90 * time.Second
	c.Pipelines = []line{l}
	return c
}

func anchors() end {
	c := defaults()
	a, b, d := pipeline("a"), pipeline("b"), pipeline("c")
	a.Output.Kafka = &kafka{
		Brokers: []string{"one:9092"},
		SASL:    &sasl{Username: "agent", Password: config.Password{File: "/etc/millrace/password"}},
	}
	a.Filters, d.Filters = []filter{}, []filter{}
	b.Output = a.Output
	d.Output.Kafka = &kafka{Brokers: []string{"two:9092"}, SASL: a.Output.Kafka.SASL}
	c.Pipelines = []line{a, b, d}
	return c
}

func TestGoodFiles(t *testing.T) {
	setEnvironment(t)
	for name, want := range map[string]end{"full": full(), "anchors": anchors()} {
		t.Run(name, func(t *testing.T) {
			var got end
			if err := config.Load("testdata/good/"+name+".yaml", &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, want)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	err := config.Load(path, &end{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want one that names %s", err, path)
	}
}

func TestHas(t *testing.T) {
	f, err := config.Read("testdata/good/anchors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for keys, want := range map[string]bool{
		"pipelines output kafka":       true,
		"pipelines output kafka sasl":  true,
		"pipelines source":             false,
		"pipelines name kafka":         false,
		"output":                       false,
		"pipelines output kafka other": false,
	} {
		if got := f.Has(strings.Fields(keys)...); got != want {
			t.Errorf("Has(%s) = %t", keys, got)
		}
	}
}

// A few aliases of aliases must not take all memory.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("pipelines:\n- source:\n    include:\n    - &a {namespaces: [" + strings.Repeat("x,", 500) + "]}\n")
	b.WriteString("    - *a\n" + strings.Repeat("    - *a\n", 500))
	f, err := config.Parse("bomb.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	err = f.Decode(&end{})
	if err == nil || !strings.Contains(err.Error(), "aliases expand to more than") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

var positioned = regexp.MustCompile(`^fuzz\.yaml:[1-9][0-9]*: .`)

func FuzzLoad(f *testing.F) {
	setEnvironment(f)
	paths, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("pipelines: &a [*a]\n"))
	f.Add([]byte("pipelines: &a [{<<: *a}]\n<<: {<<: 1}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := config.Parse("fuzz.yaml", data)
		if err == nil {
			file.Has("pipelines", "source", "include")
			err = file.Decode(&end{})
		}
		if err == nil {
			return
		}
		for one := range strings.SplitSeq(err.Error(), "\n") {
			if !positioned.MatchString(one) {
				t.Errorf("no file and line in %q of %q", one, err)
			}
		}
	})
}
