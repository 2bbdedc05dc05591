package filters_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/pipeline"
)

func agentRecord(message string) pipeline.Record {
	return pipeline.Record{Origin: &pipeline.Origin{Account: &pipeline.Account{}, Stream: []byte("stdout")},
		Time: []byte("2026-01-01T00:00:00Z"), Tag: []byte("F"), Message: []byte(message)}
}

func collectorRecord(t testing.TB, message string) pipeline.Record {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"time": "2026-01-01T00:00:00Z", "message": message})
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Record{Origin: &pipeline.Origin{}, Raw: raw}
}

// added is what filters appended, as JSON without braces.
func added(r *pipeline.Record) string {
	var b strings.Builder
	for i, f := range r.Added {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(f.Name + "=" + string(f.JSON))
	}
	return b.String()
}

const kongDefault = `- kong: {}`

// accessFields are names of the default format's fields in their order.
var accessFields = strings.Fields("client_ip method host path query protocol status request_time upstream_response_time user_agent project")

func TestKong(t *testing.T) {
	head := `101.42.3.17 [10/Dec/2025:10:23:10 +0900] `
	for _, tc := range []struct{ name, line, want string }{
		{"ordinary", accessLine,
			`"101.42.3.17" "GET" "shop-api.example.com" "/api/v1/products/12" "sort=-created_at&request_id=5d3a1c0e6a4b7c1f" "HTTP/1.1" 200 0.123 0.120 ` +
				`"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36" "shop"`},
		{"IPv6, no upstream, no query", `2001:db8::1 [x] "HEAD / HTTP/2.0" 499 0.000 - "www.example.com" "-"`,
			`"2001:db8::1" "HEAD" "www.example.com" "/" null "HTTP/2.0" 499 0.000 null "-" "platform"`},
		{"local socket", `unix: [x] "GET / HTTP/1.0" 204 1 2 "a-b-c" ""`,
			`"unix:" "GET" "a-b-c" "/" null "HTTP/1.0" 204 1 2 "" "a"`},
		{"tries", head + `"GET /?a=?b HTTP/1.1" 502 0.2 0.001, 0.02 : 0.3, -, 4 "192.0.2.15:8000" "x"`,
			`"101.42.3.17" "GET" "192.0.2.15:8000" "/" "a=?b" "HTTP/1.1" 502 0.2 4.321 "x" "platform"`},
		{"tries without an answer", head + `"GET /? HTTP/1.1" 502 - -, - : - "h" "x"`,
			`"101.42.3.17" "GET" "h" "/" "" "HTTP/1.1" 502 null null "x" "platform"`},
		{"a sum that carries", head + `"GET / HTTP/1.1" 200 9.999 9.999, 0.001 "h" "x"`,
			`"101.42.3.17" "GET" "h" "/" null "HTTP/1.1" 200 9.999 10.000 "x" "platform"`},
		{"escapes", head + `"GET /\x22a\x22?q=\xEA\xB9\x80 HTTP/1.1" 200 0.1 0.1 "shop\x5C-api" "\xEC\x87\xBC \x00\x1F \xFF \x \x4 \xZZ"`,
			`"101.42.3.17" "GET" "shop\\-api" "/\"a\"" "q=김" "HTTP/1.1" 200 0.1 0.1 "쇼 \u0000\u001f � \\x \\x4 \\xZZ" "shop\\"`},
		{"letters beyond ASCII", head + `"GET /김?ä HTTP/1.1" 200 0.1 0.1 "shop-가" "` + "\xff\t" + `"`,
			`"101.42.3.17" "GET" "shop-가" "/김" "ä" "HTTP/1.1" 200 0.1 0.1 "�\t" "shop"`},
		{"empty request", head + `"" 400 0.000 - "-" "-"`,
			`"101.42.3.17" null "-" null null null 400 0.000 null "-" ""`},
		{"a dash for a request", head + `"-" 000 0.000 - "-" "-"`,
			`"101.42.3.17" null "-" null null null 0 0.000 null "-" ""`},
		{"TLS on a plain port", head + `"\x16\x03\x01\x02" 400 0.001 - "-" "-"`,
			`"101.42.3.17" null "-" null null null 400 0.001 null "-" ""`},
		{"garbage", head + `"get / HTTP/1.1" 400 0.001 - "-" "-"`,
			`"101.42.3.17" null "-" null null null 400 0.001 null "-" ""`},
		{"another protocol", head + `"GET / HELO" 400 0.001 - "-" "-"`,
			`"101.42.3.17" null "-" null null null 400 0.001 null "-" ""`},
		{"a space in the path", head + `"GET /a b HTTP/1.1" 400 0.001 - "-" "-"`,
			`"101.42.3.17" null "-" null null null 400 0.001 null "-" ""`},
		{"no protocol", head + `"GET /a?b" 009 0.001 - "-" "-"`,
			`"101.42.3.17" "GET" "-" "/a" "b" null 9 0.001 null "-" ""`},
		{"absolute form", head + `"GET http://h/a?b HTTP/1.1" 200 0.001 - "h" "-"`,
			`"101.42.3.17" "GET" "h" "http://h/a" "b" "HTTP/1.1" 200 0.001 null "-" "platform"`},
	} {
		fs, err := load(t, kongDefault)
		if err != nil {
			t.Fatal(err)
		}
		// What is not UTF-8 does not come as far as the collector.
		for shape, r := range map[string]pipeline.Record{"agent": agentRecord(tc.line), "collector": collectorRecord(t, strings.ToValidUTF8(tc.line, "\uFFFD"))} {
			if !fs[0].Apply(&r, new(pipeline.Arena)) {
				t.Errorf("%s: dropped", tc.name)
			}
			var got []string
			for i, f := range r.Added {
				if i >= len(accessFields) || f.Name != accessFields[i] {
					t.Errorf("%s: field %d is %s", tc.name, i, f.Name)
				}
				got = append(got, string(f.JSON))
			}
			if g := strings.Join(got, " "); g != tc.want {
				t.Errorf("%s at the %s:\ngot  %s\nwant %s", tc.name, shape, g, tc.want)
			}
		}
	}
}

