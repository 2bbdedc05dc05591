package filters_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/demo/traffic"
	"millrace/internal/pipeline"
)

// What the dashboard's data set makes of a message, with SQL's regexp_extract
// that gives an empty text where nothing matches.
var (
	dashboardTime   = regexp.MustCompile(`HTTP/[0-9.]+" [0-9]{3} ([0-9.]+)`)
	dashboardHost   = regexp.MustCompile(`HTTP/[0-9.]+" [0-9]+ [-0-9., :]+ "([^"]*)"`)
	dashboardURL    = regexp.MustCompile(`"[A-Z]+ ([^ "]*) HTTP/`)
	dashboardStatus = regexp.MustCompile(`HTTP/[0-9.]+" ([0-9]{3}) `)
	dashboardWhere  = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}`)
)

// dashboard is what it takes from a message; false if it leaves the line out.
func dashboard(message string) (map[string]string, bool) {
	client, _, _ := strings.Cut(message, " ")
	if !strings.Contains(message, "HTTP/") || !dashboardWhere.MatchString(message) || client == "127.0.0.1" {
		return nil, false
	}
	first := func(re *regexp.Regexp) string {
		if m := re.FindStringSubmatch(message); m != nil {
			return m[1]
		}
		return ""
	}
	host := first(dashboardHost)
	project := "platform"
	if before, _, found := strings.Cut(host, "-"); found {
		project = before
	}
	url, _, _ := strings.Cut(first(dashboardURL), "?")
	return map[string]string{"client_ip": client, "request_time": first(dashboardTime), "host": host, "project": project,
		"path": url, "status": first(dashboardStatus)}, true
}

var hexEscape = regexp.MustCompile(`\\x[0-9A-Fa-f]{2}`)

// unescaped is the text that nginx wrote with its escapes.
func unescaped(text string) string {
	return strings.ToValidUTF8(hexEscape.ReplaceAllStringFunc(text, func(e string) string {
		c, _ := strconv.ParseUint(e[2:], 16, 8)
		return string([]byte{byte(c)})
	}), "\uFFFD")
}

// fieldsOf is what the filter took, null as an empty text; false if it left
// the line as it is.
func fieldsOf(t *testing.T, f pipeline.Filter, message string) (map[string]string, bool) {
	t.Helper()
	r := agentRecord(message)
	f.Apply(&r, new(pipeline.Arena))
	fields := map[string]string{}
	for _, a := range r.Added {
		var v any
		d := json.NewDecoder(strings.NewReader(string(a.JSON)))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Errorf("%q: %s is %s: %v", message, a.Name, a.JSON, err)
		}
		if v == nil {
			v = ""
		}
		fields[a.Name] = fmt.Sprint(v)
	}
	return fields, len(fields) > 0
}

// difference is the reason why a value is another one than the dashboard's.
// These are all there may be.
func difference(name, message, mine, theirs string, all map[string]string) string {
	if n, err := strconv.Atoi(theirs); name == "status" && err == nil {
		theirs = strconv.Itoa(n) // it is cast
	}
	if replaced := strings.ToValidUTF8(theirs, "\uFFFD"); mine == theirs || mine == replaced {
		return ""
	}
	if mine == unescaped(theirs) {
		return "escapes are undone"
	}
	request := strings.Split(message, `"`)[1]
	switch {
	case name == "path" && theirs == "" && regexp.MustCompile(`^[A-Z_-]+ `).MatchString(request) &&
		(strings.ContainsAny(all["method"], "-_") || all["protocol"] == ""):
		return "any method, and HTTP/0.9"
	case name == "path" && !strings.Contains(request, theirs):
		return "only the request is looked at"
	case name != "path" && !regexp.MustCompile(`HTTP/[0-9.]+$`).MatchString(request):
		return "requests without a version"
	}
	return "WRONG"
}

