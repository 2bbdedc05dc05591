package starrockstest

import (
	"net/http"
	"strings"
	"time"
)

// frontend is one FE's HTTP service. One of them is the leader; the others
// send what needs the leader there.
type frontend struct {
	server *Server
	http   *httpListener
	index  int64
}

func (f *frontend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i, p := range parts {
		if clean, err := pathUnescape(p); err == nil {
			parts[i] = clean
		}
	}
	put := r.Method == http.MethodPut
	switch {
	case len(parts) == 4 && parts[0] == "api" && parts[3] == "_stream_load" && put:
		f.streamLoad(w, r, parts[1], parts[2])
	case len(parts) == 3 && parts[0] == "api" && parts[1] == "transaction" && (put || r.Method == http.MethodPost):
		f.transaction(w, r, parts[2])
	case len(parts) == 3 && parts[0] == "api" && parts[2] == "get_load_state" && r.Method == http.MethodGet:
		f.loadState(w, r, parts[1])
	case len(parts) == 4 && parts[0] == "api" && parts[3] == "_cancel" && r.Method == http.MethodPost:
		label := r.URL.Query().Get("label")
		if label == "" {
			label = parts[2]
		}
		f.cancel(w, r, parts[1], label)
	case r.URL.Path == "/api/health" && r.Method == http.MethodGet:
		answer(w, http.StatusOK, restResult("", "", ""))
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		http.NotFound(w, r)
	default:
		answer(w, http.StatusOK, restResult("Not implemented", "", ""))
	}
}

// answer writes a JSON body.
func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; there is nobody to tell
}

func unauthorized(w http.ResponseWriter, message string) {
	w.Header().Set("WWW-Authenticate", `Basic realm=""`)
	w.Header().Set("Connection", "close")
	answer(w, http.StatusUnauthorized, restResult(message, "", ""))
}

// authorized lets a request of a user with INSERT pass, unless a fault stops
// it.
func (f *frontend) authorized(w http.ResponseWriter, r *http.Request, table, label string) bool {
	if f.server.faults.take(FrontendError500, table, label) != nil {
		w.Header().Set("Connection", "close")
		answer(w, http.StatusInternalServerError, restResult("null", "", ""))
		return false
	}
	if f.server.faults.take(Unauthorized, table, label) != nil {
		unauthorized(w, "Access denied for injected@"+remoteIP(r))
		return false
	}
	u, _, err := f.server.checkPassword(r)
	if err == nil {
		err = u.mayInsert()
	}
	if err != nil {
		unauthorized(w, err.Error())
		return false
	}
	return true
}

// streamLoad answers a load with a redirect. It never reads the body, so
// net/http never sends 100 Continue.
func (f *frontend) streamLoad(w http.ResponseWriter, r *http.Request, db, table string) {
	s, label := f.server, r.Header.Get("label")
	if !f.authorized(w, r, table, label) {
		return
	}
	w.Header().Set("Connection", "close")
	if r.ProtoAtLeast(1, 1) && !strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		answer(w, http.StatusOK, ddlFailure("There is no 100-continue header"))
		return
	}
	if s.faults.take(FrontendFailed, table, label) != nil {
		answer(w, http.StatusOK, ddlFailure("injected: the frontend refuses"))
		return
	}
	host, ok := s.nextBackend()
	if !ok {
		answer(w, http.StatusOK, ddlFailure("No backend alive."))
		return
	}
	redirect(w, r, f.mislead(r, host, table))
}

// mislead is where a request to a backend is sent: there, or where a fault
// wants it.
func (f *frontend) mislead(r *http.Request, host, table string) string {
	s, label := f.server, r.Header.Get("label")
	if e := s.faults.take(SlowRedirect, table, label); e != nil {
		pause(r, e.Delay)
	}
	if s.faults.take(RedirectDead, table, label) != nil {
		return deadAddr()
	}
	if e := s.faults.take(RedirectTo, table, label); e != nil {
		return e.Addr
	}
	if s.faults.take(RedirectLoop, table, label) != nil {
		return f.http.addr()
	}
	return host
}

// redirect sends a request elsewhere: plain http, same path and query, no user
// information.
func redirect(w http.ResponseWriter, r *http.Request, host string) {
	to := "http://" + host + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func (f *frontend) loadState(w http.ResponseWriter, r *http.Request, name string) {
	s, label := f.server, r.URL.Query().Get("label")
	if !f.leads() {
		redirect(w, r, s.leaderAddr())
		return
	}
	if !f.authorized(w, r, "", label) {
		return
	}
	if s.faults.take(LoadStateFailed, "", label) != nil {
		answer(w, http.StatusOK, restResult("injected: the label state cannot be read", "", ""))
		return
	}
	if e := s.faults.take(LoadStateHang, "", label); e != nil {
		pause(r, e.Delay)
	}
	db := s.database(name)
	switch {
	case label == "":
		answer(w, http.StatusOK, restResult("No label selected", "", ""))
	case db == nil:
		answer(w, http.StatusOK, restResult("unknown database, database="+name, "", ""))
	default:
		state, reason := s.labelState(db, label)
		answer(w, http.StatusOK, restResult("", string(state), reason))
	}
}

// pause waits for d or for the client to go; d zero waits for the client.
func pause(r *http.Request, d time.Duration) {
	if d == 0 {
		<-r.Context().Done()
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

func (f *frontend) cancel(w http.ResponseWriter, r *http.Request, name, label string) {
	s := f.server
	if !f.leads() {
		redirect(w, r, s.leaderAddr())
		return
	}
	if !f.authorized(w, r, "", label) {
		return
	}
	db := s.database(name)
	if db == nil {
		answer(w, http.StatusOK, restResult("unknown database, database="+name, "", ""))
		return
	}
	if err := s.cancel(db, label); err != nil {
		answer(w, http.StatusOK, restResult(err.Error(), "", ""))
		return
	}
	answer(w, http.StatusOK, restResult("", "", ""))
}
