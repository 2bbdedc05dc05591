// Package superset imports the dashboard into a real Superset and compares
// what its charts show with what was written. Without SUPERSET_CHECK, the path
// of a script that runs Superset, the queries that Superset sent once, in
// testdata, stand for it. `go test ./e2e/superset -update` with it writes them,
// and the picture in docs, anew.
package superset

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/demo/traffic"
	"millrace/filters"
	"millrace/internal/pipeline"
	ddl "millrace/manifests/starrocks"
	"millrace/outputs/starrocks/starrockstest"
)

// line is what a Kong wrote, and when.
type line struct {
	at time.Time
	traffic.Line
}

// written makes up lines from since to until, about n a day, as busy as the
// time of day is, in the order of their times. No two have the same.
func written(since, until time.Time, n int) (lines []line) {
	kong, dice := traffic.NewKong(11, 1), rand.New(rand.NewPCG(11, 1))
	for at := since; at.Before(until); {
		lines = append(lines, line{at, kong.Next(at)})
		pause := dice.ExpFloat64() * 24 * float64(time.Hour) / float64(n) / traffic.Load(at)
		at = at.Add(time.Duration(pause)).Truncate(time.Microsecond).Add(time.Microsecond)
	}
	return lines
}

// stand starts the stand-in with the shipped table, columns and view, and
// loads what the filter kong makes of the lines.
func stand(t testing.TB, lines []line) *starrockstest.Server {
	t.Helper()
	srv, err := starrockstest.New(starrockstest.Config{DDL: []string{"CREATE DATABASE quickstart", ddl.Recommended, ddl.KongColumns, ddl.Kong10m}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	kong := &filters.Kong{}
	kong.SetDefaults()
	filter := filters.New(filters.List{{Kong: kong}}, prometheus.NewRegistry())[0]
	const most = 20_000
	for len(lines) > 0 {
		n := min(most, len(lines))
		load(t, srv, body(filter, lines[:n]), n)
		lines = lines[n:]
	}
	if err := srv.Exec("quickstart", "REFRESH MATERIALIZED VIEW kong_10m WITH SYNC MODE"); err != nil {
		t.Fatal(err)
	}
	return srv
}

// body is a load of lines, as the product writes them.
func body(filter pipeline.Filter, lines []line) (out []byte) {
	origins := map[string]*pipeline.Origin{}
	for _, stream := range []string{"stdout", "stderr"} {
		origins[stream] = &pipeline.Origin{Account: &pipeline.Account{}, Stream: []byte(stream)}
	}
	var mem pipeline.Arena
	for _, l := range lines {
		mem.Reset(1 << 20)
		r := pipeline.Record{Origin: origins[l.Stream], Time: l.at.UTC().AppendFormat(nil, "2006-01-02 15:04:05.000000"),
			Tag: []byte("F"), Message: []byte(l.Message)}
		filter.Apply(&r, &mem)
		out, _, _ = r.AppendJSON(out, 1<<20)
		out = append(out, '\n')
	}
	return out
}

func load(t testing.TB, srv *starrockstest.Server, body []byte, rows int) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, srv.BackendURLs()[0]+"/api/quickstart/kong_log_events/_stream_load", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("root", "")
	for name, value := range map[string]string{"Expect": "100-continue", "format": "json", "strict_mode": "true"} {
		req.Header.Set(name, value)
	}
	resp, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: 10 * time.Second}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status           string
		NumberLoadedRows int
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "Success" || answer.NumberLoadedRows != rows {
		t.Fatalf("the load answers %s", text)
	}
}
