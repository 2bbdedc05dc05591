package agent

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/internal/ops"
)

// A second agent on one data_dir waits, says so, and goes on when the first
// has ended.
func TestSecondAgentWaitsForTheFirst(t *testing.T) {
	dir := t.TempDir()
	p := ops.NewProcess(ops.LogConfig{}, io.Discard)
	first, err := lockDataDir(t.Context(), dir, p.Health)
	must(t, err)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockDataDir(ended, dir, p.Health); err == nil {
		t.Fatal("two have the lock")
	}
	w := httptest.NewRecorder()
	p.Admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "another process uses data_dir") {
		t.Errorf("readyz is %d %q", w.Code, w.Body)
	}
	must(t, first.Close())
	second, err := lockDataDir(t.Context(), dir, p.Health)
	must(t, err)
	must(t, second.Close())
}
