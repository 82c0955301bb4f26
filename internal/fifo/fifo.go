//go:build unix

// Package fifo makes named pipes for tests, where the system has such files.
package fifo

import "syscall"

// Make makes a named pipe, which only its owner may open.
func Make(name string) error { return syscall.Mkfifo(name, 0o600) }
