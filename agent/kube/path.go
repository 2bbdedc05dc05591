package kube

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// dirName is the name of a pod's directory, as BuildPodLogsDirectory in
// pkg/kubelet/kuberuntime/helpers.go of Kubernetes makes it.
func dirName(namespace, name, uid string) string {
	return namespace + "_" + name + "_" + uid
}

// parseDir takes a pod directory's name apart. None of the three parts can
// hold an underscore: they are DNS names and a UID.
func parseDir(dir string) (namespace, name, uid string, ok bool) {
	parts := strings.Split(dir, "_")
	if len(parts) != 3 || !isFileName(dir) {
		return "", "", "", false
	}
	for _, part := range parts {
		if part == "" {
			return "", "", "", false
		}
	}
	return parts[0], parts[1], parts[2], true
}

// isFileName tells whether name stays within its directory.
func isFileName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// NewContainer describes a container of which nothing but its path is known:
// dir is its pod's directory under logDir. Metadata of it is complete and
// holds the names of the path and the node.
func NewContainer(logDir, node, dir, name string) (*Container, error) {
	namespace, podName, uid, ok := parseDir(dir)
	if !ok || !isFileName(name) {
		return nil, fmt.Errorf("container directory %q: not of the form <namespace>_<pod>_<uid>/<container>", dir+"/"+name)
	}
	p := &pod{Namespace: namespace, Name: podName, UID: uid, Containers: []containerStatus{{Name: name}}}
	t := &tracked{now: new(atomic.Pointer[facts])}
	t.now.Store(&facts{pod: p, node: node, pathOnly: true})
	return t.container(logDir, name), nil
}
