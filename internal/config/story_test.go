package config_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"millrace/internal/config"
)

func decode(t *testing.T, into any, text string) string {
	t.Helper()
	f, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Decode(into); err != nil {
		return err.Error()
	}
	return ""
}

type Common struct {
	B int `yaml:"b"`
}

func (c *Common) SetDefaults() { c.B = 2 }

func (c *Common) Validate(e *config.Errors) {
	if c.B < 2 {
		e.Add("b", "must be at least 2")
	}
}

type around struct {
	Common  `yaml:",inline"`
	Name    string            `yaml:"name"`
	Match   *regexp.Regexp    `yaml:"match"`
	Columns map[string]string `yaml:"columns"`
	Rate    float64           `yaml:"rate"`
}

func (c *around) SetDefaults() { c.Name = "x" }

// An embedded section gives its methods to the struct around it, and is a section nevertheless.
func TestEmbeddedSection(t *testing.T) {
	var c around
	if got := decode(t, &c, "rate: 1.5"); got != "" || c.B != 2 || c.Name != "x" || c.Rate != 1.5 {
		t.Errorf("got %+v, %s", c, got)
	}
	type promoted struct {
		Common `yaml:",inline"`
	}
	if got, want := decode(t, new(promoted), "b: 1"), "f:1: b: must be at least 2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

type judge struct {
	Around around `yaml:"around"`
}

func (c *judge) Validate(e *config.Errors) {
	if c.Around.Match != nil {
		c.Around.Match.MatchString("what could not be read must not be half there")
	}
	for name := range c.Around.Columns {
		e.Add(fmt.Sprintf("around.columns[%q]", name), "is no column")
	}
}

func TestValidateMeetsWhatCouldBeRead(t *testing.T) {
	got := decode(t, new(judge), `around:
  match: '['
  columns:
    host: a
    a.b: c
    d"]: e
  x: 1
  rate: Inf
  b: 2`)
	want := strings.Join([]string{
		"f:2: around.match: error parsing regexp: missing closing ]: `[`",
		`f:4: around.columns.host: is no column`,
		`f:5: around.columns["a.b"]: is no column`,
		`f:6: around.columns["d\"]"]: is no column`,
		`f:7: around.x: unknown key, known here: b, name, match, columns, rate`,
		`f:8: around.rate: must be a number, not "Inf"`,
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMergeOfAnAnchoredList(t *testing.T) {
	var c struct {
		All  []around `yaml:"all"`
		Last around   `yaml:"last"`
	}
	got := decode(t, &c, `all: &all
  - {name: one, b: 3}
  - {name: two, rate: 2}
last:
  <<: *all
  b: 4`)
	if got != "" || c.Last.Name != "one" || c.Last.B != 4 || c.Last.Rate != 2 {
		t.Errorf("got %+v, %s", c, got)
	}
}

// The line is that of the mistake also in a file with many lines.
func TestLongFile(t *testing.T) {
	_, err := config.Parse("f", []byte(strings.Repeat("# \n", 2000)+"a: b: c\n"+strings.Repeat("# \n", 2000)))
	if err == nil || !strings.HasPrefix(err.Error(), "f:2001: not YAML") {
		t.Errorf("got %v", err)
	}
}

func TestUndecodableBytes(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: \x01\n": "f:2: not YAML: control characters are not allowed",
		"a: 1\nb: \xff\n": "f:2: not YAML: invalid leading UTF-8 octet",
	} {
		if _, err := config.Parse("f", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
