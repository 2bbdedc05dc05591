package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows says which of our packages each of them imports, and so which way
// dependencies point: a package may only import what stands above it. An arrow
// that is not used has to go.
var arrows = []struct{ from, to string }{
	{"internal/atomicfile", ""},
	{"internal/certtest", ""},
	{"internal/config", ""},
	{"internal/jsonscan", ""},
	{"internal/pipeline", "internal/jsonscan"},
	{"internal/pipeline/pipelinetest", "internal/pipeline"},
	{"internal/ops", "internal/config"},
	{"internal/kafkaconn", "internal/config"},
	{"internal/kafkaconn/kafkatest", "internal/certtest internal/config internal/kafkaconn"},
	{"manifests/starrocks", ""},
	{"manifests/superset", ""},

	{"filters", "internal/config internal/pipeline"},
	{"outputs/stdout", "internal/pipeline"},
	{"outputs/kafka", "internal/config internal/kafkaconn internal/pipeline"},
	{"outputs/starrocks", "internal/config internal/jsonscan internal/pipeline"},
	{"outputs/starrocks/starrockstest", ""},

	{"agent/cri", ""},
	{"agent/kube", "internal/config internal/pipeline"},
	{"agent/kube/kubetest", "internal/certtest"},
	{"agent/tail", "agent/cri internal/config internal/pipeline"},
	{"agent", "agent/kube agent/tail filters internal/atomicfile internal/config internal/ops internal/pipeline outputs/kafka outputs/stdout"},
	{"collector", "filters internal/config internal/kafkaconn internal/ops internal/pipeline outputs/starrocks"},
	{".", "agent collector internal/config internal/ops"},

	{"demo/audit", ""},
	{"demo/kubelet", ""},
	{"demo/traffic", ""},
	{"demo", "agent/kube/kubetest demo/audit demo/kubelet demo/traffic internal/certtest internal/pipeline manifests/starrocks outputs/starrocks/starrockstest"},
	{"demo/starrocks", "outputs/starrocks/starrockstest"},
	{"e2e", ""},
	{"e2e/k8s/lines", "demo/traffic"},
	{"e2e/k8s/writer", "e2e/k8s/lines"},
	{"e2e/k8s/image", ""},
	{"e2e/k8s", ""},
	{"e2e/superset", ""},
	{"bench/process", ""},
	{"bench/peers", "agent/kube/kubetest bench/process demo/kubelet demo/traffic"},
	{"bench/transactions", "bench/process demo/kubelet internal/config internal/kafkaconn"},
	{"bench/collectorload", "bench/process demo/traffic internal/pipeline manifests/starrocks"},
	{"bench/decoders", "demo/traffic internal/config internal/kafkaconn internal/pipeline outputs/kafka"},
	{"bench/agentload", "agent/kube/kubetest bench/process demo/kubelet demo/traffic internal/kafkaconn/kafkatest"},
	{"chaos/line", ""},
	{"chaos/book", "chaos/line"},
	{"chaos/generator", "chaos/book chaos/line demo/kubelet"},
	{"chaos/check", "chaos/book chaos/generator chaos/line internal/pipeline"},
	{"chaos", "chaos/book chaos/check chaos/generator chaos/line internal/config internal/kafkaconn internal/pipeline"},
}

// homes says which packages know a library. The walls are only as good as
// this: Kafka's client is behind three of them, the API server behind one.
// Tests and what is only for tests may use any.
var homes = []struct{ library, packages string }{
	{"github.com/fsnotify/fsnotify", "agent/kube"},
	{"github.com/go-sql-driver/mysql", "outputs/starrocks"},
	{"github.com/twmb/franz-go", "collector internal/kafkaconn outputs/kafka"},
	{"github.com/urfave/cli", "."},
	{"github.com/xdg-go/scram", "internal/kafkaconn"},
	{"go.yaml.in/yaml", "internal/config"},
	{"k8s.io", "agent/kube"},
}

// testOnly tells whether a package is only for tests and the demo.
func testOnly(dir string) bool {
	return strings.HasSuffix(dir, "test") || top(dir) == "demo" || top(dir) == "chaos" || top(dir) == "bench" || top(dir) == "e2e"
}

