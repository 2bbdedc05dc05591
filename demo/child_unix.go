//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// bind puts a child into a process group of its own, so that Ctrl-C in a
// terminal reaches only the demo. Here a kill -9 of the demo leaves it behind.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
