package kafka

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEnvelopes(t *testing.T) {
	for _, test := range []struct{ suffix, value, want string }{
		{"/proxy", `{"v":1,"disk":"d","pos":{"next":1}}`, ""},
		{"/proxy", `{"v":1,"disk":"d","pos":{"next":1},"later":true}`, ""},
		{"/proxy", `{"v":2,"disk":"d","pos":1}`, "its version is 2 and this millrace knows versions up to 1"},
		{"/proxy", `{"v":2,"disk":["a later idea"]}`, "its version is 2"},
		{"/proxy", `{"disk":"d","pos":1}`, "it names no version"},
		{"/proxy", `{"v":1,"disk":"d"}`, "it holds no position"},
		{"/proxy", `{"v":1`, "unexpected end of JSON input"},
		{"/proxy", ``, "unexpected end of JSON input"},
		{"\x00owner", `{"v":3}`, "its version is 3"},
		{"\x00slice", `{"v":-1}`, "it names no version"},
		{"\x00later", `not known to this version`, ""},
	} {
		_, err := readState(map[string][]byte{test.suffix: []byte(test.value)})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q %s: got %v, want %s", test.suffix, test.value, err, test.want)
		}
	}
}

// FuzzEnvelopes: a record of anybody's is read or refused, and one of ours is
// read as it was written.
func FuzzEnvelopes(f *testing.F) {
	f.Add("/proxy", []byte(`{"v":1,"disk":"d","pos":{"next":1}}`))
	f.Add("\x00owner", []byte(`{"v":1,"disk":"d","node":"n","pod":"p","instance":"i","time":"2025-12-10T01:23:10Z"}`))
	f.Add("\x00slice", []byte(`{"v":2,"slice":18446744073709551615}`))
	f.Fuzz(func(t *testing.T, suffix string, value []byte) {
		s, err := readState(map[string][]byte{suffix: value})
		if err != nil {
			return
		}
		for container, p := range s.positions {
			if !json.Valid(p.Pos) {
				t.Fatalf("%q is a position", p.Pos)
			}
			again, err := readState(map[string][]byte{"/" + container: appendPosition(nil, p.Disk, p.Pos)})
			if err != nil {
				t.Fatal(err)
			}
			if q := again.positions[container]; q.Disk != p.Disk || string(q.Pos) != string(p.Pos) {
				t.Fatalf("%q %q became %q %q", p.Disk, p.Pos, q.Disk, q.Pos)
			}
		}
	})
}
