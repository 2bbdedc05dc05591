package starrockstest

import (
	"slices"
	"strings"
	"testing"
)

// TestFrontendDown: the next one leads, redirects follow it, and the old one
// comes back as a follower.
func TestFrontendDown(t *testing.T) {
	s := start(t, Config{Frontends: 3})
	old := s.URL()
	s.StopFrontend(0)
	if s.URL() == old || !slices.Contains(s.FrontendURLs(), s.URL()) {
		t.Fatalf("the leader is still %s", old)
	}
	if r := put(t, s, goodRow, "label", "a"); r.Status != "Success" {
		t.Errorf("the new leader: %s", r.raw)
	}
	if err := s.StartFrontend(0); err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections() // the restart broke them
	const path = "/api/quickstart/get_load_state?label=a"
	resp, _ := do(t, request(t, "GET", old+path, nil))
	if resp.StatusCode != 307 || resp.Header.Get("Location") != s.URL()+path {
		t.Errorf("the old leader: %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if state := loadState(t, s.URL(), "a"); state != "VISIBLE" {
		t.Errorf("the label is %s", state)
	}
	for i := range 3 {
		s.StopFrontend(i)
	}
	if err := s.StartFrontend(2); err != nil || s.URL() == old {
		t.Errorf("of all that went the one that is back leads: %s %v", s.URL(), err)
	}
}

// TestBackendOnAnotherHost: the redirect names another host, and a client that
// drops its credentials there is told so.
func TestBackendOnAnotherHost(t *testing.T) {
	s := start(t, Config{BackendAddrs: []string{"127.0.0.2:0"}})
	resp, _ := do(t, request(t, "PUT", s.URL()+"/api/quickstart/kong_log_events/_stream_load", nil))
	to := resp.Header.Get("Location")
	if !strings.HasPrefix(to, "http://127.0.0.2:") {
		t.Fatalf("redirect to %s", to)
	}
	if _, body := do(t, request(t, "PUT", to, strings.NewReader(goodRow), "Authorization", "")); !strings.Contains(body, "no valid Basic authorization") {
		t.Errorf("without credentials: %s", body)
	}
	if r := put(t, s, goodRow); r.Status != "Success" {
		t.Errorf("with them: %s", r.raw)
	}
}