// Every format of nginx's that can be taken apart is.
func TestKongFormats(t *testing.T) {
	for _, tc := range []struct{ name, yaml, line, want string }{
		{"what Kong writes by itself", `- kong: {format: '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" kong_request_id: "$request_id"'}`,
			`10.42.3.17 - joe [1] [21/Aug/2026:08:15:30 +0000] "GET /orders/42 HTTP/1.1" 200 512 "-" "curl/8.5.0" kong_request_id: "5d3a"`,
			`client_ip="10.42.3.17" method="GET" path="/orders/42" query=null protocol="HTTP/1.1" status=200 user_agent="curl/8.5.0"`},
		{"braces, a target after its host", `- kong: {format: '<$${remote_addr}> $request_method $scheme://$host$request_uri $server_protocol $upstream_addr $status'}`,
			`<10.0.0.1> GET https://shop-api/a/b?c=d HTTP/1.1 10.1.1.1:80, 10.1.1.2:80 : unix:/tmp/x 200`,
			`client_ip="10.0.0.1" method="GET" host="shop-api" path="/a/b" query="c=d" protocol="HTTP/1.1" status=200 project="shop"`},
		{"$is_args", `- kong: {format: '$status $uri$is_args$args $request_time'}`, `200 /a?b 0.5`, `path="/a" query="b" status=200 request_time=0.5`},
		{"$is_args without arguments", `- kong: {format: '$status $uri$is_args$args $request_time'}`, `200 /a 0.5`, `path="/a" query=null status=200 request_time=0.5`},
		{"$args without arguments", `- kong: {format: '$uri?$args'}`, `/a?-`, `path="/a" query=null`},
		{"escape=json", `- kong: {escape: json, format: '{"h":"$http_host","u":"$request_uri","a":"$http_user_agent","t":"$upstream_response_time"}'}`,
			`{"h":"a-b","u":"/\"x\"","a":"\u0001\\ \/\t가\ud83d","t":"0.1, 0.25"}`,
			`host="a-b" path="/\"x\"" query=null upstream_response_time=0.35 user_agent="\u0001\\ /\t가\\ud83d" project="a"`},
		{"escape=none", `- kong: {escape: none, format: '$request_uri "$http_user_agent"!'}`, `/\x20 "a "b" \x22"!`,
			`path="/\\x20" query=null user_agent="a \"b\" \\x22"`},
		{"no quotation marks", `- kong: {format: '$request_method $status, $http_user_agent'}`, `GET 200, a "b"`, `method="GET" status=200 user_agent="a \"b\""`},
		{"the first of two counts", `- kong: {format: '$host $http_host $request_uri "$request"'}`, `a b /c "GET /d?e HTTP/1.1"`,
			`method="GET" host="a" path="/c" query="e" protocol="HTTP/1.1" project="platform"`},
		{"commas", `- kong: {format: '$upstream_response_time,$status,$upstream_status'}`, `0.1, 0.2,200,502, 200`, `status=200 upstream_response_time=0.3`},
		{"the second format", "- kong: {}\n- kong: {format: '$status $request_time'}", `200 1.5`, `status=200 request_time=1.5`},
		{"the first format", "- kong: {format: '$status $request_time'}\n- kong: {format: '$status $http_host'}", `200 1.5`, `status=200 request_time=1.5`},
	} {
		fs, err := load(t, tc.yaml)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		r := agentRecord(tc.line)
		for _, f := range fs {
			f.Apply(&r, new(pipeline.Arena))
		}
		if got := added(&r); got != tc.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

// What is not in the format stays as it is, and is counted once however many
// formats there are.
func TestKongLeavesOtherLines(t *testing.T) {
	lines := []string{
		"", " ", `2025/12/10 10:23:10 [notice] 1286#0: *1 [lua] init.lua:788`, `{"a":1}`, "\tstack traceback: 가",
		`101.42.3.17`, `101.42.3.17 [10/Dec/2025:10:23:10 +0900] "GET / HTTP/1.1`,
		` [x] "GET / HTTP/1.1" 200 0.1 0.1 "h" "u"`,
		`host [x] "GET / HTTP/1.1" 200 0.1 0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 20 0.1 0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 2000 0.1 0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" - 0.1 0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1s 0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 00.1 0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 .1 0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 1. 0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1 0.1,0.2 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1 0.1, "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1 ` + strings.Repeat("0.1, ", 64) + `0.1 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1 123456789 "h" "u"`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1 0.1 "h" "u`,
		`1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1 0.1 "h" "u" more`,
		`1.1.1.1 [x] "GET "/" HTTP/1.1" 200 0.1 0.1 "h" "u"`,
	}
	registry := prometheus.NewRegistry()
	fs := loadWith(t, "- kong: {}\n- kong: {format: '$status $request_time'}", registry)
	for _, line := range lines {
		for _, r := range []pipeline.Record{agentRecord(line), collectorRecord(t, line)} {
			raw := string(r.Raw)
			for _, f := range fs {
				if !f.Apply(&r, new(pipeline.Arena)) {
					t.Errorf("%q: dropped", line)
				}
			}
			if len(r.Added) > 0 || string(r.Raw) != raw || r.Raw == nil && string(r.Message) != line {
				t.Errorf("%q: became %q, %s", line, r.Message, added(&r))
			}
		}
	}
	if got := value(t, registry, "millrace_kong_unmatched_records_total"); got != float64(2*len(lines)) {
		t.Errorf("%v lines are counted as unmatched, want %d", got, 2*len(lines))
	}
}

// Long values are shortened to whole letters, so that a record with its fields
// fits wherever one of its size without them does, nearly.
func TestKongShortens(t *testing.T) {
	registry := prometheus.NewRegistry()
	fs := loadWith(t, kongDefault, registry)
	long := strings.Repeat("가", 4000)
	r := agentRecord(`1.1.1.1 [x] "GET /` + long + `?` + long + ` HTTP/1.1" 200 0.1 0.1 "h-` + long + `" "` + strings.Repeat(`\xEA\xB0\x80`, 4000) + `"`)
	var mem pipeline.Arena
	fs[0].Apply(&r, &mem)
	for i, want := range map[int]int{2: 2 + 510/3*3, 3: 1 + 8190/3*3, 4: 8190 / 3 * 3, 9: 8190} {
		var text string
		if err := json.Unmarshal(r.Added[i].JSON, &text); err != nil || len(text) != want || strings.ContainsRune(text, '\uFFFD') {
			t.Errorf("%s has %d bytes, want %d (%v)", r.Added[i].Name, len(text), want, err)
		}
	}
	if got := value(t, registry, "millrace_kong_shortened_values_total"); got != 4 {
		t.Errorf("%v values are counted as shortened, want 4", got)
	}
}

// A line costs no allocation: its fields live in the batch.
func TestKongAllocates(t *testing.T) {
	fs, err := load(t, kongDefault)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{accessLine, `2001:db8::1 [x] "GET /\x22?\x22 HTTP/1.1" 502 0.2 0.1, - : 0.05 "shop-api\x22" "(\x22\xEC\x87\xBC\x22; ko-KR)"`, `[error] x`} {
		var mem pipeline.Arena
		mem.Grow(4096)
		r := agentRecord(line)
		if n := testing.AllocsPerRun(100, func() {
			r.Added = r.Added[:0]
			mem.Reset(1 << 20)
			fs[0].Apply(&r, &mem)
		}); n != 0 {
			t.Errorf("%.40s: %v allocations", line, n)
		}
	}
}
