//go:build !linux

package main

import "syscall"

// childAttributes have nothing to say here: a child of a killed process stays.
func childAttributes() *syscall.SysProcAttr { return nil }
