package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"millrace/internal/config"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "500": 500, "1B": 1, "1kB": 1000, "64KiB": 64 << 10, "32MiB": 32 << 20, "3MB": 3e6, "1GiB": 1 << 30,
		"2GB": 2e9, "1TiB": 1 << 40, "1TB": 1e12, "9223372036854775807": 1<<63 - 1,
		"": -1, "B": -1, "-1": -1, "+1": -1, "1.5GiB": -1, "1 MiB": -1, "1M": -1, "1Mi": -1, "1mib": -1, "1KB": -1, "1kiB": -1,
		"9223372036854775808": -1, "8388608TiB": -1, "1MiBi": -1, "0x10": -1, "1_000": -1,
	} {
		got := config.Size(-1)
		if err := got.UnmarshalText([]byte(text)); (err == nil) != (want >= 0) || int64(got) != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestSizePrintsAsItIsWritten(t *testing.T) {
	for _, text := range []string{"0B", "500B", "1025B", "64KiB", "1025KiB", "32MiB", "1GiB", "1025GiB"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != text {
			t.Errorf("%q: %s, %v", text, s, err)
		}
	}
}

// A secret is looked for where careless code would print it.
func TestSecretIsNeverPrinted(t *testing.T) {
	type inner struct{ P config.Password }
	type outer struct {
		Public config.Secret
		hidden config.Secret
		deep   *inner
		List   []config.Secret
	}
	s := config.NewSecret("hunter2")
	v := outer{s, s, &inner{config.Password{Value: s}}, []config.Secret{s}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", &v)
		fmt.Fprintf(&out, verb+"\n", *v.deep)
		fmt.Fprintf(&out, verb+"\n", s)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "s", s, "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "s", s, "v", v)
	if err := json.NewEncoder(&out).Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := yaml.NewEncoder(&out).Encode(map[string]any{"s": s, "list": v.List}); err != nil {
		t.Fatal(err)
	}
	printed := out.String()
	if strings.Contains(printed, "hunter2") || strings.Contains(printed, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("the secret is in\n%s", printed)
	}
	if !strings.Contains(printed, "***") {
		t.Errorf("*** is not in\n%s", printed)
	}
	if s.Reveal() != "hunter2" || (config.Secret{}).Reveal() != "" || (config.Secret{}).String() != "" {
		t.Error("Reveal or the zero Secret is wrong")
	}
}

func TestPasswordIsReadAtEachUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	p := config.Password{File: path}
	for content, want := range map[string]string{"one\n": "one", "two\r\n": "two", " three \n\n": " three ", "four": "four"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Read(); err != nil || got != want {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
	for name, prepare := range map[string]func() error{
		"is empty":     func() error { return os.WriteFile(path, []byte("\n"), 0o600) },
		"no such file": func() error { return os.Remove(path) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		_, err := p.Read()
		if err == nil || !strings.Contains(err.Error(), "password_file") || !strings.Contains(err.Error(), path) ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got, err := (config.Password{Value: config.NewSecret("x")}).Read(); err != nil || got != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A struct nobody could load is noticed by the first test that loads it, whatever the file says.
func TestUnloadableStruct(t *testing.T) {
	for name, into := range map[string]any{
		"no key":       &struct{ A int }{},
		"no pointer":   struct{}{},
		"not a struct": new(int),
		"no such kind": &struct {
			A chan int `yaml:"a"`
		}{},
		"inlined kind": &struct {
			A *int `yaml:",inline"`
		}{},
		"numbered keys": &struct {
			A map[int]int `yaml:"a"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.HasPrefix(r, "BUG: ") {
					t.Errorf("got %s", r)
				}
			}()
			f, err := config.Parse("x.yaml", []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Decode(into)
		})
	}
}
