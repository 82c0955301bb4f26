//go:build unix

package program

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

type group struct{}

func newGroup(cmd *exec.Cmd) group {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return group{}
}

func (group) started(*os.Process) {}

func (group) kill(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }

func (group) close() {}

// systemPath are the directories of the system's own programs.
func systemPath() []string { return []string{"/usr/bin", "/bin"} }

// files are those that a program called name may be.
func files(name string) []string { return []string{name} }

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// anyone reports whether anyone may write a file, or into a directory.
func anyone(info fs.FileInfo) bool { return info.Mode()&0o002 != 0 }

// trusted reports whether a file is root's or ours.
func trusted(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int(s.Uid) == os.Geteuid())
}
