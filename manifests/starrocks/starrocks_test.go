package starrocks

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/outputs/starrocks/starrockstest"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

// Two access lines as the filter kong leaves them, a health check, a line of
// the error log, a client with an IPv6 address and a request that is none.
const records = `{"time":"2026-08-21 08:15:30","stream":"stdout","client_ip":"10.0.0.1","method":"GET","host":"shop-web.example.com","path":"/a","query":"b=c","protocol":"HTTP/1.1","status":200,"request_time":0.5,"upstream_response_time":0.4,"user_agent":"curl","project":"shop"}
{"time":"2026-08-21 08:16:30.2","stream":"stdout","client_ip":"10.0.0.2","method":"GET","host":"shop-web.example.com","path":"/a","query":"","protocol":"HTTP/1.1","status":200,"request_time":0.25,"upstream_response_time":null,"user_agent":"-","project":"shop"}
{"time":"2026-08-21 08:16:31.2","stream":"stdout","client_ip":"127.0.0.1","method":"GET","host":"127.0.0.1","path":"/status","query":"","protocol":"HTTP/1.1","status":200,"request_time":0.001,"upstream_response_time":null,"user_agent":"-","project":"platform"}
{"time":"2026-08-21 08:16:32.2","stream":"stderr","message":"2026/08/21 08:16:32 [error] no upstream"}
{"time":"2026-08-21 08:16:33","stream":"stdout","client_ip":"::ffff:10.0.0.1","method":"GET","host":"a","path":"/","query":null,"protocol":"HTTP/1.1","status":200,"request_time":0.1,"upstream_response_time":null,"user_agent":"-","project":"platform"}
{"time":"2026-08-21 08:16:34","stream":"stdout","client_ip":"10.0.0.3","method":null,"host":"-","path":null,"query":null,"protocol":null,"status":400,"request_time":0,"upstream_response_time":null,"user_agent":"-","project":""}
`

// TestDefinitions creates each table, adds the columns, loads rows in strict
// mode and refreshes the view.
func TestDefinitions(t *testing.T) {
	for name, table := range map[string]string{"plain": KongLogEvents, "recommended": Recommended} {
		t.Run(name, func(t *testing.T) {
			srv, err := starrockstest.New(starrockstest.Config{DDL: []string{"CREATE DATABASE quickstart", table}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { srv.Close() })
			view := Kong10m
			if name == "plain" { // as its file says
				view = strings.Replace(view, "PARTITION BY date_trunc('day', time_10m)\n", "", 1)
			}
			for _, script := range []string{KongColumns, view} {
				if err := srv.Exec("", script); err != nil {
					t.Fatalf("%s: %v", script, err)
				}
			}
			load(t, srv, records)
			if err := srv.Exec("quickstart", "REFRESH MATERIALIZED VIEW kong_10m WITH SYNC MODE"); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("mysql", srv.DSN("root", "", "quickstart"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			if got, want := answer(t, db, "SELECT * FROM kong_10m"), []string{"2026-08-21 08:10:00|2026-08-21 17:10:00|shop|shop-web.example.com|/a|200|2|2|0.75|0.5"}; !slices.Equal(got, want) {
				t.Errorf("the view holds %q, want %q", got, want)
			}
			if got, want := answer(t, db, "SELECT kst_time, upstream_response_time, query FROM kong_log_events WHERE user_agent = 'curl'"), []string{"2026-08-21 17:15:30|0.4|b=c"}; !slices.Equal(got, want) {
				t.Errorf("the typed columns hold %q, want %q", got, want)
			}
		})
	}
}

func load(t *testing.T, srv *starrockstest.Server, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, srv.BackendURLs()[0]+"/api/quickstart/kong_log_events/_stream_load", strings.NewReader(body))
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
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil || !strings.Contains(text.String(), `"Success"`) {
		t.Fatalf("%v: the load answers %s", err, &text)
	}
}

// answer are the rows of a query, their cells separated by bars.
func answer(t *testing.T, db *sql.DB, query string) (lines []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, c := range cells {
			texts = append(texts, c.String)
		}
		lines = append(lines, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", query, err))
	}
	return lines
}
