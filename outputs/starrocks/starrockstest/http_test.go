package starrockstest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var threeUsers = []User{
	{Name: "root", Insert: true, Select: true, Admin: true},
	{Name: "reader", Password: "r", Select: true},
	{Name: "loader", Password: "l", Insert: true},
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestFrontendRefusals(t *testing.T) {
	s := start(t, Config{Users: threeUsers, Backends: 2})
	const path = "/api/quickstart/kong_log_events/_stream_load"
	for name, test := range map[string]struct {
		method, path string
		headers      []string
		status       int
		want         string // a part of the body or, for 307, of Location
	}{
		"redirect":        {"PUT", path + "?x=1", nil, 307, path + "?x=1"},
		"unknown table":   {"PUT", "/api/no/such/_stream_load", nil, 307, "/api/no/such/_stream_load"},
		"no credentials":  {"PUT", path, []string{"Authorization", ""}, 401, `{"status":"FAILED","code":"1","msg":"Need auth information.","message":"Need auth information."}`},
		"bad credentials": {"PUT", path, []string{"Authorization", "Bearer x"}, 401, "Need auth information."},
		"wrong password":  {"PUT", path, []string{"Authorization", basic("loader", "x")}, 401, "Access denied for loader@127.0.0.1"},
		"no privilege":    {"PUT", path, []string{"Authorization", basic("reader", "r")}, 401, "INSERT privilege"},
		"no Expect":       {"PUT", path, []string{"Expect", ""}, 200, `{"Status":"FAILED","Message":"class com.starrocks.common.DdlException: There is no 100-continue header"}`},
		"unknown path":    {"GET", "/api/nothing", nil, 404, ""},
		"unknown API":     {"POST", "/api/nothing", nil, 200, "Not implemented"},
		"state, database": {"GET", "/api/nodb/get_load_state?label=l", nil, 200, `{"status":"FAILED","code":"1","msg":"unknown database, database=nodb","message":"unknown database, database=nodb"}`},
		"state, unknown":  {"GET", "/api/quickstart/get_load_state?label=l", nil, 200, `{"state":"UNKNOWN","reason":"","status":"OK","code":"0","msg":"Success","message":"OK"}`},
		"state, no auth":  {"GET", "/api/quickstart/get_load_state?label=l", []string{"Authorization", ""}, 401, "FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := do(t, request(t, test.method, s.URL()+test.path, nil, test.headers...))
			if resp.StatusCode == 307 {
				body = resp.Header.Get("Location")
				if !resp.Close || !strings.HasPrefix(body, "http://127.0.0.1:") {
					t.Errorf("redirect to %s, close %v", body, resp.Close)
				}
			}
			if resp.StatusCode == 401 && resp.Header.Get("WWW-Authenticate") != `Basic realm=""` {
				t.Errorf("WWW-Authenticate: %s", resp.Header.Get("WWW-Authenticate"))
			}
			if resp.StatusCode != test.status || !strings.HasSuffix(strings.TrimSpace(body), test.want) && !strings.Contains(body, test.want) {
				t.Errorf("got %d %s", resp.StatusCode, body)
			}
		})
	}
	t.Run("backends take turns, the dead do not", func(t *testing.T) {
		seen := map[string]bool{}
		for range 4 {
			resp, _ := do(t, request(t, "PUT", s.URL()+path, nil))
			seen[resp.Header.Get("Location")] = true
		}
		if len(seen) != 2 {
			t.Errorf("two backends, redirects to %v", seen)
		}
		s.StopBackend(0)
		s.StopBackend(1)
		if _, body := do(t, request(t, "PUT", s.URL()+path, nil)); body != `{"Status":"FAILED","Message":"class com.starrocks.common.DdlException: No backend alive."}` {
			t.Errorf("no backend: %s", body)
		}
		if err := s.StartBackend(1); err != nil {
			t.Fatal(err)
		}
		client.CloseIdleConnections() // the restart broke them
		if r := put(t, s, goodRow); r.Status != "Success" {
			t.Errorf("backend back: %s", r.raw)
		}
	})
}

