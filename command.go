package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"millrace/internal/ops"
)

// commands is the command line: what can be typed and what it calls.
func commands(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:            "millrace",
		Usage:           "carry container logs into Kafka and from Kafka into StarRocks",
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		// Only main exits, and only run prints errors.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		OnUsageError:   onUsageError,
		Action: func(_ context.Context, c *cli.Command) error {
			if name := c.Args().First(); name != "" {
				return usageError{fmt.Errorf("millrace: unknown command %q; see millrace -h", name)}
			}
			return usageError{fmt.Errorf("millrace: no command given; see millrace -h")}
		},
		Commands: []*cli.Command{
			endCommand("agent", "node end: container log files -> Kafka", runAgent, stderr),
			endCommand("collector", "cluster end: Kafka -> StarRocks", runCollector, stderr),
			endCommand("replay", "load dead letters again, once the table fits them; twice changes nothing", func(ctx context.Context, path string, stderr io.Writer) error {
				return runReplay(ctx, path, stdout, stderr)
			}, stderr),
			validateCommand(stdout),
			versionCommand(stdout),
		},
	}
}

func onUsageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	return usageError{fmt.Errorf("%s: %w; see %s -h", c.FullName(), err, c.FullName())}
}

// endCommand reads a configuration and runs one end with it.
func endCommand(name, help string, run func(context.Context, string, io.Writer) error, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:            name,
		Usage:           help,
		HideHelpCommand: true,
		OnUsageError:    onUsageError,
		Flags:           []cli.Flag{&cli.StringFlag{Name: "config", Usage: "configuration `FILE` (YAML)", OnlyOnce: true}},
		Action: func(ctx context.Context, c *cli.Command) error {
			path := c.String("config")
			if path == "" || c.Args().Present() {
				return usageError{fmt.Errorf("millrace %s: give exactly one -config FILE and nothing else; see millrace %s -h", name, name)}
			}
			return run(ctx, path, stderr)
		},
	}
}

func validateCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:            "validate",
		Usage:           "print every mistake in configuration files",
		ArgsUsage:       "[FILE...]",
		HideHelpCommand: true,
		OnUsageError:    onUsageError,
		Flags:           []cli.Flag{&cli.StringSliceFlag{Name: "config", Usage: "configuration `FILE` (YAML), more may follow"}},
		Action: func(_ context.Context, c *cli.Command) error {
			paths := append(c.StringSlice("config"), c.Args().Slice()...)
			if len(paths) == 0 {
				return usageError{fmt.Errorf("millrace validate: no file given; see millrace validate -h")}
			}
			return validate(paths, stdout)
		},
	}
}

func versionCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:            "version",
		Usage:           "print version, commit and Go version",
		HideHelpCommand: true,
		OnUsageError:    onUsageError,
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usageError{fmt.Errorf("millrace version: takes no argument; see millrace version -h")}
			}
			_, err := fmt.Fprintln(stdout, ops.ReadVersion())
			return err
		},
	}
}
