package main

import (
	"os/exec"
	"syscall"
)

// bind puts a child into a process group of its own, so that Ctrl-C in a
// terminal reaches only the demo, and has the kernel kill it when the thread
// that started it ends, so that nothing survives even a kill -9 of the demo.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
