package main

import (
	"os/exec"
	"syscall"
)

// bind puts a child into a process group of its own, so that Ctrl-C in a
// terminal reaches only the parent, and has the kernel kill it when the parent
// is gone, however that ended.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
