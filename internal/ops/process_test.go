package ops

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// While a process puts its parts together it is not ready, though no part has
// said anything yet.
func TestNotReadyBeforeStarted(t *testing.T) {
	p := NewProcess(LogConfig{}, io.Discard)
	ready := func() int {
		w := httptest.NewRecorder()
		p.Admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code
	}
	err := p.Run(t.Context(), "127.0.0.1:0", func(context.Context, *Process) error {
		if code := ready(); code != http.StatusServiceUnavailable {
			t.Errorf("readyz is %d before everything is known", code)
		}
		p.Started()
		if code := ready(); code != http.StatusOK {
			t.Errorf("readyz is %d after that", code)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