func TestBackendRefusals(t *testing.T) {
	s := start(t, Config{Users: threeUsers, Set: map[string]string{"streaming_load_max_batch_size_mb": "1", "streaming_load_max_mb": "2"}})
	row := goodRow
	big := strings.Repeat(" ", 1<<20) + row
	for name, test := range map[string]struct {
		path, body string
		headers    []string
		want       string // "Success" or a part of the message
	}{
		"good":                      {"", row, nil, "Success"},
		"no credentials":            {"", row, []string{"Authorization", ""}, "no valid Basic authorization"},
		"wrong password":            {"", row, []string{"Authorization", basic("root", "x")}, "Access denied for root@127.0.0.1"},
		"no privilege":              {"", row, []string{"Authorization", basic("reader", "r")}, "Access denied; you need (at least one of) the INSERT privilege(s)"},
		"merge commit":              {"", row, []string{"enable_merge_commit", "true"}, "no merge commit"},
		"body too big":              {"", strings.Repeat(" ", 2<<20) + row, nil, "streaming_load_max_mb"},
		"format":                    {"", row, []string{"format", "xml"}, "unknown data format, format=xml"},
		"format, any case":          {"", row, []string{"format", "JSON"}, "Success"},
		"csv":                       {"", row, []string{"format", ""}, "loads JSON only"},
		"JSON too big":              {"", big, nil, "exceed the max size [1048576] of json type data"},
		"JSON too big, but ignored": {"", big, []string{"ignore_json_size", "true"}, "Success"},
		"timeout no number":         {"", row, []string{"timeout", "1m"}, "Invalid timeout format"},
		"timeout out of range":      {"", row, []string{"timeout", "0"}, "Invalid timeout"},
		"unknown database":          {"/api/nodb/kong_log_events/_stream_load", row, nil, "unknown database, database=nodb"},
		"unknown table":             {"/api/quickstart/notable/_stream_load", row, nil, `unknown table \"quickstart.notable\"`},
		"bad label":                 {"", row, []string{"label", "a b"}, `Label format error. regex: ^[-\\w]{1,128}$`},
		"long label":                {"", row, []string{"label", strings.Repeat("x", 129)}, "Label format error"},
		"leading minus":             {"", row, []string{"label", "-" + strings.Repeat("x", 127)}, "Success"},
		"strict_mode":               {"", row, []string{"strict_mode", "yes"}, "Invalid strict mode format. Must be bool type"},
		"max_filter_ratio":          {"", row, []string{"max_filter_ratio", "2"}, "Invalid max_filter_ratio"},
		"both compressions":         {"", row, []string{"compression", "gzip", "Content-Encoding", "gzip"}, "Only one of http header content-encoding and compression can be set"},
		"compression":               {"", row, []string{"compression", "snappy"}, "Unsupported compression type: SNAPPY"},
		"not gzip":                  {"", row, []string{"compression", "gzip"}, "decompress gzip"},
		"header we lack":            {"", row, []string{"jsonpaths", "[]"}, "does not implement the header jsonpaths"},
	} {
		t.Run(name, func(t *testing.T) {
			path := test.path
			if path == "" {
				path = "/api/quickstart/kong_log_events/_stream_load"
			}
			headers := append([]string{"format", "json"}, test.headers...)
			resp, body := do(t, request(t, "PUT", s.BackendURLs()[0]+path, strings.NewReader(test.body), headers...))
			if resp.StatusCode != 200 || !strings.Contains(body, test.want) || strings.Contains(body, `"Success"`) != (test.want == "Success") {
				t.Errorf("got %d %s", resp.StatusCode, body)
			}
		})
	}
	if resp, _ := do(t, request(t, "GET", s.BackendURLs()[0]+"/api/none", nil)); resp.StatusCode != 404 {
		t.Errorf("unknown path: %d", resp.StatusCode)
	}
}

var times = regexp.MustCompile(`(Ms": )\d+`)