func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// ours is the part of the file's imports that is in this module, as
// directories; others is the rest, but for the standard library.
func (f *goFile) imports() (ours, others []string) {
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		switch dir, ok := strings.CutPrefix(p, "millrace/"); {
		case ok:
			ours = append(ours, dir)
		case p == "millrace":
			ours = append(ours, ".")
		case strings.Contains(top(p), "."):
			others = append(others, p)
		}
	}
	return ours, others
}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

func TestImports(t *testing.T) {
	used, usedByTests := map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, f := range goFiles(t) {
		if used[f.dir] == nil {
			used[f.dir], usedByTests[f.dir] = map[string]bool{}, map[string]bool{}
		}
		ours, _ := f.imports()
		for _, dir := range ours {
			if f.test {
				usedByTests[f.dir][dir] = true
			} else {
				used[f.dir][dir] = true
			}
		}
	}
	above := map[string]bool{} // the packages of the table so far
	for _, arrow := range arrows {
		allowed := set(arrow.to)
		for dir := range allowed {
			if !above[dir] {
				t.Errorf("arrows: %s -> %s points up", arrow.from, dir)
			}
			if testOnly(dir) && !testOnly(arrow.from) {
				t.Errorf("arrows: %s -> %s: production code and code for tests", arrow.from, dir)
			}
		}
		if !maps.Equal(used[arrow.from], allowed) {
			t.Errorf("%s imports %q, want %q", arrow.from, slices.Sorted(maps.Keys(used[arrow.from])), strings.Fields(arrow.to))
		}
		for dir := range usedByTests[arrow.from] {
			if !above[dir] && dir != arrow.from && !testOnly(dir) {
				t.Errorf("the tests of %s import %s, which stands below it", arrow.from, dir)
			}
		}
		above[arrow.from] = true
		delete(used, arrow.from)
	}
	for dir := range used {
		t.Errorf("%s is not in the table of arrows", dir)
	}
}

func TestLibrariesHaveAHome(t *testing.T) {
	for _, home := range homes {
		known, want := map[string]bool{}, set(home.packages)
		for _, f := range goFiles(t) {
			_, others := f.imports()
			if !f.test && !testOnly(f.dir) && slices.ContainsFunc(others, func(p string) bool { return within(p, home.library) }) {
				known[f.dir] = true
			}
		}
		if !maps.Equal(known, want) {
			t.Errorf("%s is imported by %q, want %q", home.library, slices.Sorted(maps.Keys(known)), strings.Fields(home.packages))
		}
	}
}

// within tells whether an import path is a module's or below it.
func within(importPath, module string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// The program holds nothing that only the demo or tests need.
func TestProductionBinaryHoldsNoTestCode(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "millrace/outputs/kafka") {
		t.Fatalf("%d packages and none of ours", len(deps))
	}
	for _, p := range deps {
		dir, ours := strings.CutPrefix(p, "millrace/")
		if ours && testOnly(dir) || p == "testing" || p == "net/http/httptest" ||
			within(p, "github.com/dolthub") || within(p, "github.com/twmb/franz-go/pkg/kfake") {
			t.Errorf("the program contains %s", p)
		}
	}
}

// module is the part of `go mod edit -json` that is looked at here.
type module struct {
	Require []struct{ Path string }
	Replace []struct{ Old struct{ Path string } }
}

func readModule(t *testing.T) module {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var m module
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// of is the module that an import path belongs to.
func (m module) of(importPath string) string {
	longest := ""
	for _, r := range m.Require {
		if within(importPath, r.Path) && len(r.Path) > len(longest) {
			longest = r.Path
		}
	}
	return longest
}

// Each module that our code imports is there for a reason, and the reason
// stands in DESIGN.md.
func TestDependenciesAreExplained(t *testing.T) {
	m := readModule(t)
	for _, r := range m.Replace {
		t.Errorf("go.mod replaces %s: `go install millrace@version` would not", r.Old.Path)
	}
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(design), "\n## Dependencies\n")
	if !ok {
		t.Fatal(`DESIGN.md has no section "## Dependencies"`)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	direct := map[string]bool{}
	for _, f := range goFiles(t) {
		_, others := f.imports()
		for _, p := range others {
			direct[m.of(p)] = true
		}
	}
	if len(direct) < 5 {
		t.Fatalf("only %d direct dependencies", len(direct))
	}
	for _, p := range slices.Sorted(maps.Keys(direct)) {
		if !strings.Contains(section, "`"+p+"`") {
			t.Errorf("DESIGN.md, Dependencies: `%s` is missing", p)
		}
	}
}
