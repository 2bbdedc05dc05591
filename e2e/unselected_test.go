package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"millrace/agent/kube/kubetest"
	"millrace/demo/kubelet"
)

const (
	selectedCount, unselectedCount = 10, 1000
	roundLines, rounds             = 20, 5
)

// crowd is a node on which most containers are nobody's business.
type crowd struct {
	*testing.T
	dir, metadata string
	api           *kubetest.Server
	node          *kubelet.Node
	at            time.Time
	text          string
	all           []*kubelet.Container // the selected ones first
	inodes        map[uint64]bool      // of the directories that may be watched
}

// TestUnselectedContainersCostNothing has a thousand busy containers that are
// not selected beside ten that are, and looks at the agent's process from
// outside: it opens none of their files and directories, watches none, reads
// nothing of them and keeps none of their files.
func TestUnselectedContainersCostNothing(t *testing.T) {
	for _, metadata := range []string{"api", "path"} {
		t.Run(metadata, func(t *testing.T) {
			w := newCrowd(t, metadata)
			agent := w.agent()
			agent.readyWith(200)
			w.writeAll(time.Second) // files are begun
			w.delivered(agent, selectedCount*roundLines)
			read, counted := w.readBy(agent), metric(agent, "millrace_agent_read_bytes_total")
			written := 0
			for range rounds {
				written += w.writeAll(2 * time.Second)
				w.openedBy(agent)
				w.watchedBy(agent)
			}
			w.delivered(agent, (1+rounds)*selectedCount*roundLines)
			w.rotated()
			beyond := w.readBy(agent) - read - int64(metric(agent, "millrace_agent_read_bytes_total")-counted)
			if beyond > 1<<20 {
				t.Errorf("the process read %d bytes beside the selected containers' lines, while the others wrote %d", beyond, written)
			}
			opened := w.openedWhile(func() {
				w.writeAll(0)
				w.delivered(agent, (2+rounds)*selectedCount*roundLines)
			})
			if opened[true] == 0 || opened[false] > 0 {
				t.Errorf("events of opening and reading: %d for selected containers, %d for others, want some and none", opened[true], opened[false])
			}
			if n := metric(agent, "millrace_agent_containers"); n != selectedCount {
				t.Errorf("%v containers are followed", n)
			}
			t.Logf("while %d bytes were written to unselected containers: %d bytes read beside the selected ones' lines, 0 opened, 0 watched", written, beyond)
			agent.stop()
		})
	}
}

func newCrowd(t *testing.T, metadata string) *crowd {
	w := &crowd{T: t, dir: t.TempDir(), metadata: metadata, at: time.Now(), text: strings.Repeat("a line of a container ", 11), inodes: map[uint64]bool{}}
	var err error
	if w.api, err = kubetest.New("token"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
	if err := w.api.Kubeconfig(filepath.Join(w.dir, "kubeconfig"), "token"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kube-system", "kong", "shop"} {
		w.api.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name)}})
	}
	w.node, err = kubelet.NewNode(kubelet.Config{LogDir: w.logs(), LinkDir: filepath.Join(w.dir, "containers"), MaxSize: roundLines * 150, MaxFiles: 3, Interval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w.mayWatch(w.logs())
	for i := range selectedCount {
		pod := kubelet.Pod{Namespace: "kong", Name: fmt.Sprintf("kong-%d", i), UID: fmt.Sprintf("uid-%d", i)}
		w.start(pod, "kong", "proxy")
		w.mayWatch(filepath.Join(w.logs(), pod.Dir()))
	}
	for i := range unselectedCount {
		pod, app, name := kubelet.Pod{Namespace: "shop", Name: fmt.Sprintf("shop-%d", i), UID: fmt.Sprintf("other-%d", i)}, "kong", "proxy"
		switch {
		case i < selectedCount: // beside a selected one, in its pod
			pod, name = kubelet.Pod{Namespace: "kong", Name: fmt.Sprintf("kong-%d", i), UID: fmt.Sprintf("uid-%d", i)}, "sidecar"
		case i%2 == 0 && metadata == "api":
			pod.Namespace, app = "kong", "other"
		}
		w.start(pod, app, name)
	}
	return w
}

func (w *crowd) logs() string { return filepath.Join(w.dir, "pods") }

func (w *crowd) mayWatch(dir string) {
	w.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		w.Fatal(err)
	}
	w.inodes[info.Sys().(*syscall.Stat_t).Ino] = w.metadata == "path"
}

// start starts a container and tells the API server of its pod.
func (w *crowd) start(p kubelet.Pod, app, name string) {
	w.Helper()
	c, err := w.node.Start(p, name, w.at)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Exit(w.at, "") }) // closes its file
	w.all = append(w.all, c)
	if name == "sidecar" {
		return // its pod has two containers already
	}
	w.api.SetPod(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: types.UID(p.UID), Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "proxy"}, {Name: "sidecar"}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "proxy", ContainerID: "containerd://" + c.ID()},
			{Name: "sidecar", ContainerID: "containerd://" + c.ID()}}},
	})
}

func (w *crowd) agent() *process {
	include, access := "{namespaces: [kong], labels: app=kong, names: [proxy]}", "kubeconfig: "+filepath.Join(w.dir, "kubeconfig")
	if w.metadata == "path" {
		include, access = "{namespaces: [kong], names: [proxy]}", "cluster: one"
	}
	return newProcess(w.T, "agent", fmt.Sprintf(`
data_dir: %[1]s/data
admin: ADMIN
kubernetes: {node: %[2]s, metadata: %[3]s, %[4]s, log_dir: %[1]s/pods}
pipelines:
  - name: kong
    source: {containers: {include: [%[5]s]}}
    output: {stdout: {}}
`, w.dir, nodeName, w.metadata, access, include))
}

