package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// StarRocks makes a load visible so long after its last byte: it writes,
// commits and publishes the version. The answer comes after that.
const minPublish, maxPublish = 200 * time.Millisecond, 500 * time.Millisecond

// gauge is an endpoint for Stream Loads that notes how old each row is when it
// becomes visible. It does not keep labels: nothing goes wrong here.
type gauge struct {
	*httptest.Server
	mu    sync.Mutex
	rows  int
	loads []time.Time
	ages  []aged
}

// aged is a row: when its line was written, and how old it was when it became
// visible.
type aged struct {
	written time.Time
	age     time.Duration
}

func newGauge() *gauge {
	g := &gauge{}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /api/", func(w http.ResponseWriter, r *http.Request) { // the frontend
		http.Redirect(w, r, g.URL+"/backend", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("PUT /backend", g.load)
	g.Server = httptest.NewServer(mux)
	return g
}

func (g *gauge) load(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	publish := time.NewTimer(minPublish + rand.N(maxPublish-minPublish))
	rows, err := writtenTimes(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	<-publish.C
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rows += len(rows)
	g.loads = append(g.loads, now)
	for _, at := range rows {
		g.ages = append(g.ages, aged{at, now.Sub(at)})
	}
	_, _ = fmt.Fprintf(w, `{"TxnId":1,"Status":"Success","NumberTotalRows":%d,"NumberLoadedRows":%[1]d}`, len(rows)) // the client may be gone
}

// writtenTimes reads the first column of each row, which stands on a line of its
// own.
func writtenTimes(body []byte) (rows []time.Time, err error) {
	for line := range bytes.Lines(body) {
		_, text, _ := bytes.Cut(line, []byte(`{"time":"`))
		text, _, _ = bytes.Cut(text, []byte{'"'})
		at, err := time.Parse("2006-01-02 15:04:05.000000", string(text))
		if err != nil {
			return nil, fmt.Errorf("read a row's time: %w", err)
		}
		rows = append(rows, at)
	}
	return rows, nil
}

func (g *gauge) arrived() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rows
}

// between are the ages of the lines written in a time, and how many loads there
// were in it.
func (g *gauge) between(from, to time.Time) (ages []time.Duration, loads int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	in := func(at time.Time) bool { return !at.Before(from) && at.Before(to) }
	for _, a := range g.ages {
		if in(a.written) {
			ages = append(ages, a.age)
		}
	}
	for _, at := range g.loads {
		if in(at) {
			loads++
		}
	}
	slices.Sort(ages)
	return ages, loads
}
