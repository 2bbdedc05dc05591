package filters_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/filters"
	"millrace/internal/pipeline"
)

// kongFilter is the filter for a format, nil if that is wrong.
func kongFilter(format, escape string) pipeline.Filter {
	k := &filters.Kong{Format: format, Escape: escape}
	if filters.Wrong(k) {
		return nil
	}
	return filters.New(filters.List{{Kong: k}}, prometheus.NewRegistry())[0]
}

// FuzzKong: whatever the line and the format, the record stays one valid JSON
// object with the message it had, the fields are all there or none is, and a
// second time gives the same bytes.
func FuzzKong(f *testing.F) {
	const usual = `$remote_addr [$time_local] "$request" $status $request_time $upstream_response_time "$http_host" "$http_user_agent"`
	f.Add(usual, accessLine, uint8(0))
	f.Add(usual, `::1 [x] "GET /\x22?\xFF HTTP/1.1" 009 - 0.1, - : 0.999 "a\x2D-b" "`+"\xff\t가"+`"`, uint8(0))
	f.Add(`{"h":"$host$request_uri","s":$status}`, `{"h":"a-b/\"\u0001\ud800","s":200}`, uint8(1))
	f.Add(`<${request_method}> $uri$is_args$args $upstream_addr,$status|$http_user_agent`, `<GET> /a?b 1, 2 : 3,200|"\`, uint8(2))
	f.Fuzz(func(t *testing.T, format, line string, escape uint8) {
		fs := kongFilter(format, []string{"default", "json", "none"}[escape%3])
		if fs == nil {
			return
		}
		r, mem := agentRecord(line), new(pipeline.Arena)
		if !fs.Apply(&r, mem) {
			t.Fatal("dropped")
		}
		if string(r.Message) != line {
			t.Fatalf("the message became %q", r.Message)
		}
		first := added(&r)
		for _, a := range r.Added {
			if !json.Valid(a.JSON) || !utf8.Valid(a.JSON) {
				t.Errorf("%s is %q", a.Name, a.JSON)
			}
		}
		if out, _, _ := r.AppendJSON(nil, 1<<30); !json.Valid(out) {
			t.Errorf("the record is %q", out)
		}
		// Nothing that is done to the arena later reaches the fields.
		clear(mem.Free())
		copy(mem.Reserve(64), bytes.Repeat([]byte{'!'}, 64))
		if now := added(&r); now != first {
			t.Errorf("the fields became %s", now)
		}
		again := agentRecord(line)
		fs.Apply(&again, mem)
		if a := added(&again); a != first {
			t.Errorf("first %s\nthen  %s", first, a)
		}
		// Another field of the same record does not run into these.
		for i := range again.Added {
			_ = append(again.Added[i].JSON, 'x')
		}
		if a := added(&again); a != first {
			t.Errorf("an append changed %s\nto %s", first, a)
		}
	})
}

// FuzzMask: what was valid UTF-8 stays so, and the record valid JSON; at both
// ends it is the same.
func FuzzMask(f *testing.F) {
	f.Add("token=[^& ]+", "token=***", "GET /?token=가&x")
	f.Add(`(\w+)@(\w+)`, "$1@$$", "a@b \xff@ 가@나")
	f.Fuzz(func(t *testing.T, match, replace, message string) {
		c := filters.List{{Mask: &filters.Mask{Replace: replace}}}
		c[0].Mask.SetDefaults()
		if err := unmarshal(&c[0].Mask.Match, match); err != nil || c[0].Mask.Match.MatchString("") || !utf8.ValidString(replace) || message == "" {
			return
		}
		fs := filters.New(c, prometheus.NewRegistry())
		r := agentRecord(message)
		fs[0].Apply(&r, new(pipeline.Arena))
		if utf8.ValidString(message) && !utf8.Valid(r.Message) {
			t.Fatalf("%q became %q", message, r.Message)
		}
		if !utf8.ValidString(message) {
			return
		}
		out, _, _ := r.AppendJSON(nil, 1<<30)
		if !json.Valid(out) {
			t.Fatalf("the record is %q", out)
		}
		other := collectorRecord(t, message)
		fs[0].Apply(&other, new(pipeline.Arena))
		p := fieldPath(t, "message")
		mine, _ := r.Lookup(&p, new(pipeline.Arena))
		theirs, _ := other.Lookup(&p, new(pipeline.Arena))
		if !slices.Equal(mine, theirs) {
			t.Errorf("at the agent %q, at the collector %q", mine, theirs)
		}
	})
}
