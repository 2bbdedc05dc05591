package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

//go:embed shippers/*.yaml
var shipped embed.FS

// shipper is one file of the folder shippers: a program that is measured and
// how it is started. Texts are templates over data.
type shipper struct {
	Name    string `yaml:"name"`
	Program string `yaml:"program"` // looked for in PATH, /usr/sbin and /sbin
	// Needs are more files that must be there, as patterns of which one has to
	// match; Install says in one sentence where they come from.
	Needs   [][]string `yaml:"needs"`
	Install string     `yaml:"install"`
	// Asked has it measured only where -program or -millrace names its program.
	Asked bool `yaml:"asked"`
	// Version prints a version in the first line of its output.
	Version []string `yaml:"version"`
	// Modes are what it is measured in, such as guarantees; one is enough.
	Modes   []string          `yaml:"modes"`
	Command []string          `yaml:"command"`
	Files   map[string]string `yaml:"files"`   // in its own folder
	Profile string            `yaml:"profile"` // address of a CPU profile, for -profile

	path string // of the program
}

// data is what the templates of a shipper can say.
type data struct {
	Program   string
	Dir       string // an empty folder of this run, on the disk of the logs
	Logs      string // holds the pods' folders, as /var/log/pods
	Links     string // holds links to the logs, as /var/log/containers
	Namespace string // of the pods that are to be shipped: others are to be left alone

	Topic, Brokers, CAFile string
	Username, Password     string // SCRAM-SHA-512
	PasswordFile           string
	// TLSBrokers take CertFile and KeyFile in place of a password: for who
	// cannot do SCRAM with this Kafka. Empty where there are none.
	TLSBrokers, CertFile, KeyFile string
	Compression                   string // zstd, lz4, snappy, gzip or none
	Mode                          string // of the shipper's modes
	Row                           string // stock: with the pod's metadata; message: with what the path says
	Containers                    []target
	TimeWidth                     int    // of the time with which each line begins
	Admin                         string // a free address
	Node                          string
	Kubeconfig                    string // of the API server
	API, APICA, Token             string // the same in parts; APICA is a file
	ProfileSeconds                int
}

// target is one container that is to be shipped.
type target struct {
	Namespace, Pod, UID, Name, ID string
	Dir                           string // of its log files
	Metadata                      string // "kubernetes":{…},"kubernetes_namespace":{…}
}

// shippers are those that come with this program and those of files.
func shippers(files []string) (all []*shipper, err error) {
	names, err := fs.Glob(shipped, "shippers/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the shippers: %w", err)
	}
	for _, name := range names {
		text, err := shipped.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a shipper: %w", err)
		}
		s, err := parseShipper(name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a shipper: %w", err)
		}
		s, err := parseShipper(name, text)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(old *shipper) bool { return old.Name == s.Name })
		all = append(all, s)
	}
	// Millrace is what the others are compared with.
	slices.SortStableFunc(all, func(a, b *shipper) int { return rank(a) - rank(b) })
	return all, nil
}

func rank(s *shipper) int {
	if s.Name == "millrace" {
		return 0
	}
	return 1
}

func parseShipper(name string, text []byte) (*shipper, error) {
	s := &shipper{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("read shipper %s: %w", name, err)
	}
	if s.Name == "" || s.Program == "" || len(s.Command) == 0 || len(s.Modes) == 0 {
		return nil, fmt.Errorf("read shipper %s: name, program, command and modes are needed", name)
	}
	return s, nil
}

// find looks for what the shipper needs; programs are those of the command
// line. What is missing is an error that says how to get it.
func (s *shipper) find(programs map[string]string) (err error) {
	if path, ok := programs[s.Name]; ok {
		// The command runs where this program does.
		if s.path, err = filepath.Abs(path); err != nil {
			return fmt.Errorf("find %s: %w", path, err)
		}
		if _, err := exec.LookPath(s.path); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		return nil
	}
	if s.Asked {
		return fmt.Errorf("%s is left out: name its program by -program %[1]s=FILE", s.Name)
	}
	missing := errors.New(s.Name + " is left out: " + s.Program + " is missing; " + s.Install)
	for _, path := range []string{s.Program, "/usr/sbin/" + s.Program, "/sbin/" + s.Program} {
		if s.path, err = exec.LookPath(path); err == nil {
			break
		}
	}
	if s.path == "" {
		return missing
	}
	for _, patterns := range s.Needs {
		there := func(pattern string) bool {
			found, err := filepath.Glob(pattern)
			return err == nil && len(found) > 0
		}
		if !slices.ContainsFunc(patterns, there) {
			return fmt.Errorf("%s is left out: %s is missing; %s", s.Name, patterns[0], s.Install)
		}
	}
	return nil
}

// version is the first line the program prints about itself.
func (s *shipper) version() (string, error) {
	argv, err := renderAll(s.Version, &data{Program: s.path})
	if err != nil || len(argv) == 0 {
		return s.path, err
	}
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w\n%s", s.Name, err, out)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	first = strings.TrimSuffix(first, "compiled with:") // rsyslogd goes on for lines
	return strings.Join(strings.Fields(first), " "), nil
}

// prepare writes the shipper's files and returns its command.
func (s *shipper) prepare(d *data) (argv []string, err error) {
	for name, text := range s.Files {
		content, err := render(text, d)
		if err != nil {
			return nil, fmt.Errorf("shipper %s: file %s: %w", s.Name, name, err)
		}
		if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("write the files of %s: %w", s.Name, err)
		}
	}
	if argv, err = renderAll(s.Command, d); err != nil {
		return nil, fmt.Errorf("shipper %s: command: %w", s.Name, err)
	}
	return argv, nil
}

func renderAll(texts []string, d *data) (all []string, err error) {
	for _, text := range texts {
		s, err := render(text, d)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// render fills in a template. escaped is for strings between double quotes.
func render(text string, d *data) (string, error) {
	t, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"add":     func(a, b int) int { return a + b },
		"escaped": strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace,
	}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("read a template: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, d); err != nil {
		return "", fmt.Errorf("fill in a template: %w", err)
	}
	return b.String(), nil
}
