package agent

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

func TestHowFilesAreHeldIsSaidAtTheStart(t *testing.T) {
	here := t.TempDir()
	for _, tt := range []struct{ logDir, want string }{
		{here, "held by hard links"},
		{"/proc", "different mounts, mount one directory that holds both"}, // another mount wherever this runs
		{filepath.Join(here, "missing"), ""},
	} {
		var said strings.Builder
		tellHolding(slog.New(slog.NewTextHandler(&said, nil)), tt.logDir, here)
		if !strings.Contains(said.String(), tt.want) || (tt.want == "") != (said.Len() == 0) {
			t.Errorf("log_dir %s: %q, want %q", tt.logDir, said.String(), tt.want)
		}
	}
}