func TestAnswerShape(t *testing.T) {
	s := start(t, Config{})
	r := put(t, s, goodRow, "label", "shape")
	want := `{
    "TxnId": 1001,
    "Label": "shape",
    "Status": "Success",
    "Message": "OK",
    "NumberTotalRows": 1,
    "NumberLoadedRows": 1,
    "NumberFilteredRows": 0,
    "NumberUnselectedRows": 0,
    "LoadBytes": 157,
    "LoadTimeMs": 0,
    "BeginTxnTimeMs": 0,
    "StreamLoadPlanTimeMs": 0,
    "ReadDataTimeMs": 0,
    "WriteDataTimeMs": 0,
    "CommitAndPublishTimeMs": 0
}`
	want = strings.Replace(want, "157", fmt.Sprint(len(goodRow)), 1)
	if got := times.ReplaceAllString(r.raw, "${1}0"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// dial speaks HTTP by hand: head, then what the server says.
func dial(t *testing.T, url, head string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func firstLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

const putHead = "PUT /api/quickstart/kong_log_events/_stream_load HTTP/1.1\nHost: x\nAuthorization: Basic cm9vdDo=\nExpect: 100-continue\nformat: json\n"

func TestContinue(t *testing.T) {
	s := start(t, Config{})
	t.Run("a frontend never sends 100", func(t *testing.T) {
		_, r := dial(t, s.URL(), putHead+"Content-Length: 5")
		if line := firstLine(t, r); line != "HTTP/1.1 307 Temporary Redirect" {
			t.Error(line)
		}
	})
	t.Run("a backend sends it when it accepts", func(t *testing.T) {
		c, r := dial(t, s.BackendURLs()[0], putHead+fmt.Sprintf("Content-Length: %d", len(goodRow)))
		if line := firstLine(t, r); line != "HTTP/1.1 100 Continue" {
			t.Fatal(line)
		}
		firstLine(t, r)
		io.WriteString(c, goodRow)
		if line := firstLine(t, r); line != "HTTP/1.1 200 OK" {
			t.Error(line)
		}
	})
	t.Run("and not when it refuses", func(t *testing.T) {
		_, r := dial(t, s.BackendURLs()[0], putHead+"label: a b\nContent-Length: 5")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 || !resp.Close {
			t.Fatal(resp, err)
		}
	})
	t.Run("HTTP/1.0 needs no Expect", func(t *testing.T) {
		_, r := dial(t, s.URL(), strings.Replace(strings.Replace(putHead, "Expect: 100-continue\n", "", 1), "1.1", "1.0", 1)+"Content-Length: 0")
		if line := firstLine(t, r); !strings.HasSuffix(line, "307 Temporary Redirect") {
			t.Error(line)
		}
	})
}

func TestBodyCutShort(t *testing.T) {
	s := start(t, Config{})
	t.Run("the client stops writing", func(t *testing.T) {
		c, r := dial(t, s.BackendURLs()[0], putHead+"label: short\nContent-Length: 1000")
		firstLine(t, r)
		firstLine(t, r)
		io.WriteString(c, goodRow)
		c.(*net.TCPConn).CloseWrite()
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if !strings.Contains(string(body), "receive body don't equal with body bytes") {
			t.Errorf("%s", body)
		}
	})
	t.Run("the client goes", func(t *testing.T) {
		c, r := dial(t, s.BackendURLs()[0], putHead+"label: gone\nContent-Length: 1000")
		firstLine(t, r)
		io.WriteString(c, goodRow)
		c.Close()
		if err := s.WaitLabel(t.Context(), "quickstart", "gone", StateAborted); err != nil {
			t.Error(err)
		}
	})
	if n := s.Count("quickstart", "kong_log_events"); n != 0 {
		t.Errorf("%d rows of loads that were cut", n)
	}
}

func TestCompression(t *testing.T) {
	s := start(t, Config{})
	packed := map[string]func(string) []byte{
		"gzip": func(s string) []byte {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			io.WriteString(z, s)
			z.Close()
			return b.Bytes()
		},
		"zstd": func(s string) []byte {
			z, _ := zstd.NewWriter(nil)
			return z.EncodeAll([]byte(s), nil)
		},
		"lz4_frame": func(s string) []byte {
			var b bytes.Buffer
			z := lz4.NewWriter(&b)
			io.WriteString(z, s)
			z.Close()
			return b.Bytes()
		},
		"bzip2": func(string) []byte { return bzip2Row(t) },
	}
	for codec, pack := range packed {
		t.Run(codec, func(t *testing.T) {
			row := goodRow
			if codec == "bzip2" {
				row = "{\"stream\":\"b\"}\n"
			}
			one := pack(row)
			r := put(t, s, string(one), "compression", codec)
			if r.Status != "Success" || r.NumberLoadedRows != 1 || r.LoadBytes != int64(len(one)) {
				t.Errorf("one frame: %s", r.raw)
			}
			if r = put(t, s, string(one)+string(one), "Content-Encoding", codec); r.Status != "Success" || r.NumberLoadedRows != 1 {
				t.Errorf("of two frames the first counts: %s", r.raw)
			}
			if r = put(t, s, string(one[:len(one)-3]), "compression", codec); r.Status != "Fail" {
				t.Errorf("truncated: %s", r.raw)
			}
		})
	}
}

// bzip2Row is {"stream":"b"} and a newline as bzip2 packs it; the standard
// library has no encoder.
func bzip2Row(t *testing.T) []byte {
	t.Helper()
	b, err := hex.DecodeString(bzip2Hex)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const bzip2Hex = "425a68393141592653598b7d7df4000006d98000101000001032021c0a2000229801ea10340d029ca9b4cc181785dc914e142422df5f7d00"
