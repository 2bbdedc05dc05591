package ops

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by a release build, whose source may come without its history:
//
//	go build -ldflags "-X millrace/internal/ops.version=v1.2.3 -X millrace/internal/ops.commit=0123abc"
var version, commit string

// Version says which build this is.
type Version struct {
	Version string `json:"version"` // v1.2.3, or "devel"
	Commit  string `json:"commit"`  // git's hash, "-dirty" after it when files had changed; "unknown" outside of a checkout
	Go      string `json:"go"`      // of the toolchain: go1.26.8
}

// ReadVersion is the version of the running binary.
func ReadVersion() Version {
	v := Version{Version: "devel", Commit: "unknown", Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.read(info)
	}
	if version != "" {
		v.Version = version
	}
	if commit != "" {
		v.Commit = commit
	}
	return v
}

func (v *Version) read(info *debug.BuildInfo) {
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		v.Commit = revision
		if settings["vcs.modified"] == "true" {
			v.Commit += "-dirty"
		}
	}
}

// String is the line that `millrace version` prints, without its newline.
func (v Version) String() string {
	return fmt.Sprintf("millrace %s, commit %s, %s", v.Version, v.Commit, v.Go)
}
