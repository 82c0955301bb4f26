//go:build unix

package bench

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// used is what this process has taken of the CPU.
func used() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// resident is the most that a process, which has ended, had in memory, in bytes.
func resident(p *os.ProcessState) uint64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return uint64(usage.Maxrss)
	}
	return uint64(usage.Maxrss) << 10 // https://man7.org/linux/man-pages/man2/getrusage.2.html
}
