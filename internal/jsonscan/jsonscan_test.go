package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"millrace/internal/jsonscan"
)

func TestMembers(t *testing.T) {
	data := []byte(` {"a":"x\ny", "b" : [1,{"c":2}],"d":{"e":null},"f":-1.5e+3,"g":true,"h":null,"":""} `)
	members, err := jsonscan.Members(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range members {
		if !bytes.Equal(data[m.Start:m.End], m.Value) {
			t.Errorf("%s: place %d-%d is not the value's", m.Key, m.Start, m.End)
		}
		got = append(got, fmt.Sprintf("%s|%s|%c|%v", m.Key, m.Value, m.Kind, m.Escaped))
	}
	want := `a|"x\ny"|"|true b|[1,{"c":2}]|[|false d|{"e":null}|{|false f|-1.5e+3|0|false g|true|b|false h|null|n|false |""|"|false`
	if g := strings.Join(got, " "); g != want {
		t.Errorf("got  %s\nwant %s", g, want)
	}
}

func TestRefuses(t *testing.T) {
	for data, want := range map[string]string{
		``:                     "opening brace",
		`[]`:                   "opening brace",
		`"a"`:                  "opening brace",
		`{}{}`:                 "something follows",
		`{"a":1} x`:            "something follows",
		`{"a":1`:               "comma or closing brace",
		`{"a":1,}`:             "name is missing",
		`{a:1}`:                "name is missing",
		`{"a" 1}`:              "colon is missing",
		`{"a":}`:               "unexpected byte",
		`{"a":`:                "value is missing",
		`{"a":[1,]}`:           "unexpected byte",
		`{"a":[1`:              "closing bracket",
		`{"a":01}`:             "comma or closing brace",
		`{"a":1.}`:             "decimal point",
		`{"a":1e}`:             "exponent",
		`{"a":-}`:              "unexpected byte",
		`{"a":NaN}`:            "unexpected byte",
		`{"a":nul}`:            "unexpected byte",
		`{"a":"`:               "not closed",
		`{"a":"\`:              "not closed",
		`{"a":"\x"}`:           "unknown escape",
		`{"a":"\u12g4"}`:       "not hexadecimal",
		`{"a":"\ud800"}`:       "lone surrogate",
		`{"a":"\ud800\u0041"}`: "lone surrogate",
		`{"a":"\udc00"}`:       "lone surrogate",
		"{\"a\":\"\x01\"}":     "control character",
		"{\"a\":\"\xff\"}":     "invalid UTF-8",
		"{\"\xc3\":1}":         "invalid UTF-8",
		"\xef\xbb\xbf{}":       "opening brace",
		`{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`: "nested too deeply",
	} {
		_, err := jsonscan.Members([]byte(data), nil)
		if !errors.Is(err, jsonscan.ErrSyntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", data, err, want)
		}
	}
}

func TestLookup(t *testing.T) {
	data := []byte(`{"message":"m","kubernetes":{"labels":{"a/b":"1","a\"c":"2"},"pod_name":"p"},"message":"second"}`)
	for _, tc := range []struct {
		names string
		want  string
	}{
		{"message", `"m"`}, {"kubernetes pod_name", `"p"`}, {"kubernetes labels a/b", `"1"`}, {`kubernetes labels a"c`, `"2"`},
		{"kubernetes labels", `{"a/b":"1","a\"c":"2"}`}, {"nothing", ""}, {"message x", ""}, {"kubernetes labels x", ""},
	} {
		got, ok := jsonscan.Lookup(data, strings.Fields(tc.names))
		if string(got) != tc.want || ok != (tc.want != "") {
			t.Errorf("%s: got %s, %v", tc.names, got, ok)
		}
	}
}

// What StarRocks' JSON type refuses is marked, and only at the member that
// holds it.
func TestNumbersBeyondTheirRange(t *testing.T) {
	for value, want := range map[string]bool{
		`0`: false, `-0`: false, `123456789012345678`: false, `0.1234567890123456789012345`: false,
		`18446744073709551615`: false, `18446744073709551616`: true, `100000000000000000000`: true,
		`-9223372036854775808`: false, `-9223372036854775809`: true,
		`1e308`: false, `1E+309`: true, `-1e999`: true, `1e-999`: false, `0e999`: false,
		`1.7976931348623157e308`: false, `1.7976931348623159e308`: true,
		strings.Repeat("9", 400) + ".5":      true,
		strings.Repeat("9", 200) + ".5":      false,
		`"18446744073709551616"`:             false,
		`{"a":[1,{"b":-1e400}],"c":"x"}`:     true,
		`[{"a":1},{"b":123456789},"1e999"] `: false,
	} {
		members, err := jsonscan.Members([]byte(`{"before":1,"it":`+value+`,"after":{"x":2}}`), nil)
		if err != nil {
			t.Errorf("%.40s: %v", value, err)
			continue
		}
		if members[0].Extreme || members[1].Extreme != want || members[2].Extreme {
			t.Errorf("%.40s: marks are %t, %t, %t; want false, %t, false", value, members[0].Extreme, members[1].Extreme, members[2].Extreme, want)
		}
		if got := jsonscan.Extreme(members[1].Value); got != want {
			t.Errorf("%.40s alone: %t, want %t", value, got, want)
		}
	}
}

// FuzzMembers takes encoding/json as the referee, which is laxer in three
// points: it repairs invalid UTF-8 and lone surrogates, and has another limit
// on depth.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":"x\ny","b":[1,{"c":2}],"d":{"e":null},"f":-1.5e+3,"g":true,"\u00e4\ud83d\ude00":"\ud83d\ude00"}`))
	f.Add([]byte("{\"a\":\"\xff\"}"))
	f.Add([]byte(`{"a":"\ud800"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := jsonscan.Members(data, nil)
		var want map[string]json.RawMessage
		refereeErr := json.Unmarshal(data, &want)
		if err == nil && refereeErr != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", refereeErr)
		}
		if err != nil {
			strict := utf8.Valid(data) && !bytes.Contains(data, []byte(`\u`)) && bytes.Count(data, []byte("[")) < 100 && bytes.Count(data, []byte("{")) < 100
			if refereeErr == nil && want != nil && strict {
				t.Fatalf("refused what encoding/json accepts: %v", err)
			}
			return
		}
		for _, m := range members {
			key := string(jsonscan.AppendUnquoted(nil, m.Key))
			first, ok := jsonscan.Lookup(data, []string{key})
			if !ok {
				t.Fatalf("member %q is not found", key)
			}
			if m.Kind != jsonscan.String {
				continue
			}
			var text string
			if err := json.Unmarshal(m.Value, &text); err != nil || string(jsonscan.AppendUnquoted(nil, m.Text())) != text {
				t.Fatalf("%s: got %q, want %q (%v)", m.Value, jsonscan.AppendUnquoted(nil, m.Text()), text, err)
			}
			_ = first
		}
		if len(want) > len(members) {
			t.Fatalf("%d members, want %d", len(members), len(want))
		}
	})
}

func BenchmarkMembers(b *testing.B) {
	data := []byte(`{"time":"2026-08-21T08:15:30.217676062Z","stream":"stdout","logtag":"F","message":"10.42.3.17 - - [21/Aug/2026:08:15:30 +0000] \"GET /orders/42 HTTP/1.1\" 200 512 \"-\" \"curl/8.5.0\" kong_request_id: \"5d3a1c0e6a4b7c1f9e2d8b6a4f0c3e21\"","kubernetes":{"pod_name":"kong-kong-6d5f8c7b9d-x2x7k","namespace_name":"kong","pod_id":"3b0c9f53-7a52-4f0a-9c0b-0d7f2f4b7e11","labels":{"app":"kong-kong","app.kubernetes.io/component":"app","app.kubernetes.io/instance":"kong","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"kong","app.kubernetes.io/version":"3.9","helm.sh/chart":"kong-2.48.0","pod-template-hash":"6d5f8c7b9d","version":"3.9"},"annotations":{"kuma.io/gateway":"enabled","kuma.io/service-account-token-volume":"kong-kong-token","traffic.sidecar.istio.io/includeInboundPorts":""},"host":"worker-07","pod_ip":"10.42.3.88","container_name":"proxy","docker_id":"9f1c4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e","container_hash":"docker.io/library/kong@sha256:4b7d2e6a4f0c8b3d5e7a1c9f0b2d4e6a8c0f1b3d5f7a9c1e3b5d7f9a0c2e9f1c","container_image":"docker.io/library/kong:3.9"},"kubernetes_namespace":{"name":"kong","labels":{"kubernetes.io/metadata.name":"kong"}}}`)
	b.SetBytes(int64(len(data)))
	var members []jsonscan.Member
	for b.Loop() {
		var err error
		if members, err = jsonscan.Members(data, members[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
