package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"

	"millrace/demo/traffic"
)

//go:embed page
var pageFiles embed.FS

// page answers the browser. Its handlers run concurrently.
type page struct {
	*demo
	board board
	acts  map[string]func(context.Context) error
}

func newPage(d *demo) *page {
	return &page{demo: d, board: board{warehouse: d.warehouse}, acts: map[string]func(context.Context) error{
		"agent-restart":     d.agent.child.Restart,
		"agent-kill":        func(ctx context.Context) error { d.agent.child.Kill(ctx); return nil },
		"collector-restart": d.collector.child.Restart,
		"collector-kill":    func(ctx context.Context) error { d.collector.child.Kill(ctx); return nil },
		"kafka-down":        func(context.Context) error { d.cluster.down(); return nil },
		"kafka-up":          func(context.Context) error { return d.cluster.up() },
		"starrocks-down":    func(context.Context) error { d.warehouse.breakDown(); return nil },
		"starrocks-up":      func(context.Context) error { return d.warehouse.mend() },
	}}
}

// handler serves the page, its data, the buttons, and under /starrocks/ the
// switches of the stand-in.
func (p *page) handler() http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic("BUG: the page's files are not embedded: " + err.Error())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/flow", p.serveFlow)
	mux.HandleFunc("GET /api/state", p.serveState)
	mux.HandleFunc("GET /api/charts", p.serveCharts)
	mux.HandleFunc("GET /api/newest", p.serveNewest)
	mux.HandleFunc("POST /api/do/{act}", p.serveAct)
	control := http.StripPrefix("/starrocks", p.warehouse.Control())
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		mux.Handle(method+" /starrocks/", control)
	}
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cache-Control", "no-store")
		guarded.ServeHTTP(w, r)
	})
}

// policy lets the page ask this server and nobody else, and run nothing that
// is not one of its files.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the browser is gone
}

// serveFlow gives the samples after ?since=, an RFC 3339 time.
func (p *page) serveFlow(w http.ResponseWriter, r *http.Request) {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			http.Error(w, "since must be a time as in RFC 3339", http.StatusBadRequest)
			return
		}
	}
	reply(w, p.flow.since(since))
}

// endState is one end as the page shows it: what is not known is null.
type endState struct {
	Child    childState `json:"child"`
	Ready    *bool      `json:"ready"`
	Reason   string     `json:"reason"`
	Accounts []row      `json:"accounts"`
	Total    *row       `json:"total"`
}

// row is one line of a ledger, with what does not add up.
type row struct {
	account
	Missing int64 `json:"missing"`
}

func (p *page) serveState(w http.ResponseWriter, r *http.Request) {
	c := &p.node.counts
	reply(w, map[string]any{
		"agent":     p.agent.state(r.Context()),
		"collector": p.collector.state(r.Context()),
		"kafka":     p.cluster.running(),
		"starrocks": !p.warehouse.broken.Load(),
		"node": map[string]int64{
			"selected": c.selected.Load(), "due": c.due(), "health": c.health.Load(), "long": c.long.Load(),
			"other": c.other.Load(), "restarts": c.restarts.Load(), "rotations": p.node.rotations(),
		},
		"truncated": p.warehouse.truncated.Load(),
		"base":      p.flow.base,
	})
}

func (e *end) state(ctx context.Context) endState {
	s := endState{Child: e.child.state()}
	if reason, err := e.probe.ready(ctx); err == nil {
		s.Ready, s.Reason = new(reason == ""), reason
	}
	st, err := e.probe.status(ctx)
	if err != nil {
		return s
	}
	for _, l := range st.Pipelines {
		for _, a := range l.Accounts {
			s.Accounts = append(s.Accounts, row{a, a.Missing()})
		}
	}
	total := st.ledger()
	s.Total = &row{account{Name: "all", Balance: total}, total.Missing()}
	return s
}

// serveCharts gives the charts of a time range.
func (p *page) serveCharts(w http.ResponseWriter, r *http.Request) {
	of, err := parseRange(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reply(w, p.board.ask(r.Context(), of))
}

func (p *page) serveNewest(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	reply(w, p.warehouse.ask(r.Context(), newest, span{now.Add(-time.Minute), now.Add(time.Minute)}))
}

// serveAct does what a button says. Pages of other origins cannot press it.
func (p *page) serveAct(w http.ResponseWriter, r *http.Request) {
	act, ok := p.acts[r.PathValue("act")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if err := act(context.WithoutCancel(r.Context())); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// show runs the demo with its page until the context ends.
func (d *demo) show(ctx context.Context) error {
	listener, err := net.Listen("tcp", d.opts.page)
	if err != nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return fmt.Errorf("listen for the page: %w", err)
		}
	}
	server := &http.Server{Handler: newPage(d).handler(), ReadHeaderTimeout: 5 * time.Second}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	all.Go(func() { d.flow.run(ctx) })
	all.Go(func() { cancel(d.write(ctx, d.rate, d.upkeep())) })
	all.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(err)
		}
	})
	fmt.Printf("the page is at http://%s/\nfiles and logs are in %s\nCtrl-C ends it\n", listener.Addr(), d.dir)
	<-ctx.Done()
	server.Close()
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// rate is the ordinary rate as the day and the minutes change it.
func (d *demo) rate(at time.Time) float64 { return d.opts.rate * traffic.Load(at) }

// upkeep is what happens between the lines: a container that crashes every
// three minutes and is back after two seconds, and room made in Kafka and in
// the table.
func (d *demo) upkeep() func() error {
	var crashed, kept time.Time
	crashed = time.Now()
	return func() error {
		now := time.Now()
		if err := d.broken(); err != nil {
			return err
		}
		if now.Sub(kept) > 30*time.Second {
			kept = now
			d.cluster.retain()
			if err := d.warehouse.trim(d.opts.keep); err != nil {
				return err
			}
		}
		if now.Sub(crashed) > 3*time.Minute {
			crashed = now
			return d.node.crash("panic: the last words have no newline")
		}
		if now.Sub(crashed) > 2*time.Second {
			return d.node.recover()
		}
		return nil
	}
}
