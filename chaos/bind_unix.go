//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// bind puts a child into a process group of its own, so that Ctrl-C in a
// terminal reaches only the parent. Here a kill -9 of it leaves children
// behind.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
