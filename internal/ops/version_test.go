package ops

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.modified", Value: "true"}}
	for _, c := range []struct {
		info debug.BuildInfo
		want string
	}{
		{debug.BuildInfo{}, "millrace devel, commit unknown, " + runtime.Version()},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs[:1]}, "millrace devel, commit 0123abc, " + runtime.Version()},
		{debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: vcs}, "millrace v1.2.3, commit 0123abc-dirty, " + runtime.Version()},
	} {
		v := Version{Version: "devel", Commit: "unknown", Go: runtime.Version()}
		v.read(&c.info)
		if v.String() != c.want {
			t.Errorf("got %q, want %q", v, c.want)
		}
	}
}

func TestVersionOfARelease(t *testing.T) {
	version, commit = "v1.2.3", "fedcba9"
	defer func() { version, commit = "", "" }()
	if v := ReadVersion(); v.Version != "v1.2.3" || v.Commit != "fedcba9" {
		t.Errorf("got %s", v)
	}
}
