// Command image makes a container image without a container engine: an archive
// as `docker save` writes it, for `ctr images import`, `kind load
// image-archive` or `docker load`.
//
//	image -name millrace:devel -dockerfile Dockerfile -out millrace.tar
//	image -name writer:devel -program ./writer -out writer.tar
//
// With -dockerfile it does what the file says, as far as Millrace's says it: the
// command of its first stage that compiles is run here, and the last stage's
// COPY, USER and ENTRYPOINT are followed. What it does not know it refuses, so
// that the two cannot drift apart. Files of another stage but the program are
// this machine's.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	name := flag.String("name", "", "reference of the image")
	dockerfile := flag.String("dockerfile", "", "the file to follow, in the directory that holds the source")
	program := flag.String("program", "", "instead: the only file in the image, and its entry point")
	out := flag.String("out", "", "archive to write")
	flag.Parse()
	if err := run(*name, *dockerfile, *program, *out); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(name, dockerfile, program, out string) error {
	s := &stage{entrypoint: []string{"/" + filepath.Base(program)}, files: []file{{from: program, to: "/" + filepath.Base(program)}}}
	if dockerfile != "" {
		text, err := os.ReadFile(dockerfile)
		if err != nil {
			return fmt.Errorf("read the Dockerfile: %w", err)
		}
		if s, err = parse(string(text)); err != nil {
			return fmt.Errorf("follow %s: %w", dockerfile, err)
		}
		dir, err := os.MkdirTemp("", "image-")
		if err != nil {
			return fmt.Errorf("make a directory for the program: %w", err)
		}
		defer os.RemoveAll(dir)
		if err := s.build(filepath.Dir(dockerfile), dir); err != nil {
			return err
		}
	}
	f, err := os.Create(out)
	if err != nil {
		return fmt.Errorf("create the archive: %w", err)
	}
	defer f.Close()
	if err := s.archive(f, name); err != nil {
		return err
	}
	return f.Close()
}

// build runs the command that compiles, with its output in dir instead.
func (s *stage) build(source, dir string) error {
	program := filepath.Join(dir, "program")
	command := strings.Replace(s.compile, " -o "+s.product+" ", " -o "+program+" ", 1)
	if command == s.compile {
		return fmt.Errorf("compile: %q has no output %s", s.compile, s.product)
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir, cmd.Stdout, cmd.Stderr = source, os.Stderr, os.Stderr
	cmd.Env = append(os.Environ(), "VERSION=devel", "COMMIT=")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	for i := range s.files {
		if s.files[i].from == s.product {
			s.files[i].from = program
		}
	}
	return nil
}
