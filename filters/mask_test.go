package filters_test

import (
	"regexp"
	"testing"

	"millrace/internal/pipeline"
)

func unmarshal(into **regexp.Regexp, text string) (err error) {
	*into, err = regexp.Compile(text)
	return err
}

func fieldPath(t testing.TB, text string) pipeline.Path {
	t.Helper()
	p, err := pipeline.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMask(t *testing.T) {
	for _, tc := range []struct{ name, yaml, message, field, want string }{
		{"a token in a URL", `- mask: {match: '(token=)[^& "]+', replace: '$1***'}`, `GET /?token=a%20b&x=1 "token=c"`, "message", `GET /?token=***&x=1 "token=***"`},
		{"groups by name", `- mask: {match: '(?P<user>\w+)@\w+', replace: '<$user>'}`, `a@b "c@d"`, "message", `<a> "<c>"`},
		{"a number that ends", `- mask: {match: '(\d)\d+', replace: '$${1}0'}`, `123 4`, "message", `10 4`},
		{"a dollar sign", `- mask: {match: '\d+', replace: '$$$$'}`, `1 a`, "message", `$ a`},
		{"away with it", `- mask: {match: ' +'}`, `a  b c`, "message", `abc`},
		{"nothing to do", `- mask: {match: 'x', replace: y}`, `a "ä"`, "message", `a "ä"`},
		{"letters beyond ASCII", `- mask: {match: '[가-힣]', replace: '*'}`, `김 a`, "message", `* a`},
		{"before kong", "- mask: {match: '(q=)[^& ]+', replace: '$1*'}\n- kong: {}", `1.1.1.1 [x] "GET /?q=a HTTP/1.1" 200 0.1 0.1 "h" "u"`, "query", "q=*"},
		{"after kong", "- kong: {}\n- mask: {field: query, match: '(q=).*', replace: '$1*'}", `1.1.1.1 [x] "GET /?q=\x22a\x22 HTTP/1.1" 200 0.1 0.1 "h" "u"`, "query", "q=*"},
		{"of a field that is null", "- kong: {}\n- mask: {field: query, match: '.', replace: 'x'}", `1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1 0.1 "h" "u"`, "query", ""},
		{"a number becomes a text", "- kong: {}\n- mask: {field: status, match: '\\d\\d$', replace: xx}", `1.1.1.1 [x] "GET / HTTP/1.1" 200 0.1 0.1 "h" "u"`, "status", "2xx"},
		{"twice", "- mask: {match: a, replace: b}\n- mask: {match: b, replace: '\"'}", `ab`, "message", `""`},
		{"a field that is not there", `- mask: {field: nothing, match: 'a', replace: 'b'}`, `a`, "message", `a`},
	} {
		for shape, r := range map[string]pipeline.Record{"agent": agentRecord(tc.message), "collector": collectorRecord(t, tc.message)} {
			fs, err := load(t, tc.yaml)
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			raw := string(r.Raw)
			for _, f := range fs {
				if !f.Apply(&r, new(pipeline.Arena)) {
					t.Errorf("%s: dropped", tc.name)
				}
			}
			p := fieldPath(t, tc.field)
			got, _ := r.Lookup(&p, new(pipeline.Arena))
			if string(got) != tc.want {
				t.Errorf("%s at the %s: got %s, want %s", tc.name, shape, got, tc.want)
			}
			if string(r.Raw) != raw {
				t.Errorf("%s: what Kafka holds was changed to %s", tc.name, r.Raw)
			}
		}
	}
}