// Whatever line both the filter and the dashboard's regular expressions
// accept, they take the same from it, but for the differences that the
// documentation lists.
func TestKongEqualsTheDashboard(t *testing.T) {
	fs, err := load(t, kongDefault)
	if err != nil {
		t.Fatal(err)
	}
	compare := func(message string) (both bool, differences map[string]bool) {
		theirs, ok := dashboard(message)
		mine, taken := fieldsOf(t, fs[0], message)
		if !ok || !taken {
			return false, nil
		}
		differences = map[string]bool{}
		for name, want := range theirs {
			switch d := difference(name, message, mine[name], want, mine); d {
			case "":
			case "WRONG":
				t.Errorf("%s of %q: %q, the dashboard has %q", name, message, mine[name], want)
			default:
				differences[d] = true
			}
		}
		return true, differences
	}

	kong := traffic.NewKong(7, 1)
	both := 0
	for i := range 20_000 {
		l := kong.Next(time.Unix(1e9+int64(i), 0))
		theirs, differ := compare(l.Message)
		if theirs {
			both++
		}
		if len(differ) > 0 {
			t.Errorf("%q: %v", l.Message, differ)
		}
		if _, ok := dashboard(l.Message); ok && !theirs && l.Kind == traffic.Access {
			t.Errorf("%q is left as it is", l.Message)
		}
	}
	if both < 12_000 {
		t.Errorf("only %d lines are accepted by both", both)
	}

	seen := map[string]bool{}
	for _, message := range oddLines() {
		_, differ := compare(message)
		for d := range differ {
			seen[d] = true
		}
	}
	for _, d := range []string{"escapes are undone", "any method, and HTTP/0.9", "only the request is looked at", "requests without a version"} {
		if !seen[d] {
			t.Errorf("no line shows the difference %q", d)
		}
	}
}

// oddLines combine what is odd about the parts of a line.
func oddLines() (lines []string) {
	requests := []string{"GET / HTTP/1.1", "GET /a?b HTTP/1.1", "PATCH /?? HTTP/2.0", "GET /a b HTTP/1.1", "GET  HTTP/1.1", "GET / HTTP/1.1 x", "GET / HTTP/", "GET / HTTP/x",
		"M-SEARCH * HTTP/1.1", "get / HTTP/1.1", "", "-", `\x16\x03\x01`, "HTTP/1.1", " HTTP/1.1", "GET HTTP/1.1", "GET /", "GET /a HTTP/b HTTP/1.1",
		`GET /\x22\xEA\xB9\x80\xFF?\x22 HTTP/1.1`, "GET /가?나 HTTP/1.1", "GET /\xff HTTP/1.1", "CONNECT h:443 HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://h/a?b HTTP/1.1"}
	statuses := []string{"200", "000", "404", "-", "2000"}
	times := []string{"0.123", "10.000", "-", "0", "1.2.3"}
	upstreams := []string{"0.1", "-", "0.1, 0.2", "0.1 : 0.2", "-, 0.1 : -", "0.1,0.2", ""}
	hosts := []string{"shop-api.example.com", "www", "-", "", "a-b-c", `a\x22-b`, "[2001:db8::1]:80", "GET /h HTTP/1.1"}
	agents := []string{"curl/8", "-", "GET /evil HTTP/1.1", `\x22`}
	line := func(request, status, time, upstream, host string) {
		n := len(lines)
		lines = append(lines, fmt.Sprintf(`10.%d.0.1 [10/Dec/2025:10:23:10 +0900] "%s" %s %s %s "%s" "%s"`, n%256, request, status, time, upstream, host, agents[n/7%len(agents)]))
	}
	for _, request := range requests {
		for i, h := range hosts {
			for _, s := range statuses {
				line(request, s, times[i%len(times)], upstreams[i%len(upstreams)], h)
			}
		}
	}
	for _, s := range statuses {
		for _, rt := range times {
			for _, up := range upstreams {
				line(requests[0], s, rt, up, hosts[0])
			}
		}
	}
	return lines
}