// writeAll lets time pass and writes to each container; those whose file is large by
// then are rotated. It returns the bytes of unselected lines.
func (w *crowd) writeAll(after time.Duration) (unselected int) {
	w.Helper()
	w.at = w.at.Add(after)
	lines := make([]kubelet.Line, roundLines)
	for i := range lines {
		lines[i] = kubelet.Line{At: w.at, Stream: "stdout", Text: w.text}
	}
	for i, c := range w.all {
		if err := c.Write(lines...); err != nil {
			w.Fatal(err)
		}
		if i >= selectedCount {
			unselected += roundLines * len(w.text)
		}
	}
	return unselected
}

func (w *crowd) delivered(agent *process, lines int) {
	w.Helper()
	agent.eventually(func() bool { return metric(agent, "millrace_records_delivered_total") == float64(lines) }, func() string {
		return fmt.Sprintf("%v lines are delivered, want %d", metric(agent, "millrace_records_delivered_total"), lines)
	})
}

// rotated checks that the unselected were rotated and compressed, and that
// nobody holds a link to their files.
func (w *crowd) rotated() {
	w.Helper()
	for _, c := range w.all[selectedCount:] {
		files, err := filepath.Glob(filepath.Join(c.Dir(), "*"))
		if err != nil || c.Rotations() < rounds || len(files) != 3 {
			w.Fatalf("%d rotations, %q, %v", c.Rotations(), files, err)
		}
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil {
				w.Fatal(err)
			}
			if n := info.Sys().(*syscall.Stat_t).Nlink; n != 1 {
				w.Fatalf("%s has %d names", file, n)
			}
		}
	}
}

// isSelected tells whose container's directory or file a path is.
func (w *crowd) isSelected(path string) bool {
	rest := strings.TrimPrefix(path, w.logs()+"/kong_kong-")
	return rest != path && strings.Contains(rest, "/proxy") && strings.Contains(rest, "_uid-")
}

// readBy is what the process has read by system calls.
func (w *crowd) readBy(agent *process) (n int64) {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", agent.cmd.Process.Pid))
	if err == nil {
		_, err = fmt.Sscanf(string(text), "rchar: %d", &n)
	}
	if err != nil {
		w.Fatal(err)
	}
	return n
}

// openedBy checks which logs the process has open.
func (w *crowd) openedBy(agent *process) {
	w.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", agent.cmd.Process.Pid))
	if err != nil {
		w.Fatal(err)
	}
	for _, link := range links {
		path, err := os.Readlink(link)
		if err == nil && strings.HasPrefix(path, w.logs()+"/") && !w.isSelected(path) {
			w.Errorf("%s is open", path)
		}
	}
}

// watchedBy checks which directories the process has inotify watches on.
func (w *crowd) watchedBy(agent *process) {
	w.Helper()
	infos, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", agent.cmd.Process.Pid))
	if err != nil {
		w.Fatal(err)
	}
	watches := 0
	for _, path := range infos {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(text)) {
			var wd int
			var inode uint64
			if n, _ := fmt.Sscanf(line, "inotify wd:%x ino:%x", &wd, &inode); n != 2 {
				continue
			}
			if watches++; !w.inodes[inode] {
				w.Errorf("a watch is on inode %d, which is not of the pod log directory or a selected pod", inode)
			}
		}
	}
	if want := map[string]int{"api": 0, "path": 1 + selectedCount}[w.metadata]; watches != want {
		w.Errorf("%d watches, want %d", watches, want)
	}
}

// openedWhile counts who opens or reads a container's directory or files while
// do runs, of selected containers and of others. The writer has its files open,
// and the agent may have those of selected containers open by its own links.
func (w *crowd) openedWhile(do func()) (events map[bool]int) {
	w.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		w.Fatal(err)
	}
	defer syscall.Close(fd)
	selected := map[int32]bool{}
	watch := func(dir string, of bool) {
		wd, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_OPEN|syscall.IN_ACCESS)
		if err != nil {
			w.Fatalf("watch %s (does fs.inotify.max_user_watches allow a thousand?): %v", dir, err)
		}
		selected[int32(wd)] = of
	}
	for i, c := range w.all {
		watch(c.Dir(), i < selectedCount)
	}
	err = filepath.WalkDir(filepath.Join(w.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			watch(path, true)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	do()
	events = map[bool]int{}
	for buf := make([]byte, 1<<16); ; {
		n, err := syscall.Read(fd, buf)
		if err != nil || n <= 0 {
			return events
		}
		for at := 0; at+syscall.SizeofInotifyEvent <= n; {
			wd := int32(binary.NativeEndian.Uint32(buf[at:]))
			name := binary.NativeEndian.Uint32(buf[at+12:])
			events[selected[wd]]++
			at += syscall.SizeofInotifyEvent + int(name)
		}
	}
}

// metric adds up the series of one of the process' metrics.
func metric(p *process, name string) (sum float64) {
	_, body := p.get("/metrics")
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		line := lines.Text()
		if at := strings.LastIndexByte(line, ' '); at > 0 && (strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ")) {
			n, _ := strconv.ParseFloat(line[at+1:], 64) // ours are numbers
			sum += n
		}
	}
	return sum
}
