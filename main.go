// Millrace carries container logs from Kubernetes nodes into Kafka and from
// Kafka into StarRocks, each line exactly once and accounted for.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"millrace/agent"
	"millrace/collector"
	"millrace/internal/config"
	"millrace/internal/ops"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // what was running failed, or files did not pass validate
	exitUsage   = 2 // wrong usage or configuration: nothing was begun
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// usageError is a mistake of whoever typed the command or wrote the file.
type usageError struct{ error }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	err := commands(stdout, stderr).Run(ctx, args)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "millrace:", err)
		return exitFailure
	}
}

func runAgent(ctx context.Context, path string, stderr io.Writer) error {
	var c agent.Config
	if err := config.Load(path, &c); err != nil {
		return usageError{err}
	}
	return ops.NewProcess(c.Log, stderr).Run(ctx, c.Admin, func(ctx context.Context, p *ops.Process) error {
		return agent.Run(ctx, &c, p)
	})
}

func runCollector(ctx context.Context, path string, stderr io.Writer) error {
	var c collector.Config
	if err := config.Load(path, &c); err != nil {
		return usageError{err}
	}
	return ops.NewProcess(c.Log, stderr).Run(ctx, c.Admin, func(ctx context.Context, p *ops.Process) error {
		return collector.Run(ctx, &c, p)
	})
}

// runReplay has no admin address: the collector it replays for may have taken it.
func runReplay(ctx context.Context, path string, stdout, stderr io.Writer) error {
	var c collector.Config
	if err := config.Load(path, &c); err != nil {
		return usageError{err}
	}
	return ops.NewProcess(c.Log, stderr).Run(ctx, "", func(ctx context.Context, p *ops.Process) error {
		return collector.Replay(ctx, &c, p, stdout)
	})
}

// validate reads each file as its end would and prints what it finds.
func validate(paths []string, stdout io.Writer) error {
	bad := 0
	for _, path := range paths {
		if err := validateFile(path); err != nil {
			bad++
			fmt.Fprintln(stdout, err)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d files have mistakes", bad, len(paths))
	}
	return nil
}

// validateFile knows the end by its sources, or by its output where the source is
// mistaken.
func validateFile(path string) error {
	file, err := config.Read(path)
	if err != nil {
		return err
	}
	agents := file.Has("pipelines", "source", "containers")
	if file.Has("pipelines", "source", "kafka") || !agents && file.Has("pipelines", "output", "starrocks") {
		return file.Decode(new(collector.Config))
	}
	return file.Decode(new(agent.Config))
}
