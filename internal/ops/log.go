// Package ops makes an end of Millrace operable: its log, whether it is healthy and ready and why not, its metrics and
// profiles over HTTP, its version.
//
// There is no global state: registry, health and logger are made once by whoever assembles the process and passed down. The
// one goroutine is that of Server.Serve, which waits for it.
package ops

import (
	"io"
	"log/slog"
	"os"

	"millrace/internal/config"
)

// LogConfig is the section log.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // json or text; empty: text on a terminal, else json
}

// SetDefaults implements config.Defaulter.
func (c *LogConfig) SetDefaults() { c.Level = "info" }

// Validate implements config.Validator.
func (c *LogConfig) Validate(e *config.Errors) {
	e.Enum("level", c.Level, "debug", "info", "warn", "error")
	if c.Format != "" {
		e.Enum("format", c.Format, "json", "text")
	}
}

// NewLogger makes a logger of a valid section, or of the zero one, which stands for the defaults. It writes each record with
// one Write to w.
func NewLogger(c LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if c.Level != "" {
		if err := level.UnmarshalText([]byte(c.Level)); err != nil {
			panic("BUG: a log level that was not validated: " + err.Error())
		}
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" || c.Format == "" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// isTerminal takes any character device for a terminal; of the others, /dev/null does not mind.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
