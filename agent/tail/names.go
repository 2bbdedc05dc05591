package tail

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// entry is one log file in a container's directory, known by its name alone.
//
// The names are kubelet's (pkg/kubelet/kuberuntime/logs and
// kuberuntime_container.go): RESTARTS.log is being written, and
// RESTARTS.log.20060102-150405 was rotated away at that time; a rotated file
// is replaced by the same name with .gz at the next rotation.
type entry struct {
	name    string
	restart int
	rotated string // time stamp; empty while the file is being written
	gzip    bool
	symlink bool
}

// listNames lists the log files in dir in the order in which they were
// written: by restart of the container, then by rotation. A directory that
// does not exist holds none.
func listNames(dir string) ([]entry, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	chain := make([]entry, 0, len(names))
	for _, n := range names {
		if e, ok := parseName(n.Name()); ok && !n.IsDir() {
			e.symlink = n.Type()&fs.ModeSymlink != 0
			chain = append(chain, e)
		}
	}
	slices.SortFunc(chain, compareEntries)
	return dropDoubles(chain), nil
}

// parseName reads a file's name; ok is false for everything that is not a
// finished log file, such as the .tmp file that kubelet compresses into.
func parseName(name string) (e entry, ok bool) {
	restart, rotated, found := strings.Cut(name, ".log")
	if !found || restart == "" {
		return entry{}, false
	}
	n, err := strconv.Atoi(restart)
	if err != nil || n < 0 || strconv.Itoa(n) != restart {
		return entry{}, false
	}
	e = entry{name: name, restart: n}
	if rotated == "" {
		return e, true
	}
	e.rotated, e.gzip = strings.CutSuffix(rotated[1:], ".gz")
	return e, rotated[0] == '.' && isStamp(e.rotated)
}

// isStamp checks 20060102-150405.
func isStamp(s string) bool {
	if len(s) != len("20060102-150405") || s[8] != '-' {
		return false
	}
	for i := range len(s) {
		if i != 8 && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// compareEntries orders by age, oldest first.
func compareEntries(a, b entry) int {
	if c := cmp.Compare(a.restart, b.restart); c != 0 {
		return c
	}
	switch {
	case a.rotated == "" && b.rotated != "":
		return 1
	case a.rotated != "" && b.rotated == "":
		return -1
	}
	if c := cmp.Compare(a.rotated, b.rotated); c != 0 {
		return c
	}
	// Plain before compressed, for dropDoubles.
	return cmp.Compare(a.name, b.name)
}

// dropDoubles leaves out a compressed file whose plain one is still there:
// kubelet removes the plain one only after the compressed one is complete.
func dropDoubles(chain []entry) []entry {
	return slices.CompactFunc(chain, func(a, b entry) bool {
		return a.rotated != "" && a.restart == b.restart && a.rotated == b.rotated
	})
}
