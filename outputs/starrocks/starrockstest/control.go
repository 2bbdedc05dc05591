package starrockstest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
)

// Control is an HTTP handler that switches from outside what tests switch by
// method, for a server that runs in a program of its own. It has no password:
// listen on a loopback address only.
//
//	GET    /                        state: Stats, what struck, addresses
//	GET    /label?db=D&label=L      a Transaction
//	POST   /faults                  Inject; the body is one fault as ParseFault reads it
//	DELETE /faults                  ClearFaults
//	POST   /set?name=N&value=V      Set
//	POST   /evict                   CleanLabels
//	POST   /leader                  LeaderChange
//	POST   /finish?db=D&label=L&state=VISIBLE|ABORTED   Finish
//	POST   /backends/0/stop|start, /frontends/0/stop|start
//
// Answers are JSON: 200 with an object, 400 with {"error": sentence}.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	do := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			status, result := http.StatusOK, any(struct{}{})
			if got, err := f(r); err != nil {
				status, result = http.StatusBadRequest, map[string]string{"error": err.Error()}
			} else if got != nil {
				result = got
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(result) // the client may be gone
		})
	}
	do("GET /{$}", func(*http.Request) (any, error) { return s.state(), nil })
	do("GET /label", func(r *http.Request) (any, error) { return s.Label(r.FormValue("db"), r.FormValue("label")), nil })
	do("POST /faults", s.controlFault)
	do("DELETE /faults", func(*http.Request) (any, error) { s.ClearFaults(); return nil, nil })
	do("POST /set", func(r *http.Request) (any, error) { return nil, s.Set(r.FormValue("name"), r.FormValue("value")) })
	do("POST /evict", func(*http.Request) (any, error) { return map[string]int{"evicted": s.CleanLabels()}, nil })
	do("POST /leader", func(*http.Request) (any, error) { s.LeaderChange(); return nil, nil })
	do("POST /finish", func(r *http.Request) (any, error) {
		return nil, s.Finish(r.FormValue("db"), r.FormValue("label"), State(r.FormValue("state")))
	})
	do("POST /backends/{i}/{act}", func(r *http.Request) (any, error) {
		return nil, switchNode(r, len(s.backends), s.StopBackend, s.StartBackend)
	})
	do("POST /frontends/{i}/{act}", func(r *http.Request) (any, error) {
		return nil, switchNode(r, len(s.frontends), s.StopFrontend, s.StartFrontend)
	})
	return mux
}

func (s *Server) controlFault(r *http.Request) (any, error) {
	spec, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("read fault: %w", err)
	}
	f, err := ParseFault(string(spec))
	if err == nil {
		s.Inject(f)
	}
	return nil, err
}

// switchNode stops or starts one of n nodes.
func switchNode(r *http.Request, n int, stop func(int), start func(int) error) error {
	i, err := strconv.Atoi(r.PathValue("i"))
	if err != nil || i < 0 || i >= n {
		return fmt.Errorf("switch node %q: there are %d, counted from 0", r.PathValue("i"), n)
	}
	switch act := r.PathValue("act"); act {
	case "stop":
		stop(i)
		return nil
	case "start":
		return start(i)
	default:
		return fmt.Errorf("switch node %d: %q is neither stop nor start", i, act)
	}
}

// serverState is what GET / of the control address and the first line of the
// program tell.
type serverState struct {
	Frontends []string          `json:"frontends"` // host:port, in the order of their start
	Backends  []string          `json:"backends"`
	Leader    string            `json:"leader"`
	MySQL     string            `json:"mysql"`
	Control   string            `json:"control,omitempty"`
	Stats     Stats             `json:"stats"`
	Struck    map[FaultKind]int `json:"struck"` // also of earlier lives
}

func (s *Server) state() serverState {
	st := serverState{Leader: s.leaderAddr(), MySQL: s.MySQLAddr(), Stats: s.Stats()}
	for _, f := range s.frontends {
		st.Frontends = append(st.Frontends, f.http.addr())
	}
	for _, b := range s.backends {
		st.Backends = append(st.Backends, b.http.addr())
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	st.Struck = maps.Clone(s.faults.struck)
	return st
}
